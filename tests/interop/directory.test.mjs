/** The directory as public JavaScript clients see it: libp2p's peer-id authentication and IPFS's delegated routing, unchanged. */
import '../lib/node20.mjs'
import assert from 'node:assert/strict'
import { delegatedRoutingV1HttpApiClient } from '@helia/delegated-routing-v1-http-api-client'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { ServerInitiatedHandshake } from '@libp2p/http-peer-id-auth'
import { defaultLogger } from '@libp2p/logger'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { sha256 } from 'multiformats/hashes/sha2'
import { Client } from '../lib/directory-client.mjs'
import { verifyLink } from '../lib/link-token.mjs'
import { story } from '../lib/story.mjs'

/** The CID of a service: its provider key in the DHT. */
async function cidOf (name, network = 'main') {
  return CID.createV1(raw.code, await sha256.digest(new TextEncoder().encode(`/openred/${network}/service/${name}`)))
}

async function all (iterable) {
  const items = []
  for await (const item of iterable) items.push(item)
  return items
}

story('a node proves its key with libp2p\'s client, begun by either side, with Ed25519 and RSA', async (world) => {
  const relay = await world.relay()
  for (const [type, bits] of [['Ed25519'], ['RSA', 2048]]) {
    const client = await Client.known(relay, type, bits)
    assert.equal(client.handshake.serverId.toString(), relay.peerId)
  }
  const key = await generateKeyPair('Ed25519')
  const handshake = new ServerInitiatedHandshake(key, new URL(relay.url).host)
  const asked = await fetch(new URL('/v1/auth', relay.url))
  const authorization = await handshake.answerServerChallenge(asked.headers.get('www-authenticate'))
  const known = await fetch(new URL('/v1/auth', relay.url), { headers: { authorization } })
  assert.equal(known.status, 200)
  const bearer = await handshake.decodeBearerToken(known.headers.get('authentication-info'))
  const again = await fetch(new URL('/v1/auth', relay.url), { headers: { authorization: bearer } })
  assert.equal((await again.json()).peerId, peerIdFromPrivateKey(key).toString())
})

story('two nodes that asked once verify each other with the published keys alone', async (world) => {
  const relay = await world.relay()
  const [alice, bob] = await Promise.all([Client.known(relay), Client.known(relay)])
  await alice.register()
  await bob.register()
  const { link, own, other } = await alice.json('POST', '/v1/tokens/links', { peerId: bob.id })
  const jwks = await (await fetch(new URL('/.well-known/jwks.json', relay.url))).json()
  await relay.stop()
  assert.equal((await verifyLink(own, jwks, alice.id, bob.id)).link, link)
  assert.deepEqual(await verifyLink(other, jwks, bob.id, alice.id), await verifyLink(other, jwks, bob.id, alice.id))
  await assert.rejects(verifyLink(own, jwks, bob.id, alice.id), 'swapped')
  await assert.rejects(verifyLink(own, jwks, relay.peerId, bob.id), 'shown by another')
  await assert.rejects(verifyLink(own, jwks, alice.id, bob.id, Date.now() / 1000 + 3700), 'over')
})

story('the public client of delegated routing finds providers and peers', async (world) => {
  const relay = await world.relay()
  const node = await Client.known(relay)
  await node.register(['library'])
  const client = delegatedRoutingV1HttpApiClient({ url: relay.url, cacheTTL: 0 })({ logger: defaultLogger() })
  await client.start()
  world.atEnd(() => client.stop())
  const [provider] = await all(client.getProviders(await cidOf('library')))
  assert.equal(provider.ID.multihash.bytes.toString(), node.peer.toMultihash().bytes.toString())
  assert.deepEqual(provider.Addrs.map(String), ['/ip4/192.0.2.7/tcp/4001/ws'])
  const [peer] = await all(client.getPeers(node.peer.toCID()))
  assert.deepEqual(peer.Addrs.map(String), ['/ip4/192.0.2.7/tcp/4001/ws'])
  assert.deepEqual(await all(client.getProviders(await cidOf('nobody'))), [])
  assert.deepEqual(await all(client.getProviders(await cidOf('library'), { filterAddrs: ['quic-v1'] })), [])
})

story('delegated routing finds what a page offers, by the DHT', async (world) => {
  const [a, , c] = await world.threeRelays()
  const page = await world.member([a])
  const id = await page.evaluate(async () => {
    await node.provide({ name: 'page-library' })
    return node.peerId
  })
  const client = delegatedRoutingV1HttpApiClient({ url: c.url, cacheTTL: 0 })({ logger: defaultLogger() })
  await client.start()
  world.atEnd(() => client.stop())
  const providers = await all(client.getProviders(await cidOf('page-library')))
  assert.equal(providers.length, 1)
  assert.ok(providers[0].Addrs.some((address) => address.toString().includes('p2p-circuit')), `${providers[0].Addrs} of ${id}`)
})
