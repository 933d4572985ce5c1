/** Browser to browser with js-libp2p at the other end, in both directions. */
import assert from 'node:assert/strict'
import { story } from '../lib/story.mjs'
import { jsPage, listen, noted, rigPage } from './pages.mjs'

const MEGABYTE = 1024 * 1024

story('a page of js-libp2p dials ours', async (world) => {
  const relay = await world.relay()
  const ours = await rigPage(world)
  const { address, peer } = await listen(ours, relay)
  const theirs = await jsPage(world)
  const dialled = await theirs.evaluate(async (address) => {
    const { connection, dialMs, identifyMs } = await js.dialAndIdentify(node, address)
    return { address: connection.remoteAddr.toString(), dialMs, identifyMs, limited: connection.limits !== undefined }
  }, address)
  console.log(`js dials ours: ${dialled.dialMs.toFixed(0)} ms, identify ${dialled.identifyMs.toFixed(0)} ms`)
  assert.ok(dialled.identifyMs < 2_000)
  assert.equal(dialled.limited, false)
  await ours.evaluate((peer) => node.closeConnections(peer, true), await theirs.evaluate(() => node.peerId.toString()))
  const echoed = await theirs.evaluate(async ({ peer, length }) => {
    const connection = node.getConnections().find((connection) => connection.remotePeer.toString() === peer && connection.remoteAddr.toString().includes('/p2p-circuit/webrtc/'))
    const stream = await connection.newStream('/rig/all')
    const bytes = story.pattern(length)
    const parts = []
    const read = (async () => { for await (const part of stream) parts.push(part.subarray()) })()
    for (let at = 0; at < length; at += 65_536) {
      if (!stream.send(bytes.subarray(at, at + 65_536))) await js.drained(stream)
    }
    await stream.close()
    await read
    const whole = new Uint8Array(await new Blob(parts).arrayBuffer())
    return await story.sha256(whole) === await story.sha256(bytes)
  }, { peer, length: MEGABYTE })
  assert.equal(echoed, true)
})

story('ours dials a page of js-libp2p', async (world) => {
  const relay = await world.relay()
  const theirs = await jsPage(world, { listen: ['/webrtc', `${relay.address('webrtc-direct')}/p2p-circuit`] })
  const circuit = await theirs.evaluate(() => js.reservation(node))
  const peer = await theirs.evaluate(async () => {
    await js.serveProtocol(node, '/test/echo', async (stream) => {
      for await (const part of stream) {
        if (!stream.send(part)) await js.drained(stream)
      }
      await stream.close()
    })
    return node.peerId.toString()
  })
  const address = `${relay.address('webrtc-direct')}/p2p-circuit/webrtc/p2p/${peer}`
  assert.ok(circuit.includes('/p2p-circuit'))
  const ours = await rigPage(world)
  const { ms, message } = await ours.evaluate((address) => story.outcome(() => node.dial(address)), address)
  assert.equal(message, undefined)
  console.log(`ours dials js: ${ms.toFixed(0)} ms`)
  await noted(ours, `identified ${peer}`)
  await ours.evaluate((peer) => node.closeConnections(peer, true), peer)
  await noted(ours, `closed ${peer} by us`)
  const same = await ours.evaluate(async ({ peer, length }) => {
    const stream = await node.open(peer, '/test/echo')
    const bytes = story.pattern(length)
    return await story.sha256(await stream.exchange(bytes)) === await story.sha256(bytes)
  }, { peer, length: MEGABYTE })
  assert.equal(same, true)
})

story('a peer that asks for a connection and says nothing', async (world) => {
  const relay = await world.relay()
  const ours = await rigPage(world, { timeout: 1_000 })
  const { circuit } = await listen(ours, relay)
  const theirs = await jsPage(world)
  await theirs.evaluate(async (circuit) => {
    // Two are waited for, the third is too many.
    for (let n = 0; n < 3; n++) await js.openStream(node, circuit, '/webrtc-signaling/0.0.1')
  }, circuit)
  await noted(ours, 'failed: busy')
  await noted(ours, 'failed: timeout')
})

story('signalling that makes no sense is refused with a reason', async (world) => {
  const relay = await world.relay()
  const ours = await rigPage(world)
  const { circuit } = await listen(ours, relay)
  const cases = {
    garbage: [[0xff, 0xff, 0xff, 0xff, 0xff, 0xff]],
    'too-long': [[0x80, 0x80, 0x7f]],
    'out-of-order': [[0x02, 0x08, 0x01]],
    description: [[0x07, 0x08, 0x00, 0x12, 0x03, 0x76, 0x3d, 0x30]],
    ended: []
  }
  for (const [code, messages] of Object.entries(cases)) {
    // Each a peer of its own: one whose offer failed has to pause.
    const theirs = await jsPage(world)
    await theirs.evaluate(async ({ circuit, messages }) => {
      const stream = await js.openStream(node, circuit, '/webrtc-signaling/0.0.1')
      for (const message of messages) stream.send(new Uint8Array(message))
      await stream.close().catch(() => {})
    }, { circuit, messages })
    await noted(ours, `failed: ${code}`)
  }
})

story('a peer that knows no windows and sends to nobody who reads loses its stream, and no other', async (world) => {
  const relay = await world.relay()
  const ours = await rigPage(world)
  const { address, peer } = await listen(ours, relay)
  const theirs = await jsPage(world)
  const outcome = await theirs.evaluate(async ({ address, peer }) => {
    await js.dialAndIdentify(node, address)
    const direct = node.getConnections().find((connection) => connection.remotePeer.toString() === peer && connection.limits === undefined)
    const stream = await direct.newStream('/rig/deaf')
    const lost = new Promise((resolve) => stream.addEventListener('close', () => resolve('lost'), { once: true }))
    const flood = async () => {
      for (let sent = 0; sent < 512 && stream.status === 'open'; sent++) {
        if (!stream.send(new Uint8Array(65_536))) await Promise.race([js.drained(stream), lost])
      }
      return lost
    }
    const how = await story.within(15_000, flood(), 'the end of the stream')
    const echo = await direct.newStream('/rig/echo')
    echo.send(new TextEncoder().encode('still here'))
    for await (const part of echo) return { how, text: new TextDecoder().decode(part.subarray()) }
  }, { address, peer })
  assert.deepEqual(outcome, { how: 'lost', text: 'still here' })
})
