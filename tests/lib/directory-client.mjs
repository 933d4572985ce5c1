/** A client of a relay's directory that speaks HTTP only, with libp2p's own client for its proofs. */
import assert from 'node:assert/strict'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { ClientInitiatedHandshake } from '@libp2p/http-peer-id-auth'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { signedRecord } from './records.mjs'

/** A node that speaks HTTP only and has proved its key by libp2p's own client. */
export class Client {
  static async known (relay, type = 'Ed25519', bits) {
    const client = new Client()
    client.relay = relay
    client.key = await generateKeyPair(type, bits)
    client.peer = peerIdFromPrivateKey(client.key)
    client.id = client.peer.toString()
    client.handshake = new ClientInitiatedHandshake(client.key, new URL(relay.url).host)
    const challenge = await client.send('OPTIONS', '/v1/auth', { authorization: client.handshake.getChallenge() })
    assert.equal(challenge.status, 401)
    const authorization = await client.handshake.verifyServer(challenge.headers.get('www-authenticate'))
    const known = await client.send('GET', '/v1/auth', { authorization })
    assert.equal(known.status, 200)
    assert.equal((await known.json()).peerId, client.id)
    client.authorization = client.handshake.decodeBearerToken(known.headers.get('authentication-info'))
    return client
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

  async register (services = [], endpoints = ['/ip4/192.0.2.7/tcp/4001/ws']) {
    const records = await Promise.all(services.map((name) => this.record({ name, endpoints })))
    return this.json('PUT', `/v1/nodes/${this.id}`, { addresses: endpoints, region: 'eu', services: records })
  }

  /** A signed service record in base64url. */
  async record (record) {
    const provider = { key: this.key, id: this.id, bytes: this.peer.toMultihash().bytes }
    return Buffer.from(await signedRecord(provider, record)).toString('base64url')
  }
}
