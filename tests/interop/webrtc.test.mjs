/** Browser to browser with a page of js-libp2p at one end and the npm package's at the other, in both directions. */
import assert from 'node:assert/strict'
import { setTimeout } from 'node:timers/promises'
import { echoesWhole } from '../lib/echo.mjs'
import { jsNodePage } from '../lib/js-pages.mjs'
import { remember } from '../lib/made.mjs'
import { pathTo, reaches } from '../lib/paths.mjs'
import { story } from '../lib/story.mjs'

const MEGABYTE = 1_048_576

const DIRECT = { path: 'direct', transport: 'webrtc' }

/** A page of js-libp2p that echoes under every name, with a place at `relay`, and the record by which ours finds it. */
async function echoingPage (world, relay, settings) {
  const page = await jsNodePage(world, { ...settings, listen: ['/webrtc', `${relay.webSocket}/p2p-circuit`] }, { init: remember })
  const circuit = await page.evaluate(() => js.reservation(node))
  const peer = await page.evaluate(async () => {
    await js.serveServices(node, async ({ stream, reader }) => {
      for (let chunk = await reader.next(); chunk !== undefined; chunk = await reader.next()) {
        if (!stream.send(chunk)) await js.drained(stream)
      }
      await stream.close()
    })
    return node.peerId.toString()
  })
  const relayed = circuit.slice(0, circuit.indexOf('/p2p-circuit') + '/p2p-circuit'.length)
  return { page, peer, record: { name: 'made-elsewhere', provider: peer, endpoints: [relayed, `${relayed}/webrtc`] } }
}

story('a page of js-libp2p dials ours at the address of its record', async (world) => {
  const relay = await world.relay()
  const ours = await world.member([relay])
  const endpoints = await ours.evaluate(async () => {
    node.handle('library', (stream) => stream.readable.pipeTo(stream.writable))
    await node.provide({ name: 'library' })
    return (await node.find('library')).records[0].endpoints
  })
  const direct = endpoints.find((endpoint) => endpoint.split('/').includes('ws') && endpoint.endsWith('/p2p-circuit/webrtc'))
  assert.ok(direct, `no /webrtc among ${endpoints}`)
  const peer = await ours.evaluate(() => node.peerId)
  const theirs = await jsNodePage(world)
  const dialled = await theirs.evaluate(async (address) => {
    const { connection, dialMs, identifyMs } = await js.dialAndIdentify(node, address)
    return { address: connection.remoteAddr.toString(), limited: connection.limits !== undefined, dialMs, identifyMs }
  }, `${direct}/p2p/${peer}`)
  console.log(`js dials ours: ${dialled.dialMs.toFixed(0)} ms, identify ${dialled.identifyMs.toFixed(0)} ms`)
  assert.ok(dialled.address.includes('/p2p-circuit/webrtc/'), dialled.address)
  assert.equal(dialled.limited, false)
  const own = await theirs.evaluate(() => node.peerId.toString())
  await reaches(ours, own, 'direct')
  assert.deepEqual(await pathTo(ours, own), DIRECT)

  const same = await theirs.evaluate(async ({ address, length }) => {
    const { stream, reader } = await js.openService(node, address, 'library')
    const bytes = story.pattern(length)
    const [answer] = await Promise.all([reader.all(), js.sendAll(stream, bytes).then(() => stream.close())])
    return await story.sha256(answer) === await story.sha256(bytes)
  }, { address: `${direct}/p2p/${peer}`, length: MEGABYTE })
  assert.equal(same, true)
})

/** Our page opens an echo of js-libp2p's over the relay, and soon reaches it directly. */
async function becomesDirect (world, settings) {
  const relay = await world.relay()
  const { page: theirs, peer, record } = await echoingPage(world, relay, settings)
  const ours = await world.member([relay])
  assert.deepEqual(await echoesWhole(ours, 1_000, record), { path: 'relayed', whole: true })
  await reaches(ours, peer, 'direct')
  assert.deepEqual(await pathTo(ours, peer), DIRECT)
  assert.deepEqual(await echoesWhole(ours, MEGABYTE, record), { path: 'direct', whole: true })
  return { ours, theirs, peer, record }
}

story('ours dials a page of js-libp2p: relayed at once, then directly', (world) => becomesDirect(world))

story('the same with a page that answers no pings', async (world) => {
  const { ours, theirs, peer, record } = await becomesDirect(world, { pings: false })
  // Until then a path that nothing proves would have been given back, and one that pings prove would count as silent.
  await setTimeout(10_000)
  assert.equal((await ours.evaluate((peer) => node.explain(peer), peer)).code, 'DIRECT')
  assert.deepEqual(await echoesWhole(ours, 1_000, record), { path: 'direct', whole: true })
  assert.equal(await theirs.evaluate(() => made.length), 1, 'one attempt was enough')
})
