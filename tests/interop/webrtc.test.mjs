/** Browser to browser with a page of js-libp2p at one end and the npm package's at the other, in both directions. */
import assert from 'node:assert/strict'
import { jsLibp2pPages } from '../lib/bundle.mjs'
import { story } from '../lib/story.mjs'

const MEGABYTE = 1_048_576

/** A page with js-libp2p that connects to browsers and makes no use of STUN. */
async function jsPage (world, listen = []) {
  const site = await world.site({ pages: await jsLibp2pPages() })
  const page = await world.visit(site.url)
  await page.waitForFunction(() => globalThis.js !== undefined)
  await page.evaluate(async (listen) => {
    const transports = [js.webRTC({ rtcConfiguration: { iceServers: [] } })]
    globalThis.node = await js.createNode({ transports, listen })
  }, listen)
  return page
}

/** Resolves once `page`, one of ours, says that it reaches `peer` directly. Gives the transport. */
async function reachesDirectly (page, peer) {
  const found = await page.waitForFunction(
    (peer) => node.peers().find(({ peerId, path }) => peerId === peer && path === 'direct')?.transport, peer, { polling: 20 }
  )
  return found.jsonValue()
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
  const theirs = await jsPage(world)
  const dialled = await theirs.evaluate(async (address) => {
    const { connection, dialMs, identifyMs } = await js.dialAndIdentify(node, address)
    return { address: connection.remoteAddr.toString(), limited: connection.limits !== undefined, dialMs, identifyMs }
  }, `${direct}/p2p/${peer}`)
  console.log(`js dials ours: ${dialled.dialMs.toFixed(0)} ms, identify ${dialled.identifyMs.toFixed(0)} ms`)
  assert.ok(dialled.address.includes('/p2p-circuit/webrtc/'), dialled.address)
  assert.equal(dialled.limited, false)
  assert.equal(await reachesDirectly(ours, await theirs.evaluate(() => node.peerId.toString())), 'webrtc')

  const same = await theirs.evaluate(async ({ address, length }) => {
    const { stream, reader } = await js.openService(node, address, 'library')
    const bytes = story.pattern(length)
    const [answer] = await Promise.all([reader.all(), js.sendAll(stream, bytes).then(() => stream.close())])
    return await story.sha256(answer) === await story.sha256(bytes)
  }, { address: `${direct}/p2p/${peer}`, length: MEGABYTE })
  assert.equal(same, true)
})

story('ours dials a page of js-libp2p: relayed at once, then directly', async (world) => {
  const relay = await world.relay()
  const theirs = await jsPage(world, ['/webrtc', `${relay.webSocket}/p2p-circuit`])
  const circuit = await theirs.evaluate(() => js.reservation(node))
  const peer = await theirs.evaluate(async () => {
    await js.serveServices(node, async ({ stream, reader }) => {
      for (let chunk = await reader.next(); chunk !== undefined; chunk = await reader.next()) {
        if (!stream.send(chunk)) await js.drained(stream)
      }
      await stream.close()
    })
    return node.peerId.toString()
  })
  const relayed = circuit.slice(0, circuit.indexOf('/p2p-circuit') + '/p2p-circuit'.length)
  const record = { name: 'made-elsewhere', provider: peer, endpoints: [relayed, `${relayed}/webrtc`] }
  const ours = await world.member([relay])
  const echo = (length) => ours.evaluate(async ({ record, length }) => {
    const stream = await node.open(record)
    const bytes = story.pattern(length)
    const [answer] = await Promise.all([story.readAll(stream.readable), new Blob([bytes]).stream().pipeTo(stream.writable)])
    return { path: stream.path, same: await story.sha256(answer) === await story.sha256(bytes) }
  }, { record, length })
  assert.deepEqual(await echo(1_000), { path: 'relayed', same: true })
  assert.equal(await reachesDirectly(ours, peer), 'webrtc')
  assert.deepEqual(await echo(MEGABYTE), { path: 'direct', same: true })
})
