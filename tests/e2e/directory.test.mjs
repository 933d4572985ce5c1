/** The directory in the network: who uses a relay stands in it, who is registered there is found, who is silent is asked after. */
import '../lib/node20.mjs'
import assert from 'node:assert/strict'
import { Client } from '../lib/directory-client.mjs'
import { createNode } from '../lib/js-libp2p.mjs'
import { story } from '../lib/story.mjs'
import { eventually } from '../lib/wait.mjs'

/** A life that fits into a story. */
const HASTY = ['--lifecycle', 'heartbeat=1s,active=3s,pending-first-check=8s,grace=3s']

async function json (relay, path) {
  const answer = await fetch(new URL(path, relay.url))
  return answer.ok ? answer.json() : undefined
}

/** Waits until a node stands in a relay's directory in this state. */
function becomes (relay, id, state, ms = 20_000) {
  const probe = async () => {
    const node = await json(relay, `/v1/nodes/${id}`)
    return node?.state === state && node
  }
  return eventually(probe, { ms, what: `${id} becomes ${state}` })
}

story('a page stands in the directory of its relay without HTTP, ends in good order or is waited for, and is back at once', async (world) => {
  const relay = await world.relay({ args: HASTY })
  const page = await world.member([relay])
  const { id, identity } = await page.evaluate(async () => {
    await node.provide({ name: 'chess', metadata: { title: 'Grandmaster' } })
    return { id: node.peerId, identity: [...node.exportIdentity()] }
  })
  const node = await becomes(relay, id, 'active', 3_000)
  assert.ok(node.record, 'its addresses are those that it signed')
  assert.ok(node.addresses.some((address) => address.includes('/p2p-circuit')), node.addresses.join())
  const offered = async (path) => (await json(relay, path)).services.map(({ name, provider, layer, state }) => ({ name, provider, layer, state }))
  const chess = { name: 'chess', provider: id, layer: 'directory', state: 'active' }
  await eventually(async () => (await offered('/v1/services/chess')).some(({ layer }) => layer === 'directory'), { ms: 3_000, what: 'its service is there' })
  assert.deepEqual(await offered('/v1/services/chess'), [chess])
  assert.deepEqual(await offered('/v1/services?text=grand'), [chess])

  const visitor = await world.member([relay])
  const visiting = await visitor.evaluate(() => node.peerId)
  assert.notEqual((await becomes(relay, visiting, 'active')).registeredAt, undefined, 'who offers nothing is there when it stays')
  const later = await becomes(relay, id, 'active')
  assert.ok(later.heardAt - later.registeredAt > 3_000, 'its connection is its heartbeat')

  await visitor.end()
  await becomes(relay, visiting, 'pending-first-check')
  await becomes(relay, visiting, 'failed-first-check')
  await page.evaluate(() => node.close())
  const ended = await becomes(relay, id, 'draining')
  assert.equal(ended.registeredAt, node.registeredAt)
  assert.deepEqual(await offered('/v1/services/chess'), [])
  assert.equal((await json(relay, '/v1/status')).brake, undefined)

  const again = await world.blankPage()
  await again.evaluate(async ({ module, relays, identity }) => {
    const { OpenRed } = await import(module)
    globalThis.node = await OpenRed.join({ relays, identity: new Uint8Array(identity) })
  }, { module: relay.module, relays: [relay.url], identity })
  assert.equal((await becomes(relay, id, 'active')).registeredAt, node.registeredAt, 'nothing was forgotten')
})

story('who is registered over HTTP alone is found by pages, by the layer directory', async (world) => {
  const relay = await world.relay()
  const library = await Client.known(relay)
  await library.register(['library'])
  const page = await world.member([relay])
  const found = await page.evaluate(() => node.find('library'))
  assert.equal(found.layer, 'directory')
  assert.deepEqual(found.records.map(({ provider, layer }) => ({ provider, layer })), [{ provider: library.id, layer: 'directory' }])
  const one = await page.evaluate((id) => node.find(`library@${id}`), library.id)
  assert.equal(one.records.length, 1)
  const nobody = await page.evaluate(() => node.find('nobody'))
  assert.deepEqual([nobody.records, nobody.layers.find(({ layer }) => layer === 'directory').outcome], [[], 'empty'])

  const withdrawal = await library.record({ name: 'library', withdrawn: true, sequence: Date.now() + 1 })
  const { results } = await library.json('POST', '/v1/services', { records: [withdrawal] })
  assert.equal(results[0].accepted, true)
  const gone = await page.evaluate(() => node.find('library', { maxAge: 0 }))
  assert.deepEqual(gone.records, [])
})

story('a silent node that answers when it is asked after is kept, and one that does not is not named', async (world) => {
  const relay = await world.relay({ args: HASTY })
  const client = await Client.known(relay)
  const peer = await createNode({ listen: ['/ip4/127.0.0.1/tcp/0/ws'], privateKey: client.key })
  world.atEnd(() => peer.stop())
  const endpoints = peer.getMultiaddrs().map((address) => String(address).replace(/\/p2p\/[^/]+$/, ''))
  await client.register(['silent'], endpoints)
  const events = []
  const watch = new AbortController()
  world.atEnd(() => watch.abort())
  const answer = await fetch(new URL(`/v1/watch?peerId=${client.id}&after=0`, relay.url), { signal: watch.signal })
  const reading = (async () => {
    for await (const chunk of answer.body.pipeThrough(new TextDecoderStream())) {
      for (const [, state] of chunk.matchAll(/"state":"([a-z0-9-]+)"/g)) events.push(state)
    }
  })().catch(() => {})
  await eventually(() => events.length >= 2, { ms: 20_000, what: 'it is silent, asked after and reached' })
  assert.deepEqual(events, ['pending-first-check', 'active'])
  assert.ok(peer.getConnections().some(({ remotePeer }) => remotePeer.toString() === relay.peerId), 'the relay called')

  await peer.stop()
  await becomes(relay, client.id, 'failed-first-check')
  assert.deepEqual((await json(relay, '/v1/services/silent')).services, [])
  watch.abort()
  await reading
})
