/** A node that speaks HTTP only, as other software does: libp2p's own client proves its key, and what it states is signed by hand. */
import './node20.mjs'
import assert from 'node:assert/strict'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { ClientInitiatedHandshake } from '@libp2p/http-peer-id-auth'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { sha256 } from 'multiformats/hashes/sha2'
import { signedRecord } from './records.mjs'

/** Where it says it can be reached. */
const ENDPOINT = '/ip4/192.0.2.7/tcp/4001/ws'

export class Client {
  static async known (relay, type = 'Ed25519', bits) {
    const client = new Client()
    client.relay = relay
    client.key = await generateKeyPair(type, bits)
    client.peer = peerIdFromPrivateKey(client.key)
    client.id = client.peer.toString()
    await client.prove()
    return client
  }

  /** Proves its key; the session that comes of it is `authorization`. */
  async prove () {
    this.handshake = new ClientInitiatedHandshake(this.key, new URL(this.relay.url).host)
    const challenge = await this.send('OPTIONS', '/v1/auth', { authorization: this.handshake.getChallenge() })
    assert.equal(challenge.status, 401)
    const authorization = await this.handshake.verifyServer(challenge.headers.get('www-authenticate'))
    const known = await this.send('GET', '/v1/auth', { authorization })
    assert.equal(known.status, 200)
    assert.equal((await known.json()).peerId, this.id)
    this.authorization = this.handshake.decodeBearerToken(known.headers.get('authentication-info'))
  }

  async send (method, path, { authorization = this.authorization, body } = {}) {
    const headers = { ...(authorization === undefined ? {} : { authorization }), ...(body === undefined ? {} : { 'content-type': 'application/json' }) }
    return fetch(new URL(path, this.relay.url), { method, headers, body: body && JSON.stringify(body) })
  }

  async json (method, path, body) {
    const response = await this.send(method, path, { body })
    assert.ok(response.ok, `${method} ${path}: ${response.status} ${response.ok ? '' : await response.text()}`)
    return response.json()
  }

  async register (services = [], endpoints = [ENDPOINT]) {
    const records = await Promise.all(services.map((name) => this.record({ name, endpoints })))
    return this.json('PUT', `/v1/nodes/${this.id}`, { addresses: endpoints, region: 'eu', services: records })
  }

  /** A service record of its own, signed, in base64url. */
  async record (record) {
    const provider = { key: this.key, id: this.id, bytes: this.peer.toMultihash().bytes }
    return Buffer.from(await signedRecord(provider, { endpoints: [ENDPOINT], ...record })).toString('base64url')
  }
}

/** The CID of a service: its provider key in the DHT. */
export async function cidOf (name, network = 'main') {
  return CID.createV1(raw.code, await sha256.digest(new TextEncoder().encode(`/openred/${network}/service/${name}`)))
}
