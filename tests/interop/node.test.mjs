/** js-libp2p in Node.js, over WebSocket: joins a relay, finds what our pages announced, and is found by them. */
import '../lib/node20.mjs'
import assert from 'node:assert/strict'
import * as js from '../lib/js-libp2p.mjs'
import { bundle, newIdentity, recordsIn, signedRecord } from '../lib/records.mjs'
import { askService, StreamReader } from '../lib/service-stream.mjs'
import { story } from '../lib/story.mjs'
import { concat, frame, valuesOf } from '../lib/protobuf.mjs'

/** The issue: identified without delay. */
const IDENTIFY_MS = 1_000

async function jsNode (world, options) {
  const node = await js.createNode(options)
  world.atEnd(() => node.stop())
  return node
}

async function libraryPage (world, relay) {
  const page = await world.member([relay])
  const peer = await page.evaluate(async () => {
    node.handle('library', (stream) => stream.readable.pipeTo(stream.writable))
    await node.provide({ name: 'library' })
    return node.peerId
  })
  return { page, peer }
}

story('joins, is identified without delay and knows the relay as a DHT peer', async (world) => {
  const relay = await world.relay()
  const node = await jsNode(world)
  const { identifyMs, protocols, agentVersion } = await js.dialAndIdentify(node, relay.webSocket)
  assert.ok(identifyMs < IDENTIFY_MS, `identify took ${identifyMs} ms`)
  for (const protocol of ['/openred/main/kad/1.0.0', '/libp2p/circuit/relay/0.2.0/hop', '/ipfs/ping/1.0.0', '/ipfs/id/1.0.0']) {
    assert.ok(protocols.includes(protocol), `${protocol} is missing among ${protocols}`)
  }
  assert.match(agentVersion ?? '', /openred/i)
  await js.knowsPeers(node, 1)
  await js.firstAnswer(node)
  assert.ok(await node.services.ping.ping(node.getPeers()[0]) < 1_000)
})

story('finds a provider that a page announced at another relay, and the value under the key', async (world) => {
  const [, b, c] = await world.threeRelays()
  const { peer } = await libraryPage(world, b)
  const node = await jsNode(world)
  await js.dialAndIdentify(node, c.webSocket)
  await js.knowsPeers(node, 1)
  const { providers } = await js.findProviders(node, 'library', { enough: 1 })
  assert.deepEqual(Object.keys(providers), [peer])
  assert.ok(providers[peer].some((address) => address.includes('/p2p-circuit')), `addresses: ${providers[peer]}`)
  const { value } = await js.getValue(node, 'library')
  assert.deepEqual(recordsIn(value).map(({ name, withdrawn }) => ({ name, withdrawn })), [{ name: 'library', withdrawn: false }])
})

story('reaches the page through the relay and speaks with its service', async (world) => {
  const [, b, c] = await world.threeRelays()
  const { peer } = await libraryPage(world, b)
  const node = await jsNode(world)
  await js.dialAndIdentify(node, c.webSocket)
  await js.knowsPeers(node, 1)
  const { providers } = await js.findProviders(node, 'library', { enough: 1 })
  const addresses = providers[peer].filter((address) => address.includes('/ws/') && address.includes('/p2p-circuit'))
  const address = addresses[0].includes(`/p2p-circuit/p2p/${peer}`) ? addresses[0] : `${addresses[0]}/p2p/${peer}`
  assert.equal(await askService(node, address, 'library', 'do you have Kademlia?'), 'do you have Kademlia?')
})

story('offers a service of its own, which a page finds and opens', async (world) => {
  const [, b, c] = await world.threeRelays()
  const identity = await newIdentity()
  const node = await jsNode(world, { privateKey: identity.key, listen: [`${b.webSocket}/p2p-circuit`] })
  await js.serveProtocol(node, '/openred/main/stream/1.0.0', async (stream) => {
    const reader = new StreamReader(stream)
    const [name] = valuesOf(await reader.frame(), 1)
    stream.send(concat(frame(new Uint8Array()), new TextEncoder().encode(`you asked for ${new TextDecoder().decode(name)}`)))
    await stream.close()
  })
  const endpoint = await js.reservation(node)
  await js.knowsPeers(node, 1)
  const envelope = await signedRecord(identity, { name: 'made-elsewhere', type: 'demo', endpoints: [endpoint], metadata: { by: 'js-libp2p' } })
  for await (const event of node.services.dht.put(js.serviceKey('made-elsewhere'), bundle(envelope))) {
    assert.notEqual(event.name, 'QUERY_ERROR', event.error?.message)
  }
  const page = await world.member([c])
  const found = await page.evaluate(() => node.find('made-elsewhere'))
  assert.deepEqual(found.records.map(({ provider, metadata, endpoints }) => ({ provider, metadata, endpoints })), [
    { provider: identity.id, metadata: { by: 'js-libp2p' }, endpoints: [endpoint] }
  ])
  const heard = await page.evaluate(async () => {
    const stream = await node.open('made-elsewhere')
    return { text: new TextDecoder().decode(await story.readAll(stream.readable)), from: stream.remotePeer }
  })
  assert.deepEqual(heard, { text: 'you asked for made-elsewhere', from: identity.id })
})

story('a client of another network is not answered as a peer', async (world) => {
  const relay = await world.relay({ network: 'elsewhere' })
  const node = await jsNode(world)
  const { connection, protocols } = await js.dialAndIdentify(node, relay.webSocket)
  assert.ok(!protocols.includes('/openred/main/kad/1.0.0'))
  await assert.rejects(connection.newStream('/openred/main/kad/1.0.0', { signal: AbortSignal.timeout(5_000) }))
})
