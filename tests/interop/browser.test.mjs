/** js-libp2p in Chromium, over WebSocket and over WebRTC-direct: joins a relay and finds what our pages announced. */
import assert from 'node:assert/strict'
import { jsNodePage, jsPage } from '../lib/js-pages.mjs'
import { story } from '../lib/story.mjs'

/** The issue: identified without delay. */
const IDENTIFY_MS = 1_000

/** A page with js-libp2p that has dialled `address`. */
async function dialled (world, address) {
  const page = await jsNodePage(world, { transports: ['webRTCDirect'] })
  const joined = await page.evaluate(async (address) => {
    const { dialMs, identifyMs, protocols } = await js.dialAndIdentify(node, address)
    return { dialMs, identifyMs, protocols, transport: node.getConnections()[0].remoteAddr.toString() }
  }, address)
  return { page, joined }
}

for (const transport of ['ws', 'webrtc-direct']) {
  story(`over ${transport}: identified without delay, finds the provider and the value a page announced`, async (world) => {
    const [, b, c] = await world.threeRelays()
    const provider = await world.member([b])
    const peer = await provider.evaluate(async () => {
      node.handle('library', (stream) => stream.readable.pipeTo(stream.writable))
      await node.provide({ name: 'library' })
      return node.peerId
    })
    const { page, joined } = await dialled(world, transport === 'ws' ? c.webSocket : c.address('webrtc-direct'))
    console.log(`${transport}: dial ${joined.dialMs.toFixed(0)} ms, identify ${joined.identifyMs.toFixed(0)} ms`)
    assert.ok(joined.transport.includes(`/${transport}`))
    assert.ok(joined.protocols.includes('/openred/main/kad/1.0.0'))
    assert.ok(joined.identifyMs < IDENTIFY_MS, `identify took ${joined.identifyMs} ms`)

    const found = await page.evaluate(async () => {
      await js.knowsPeers(node, 1)
      const { providers } = await js.findProviders(node, 'library', { enough: 1 })
      const { value } = await js.getValue(node, 'library')
      return { providers, valueLength: value?.length ?? 0 }
    })
    assert.deepEqual(Object.keys(found.providers), [peer])
    assert.ok(found.valueLength > 0)

    const echoed = await page.evaluate(async ({ peer, addresses }) => {
      const [address] = addresses.filter((address) => address.includes('/ws/') && address.includes('/p2p-circuit'))
      const full = address.includes(`/p2p-circuit/p2p/${peer}`) ? address : `${address}/p2p/${peer}`
      return js.askService(node, full, 'library', 'from one library to another')
    }, { peer, addresses: found.providers[peer] })
    assert.equal(echoed, 'from one library to another')
  })
}

story('a certificate hash that does not match is refused', async (world) => {
  const relay = await world.relay()
  const other = await world.relay()
  const certhash = (address) => /\/certhash\/([^/]+)/.exec(address)[1]
  const address = relay.address('webrtc-direct')
  const wrong = address.replace(certhash(address), certhash(other.address('webrtc-direct')))
  const page = await jsPage(world)
  const outcome = await page.evaluate((wrong) => story.outcome(async () => {
    const node = await js.createNode({ transports: [js.webRTCDirect()] })
    await js.dialAndIdentify(node, wrong, AbortSignal.timeout(8_000))
  }), wrong)
  assert.ok(outcome.real, 'the dial must fail')
})
