/** Pages that reach their relay by WebRTC-direct, as those on https do when a relay has no certificate. */
import assert from 'node:assert/strict'
import { ownAddress } from '../lib/ports.mjs'
import { EVERY_BROWSER, story } from '../lib/story.mjs'

/** Firefox sends no connection check to loopback, so the relay stands on another address of this machine, if it has one. */
const HOST = ownAddress()

story('two pages join by WebRTC-direct alone, and one serves the other', async (world) => {
  const relay = await world.relay({ http: `${HOST ?? '127.0.0.1'}:0` })
  const join = { relays: [relay.address('webrtc-direct')] }
  const [provider, asker] = [await world.member([relay], { join }), await world.member([relay], { join })]
  const relays = await asker.evaluate(() => node.peers().map(({ transport, path }) => ({ transport, path })))
  assert.deepEqual(relays, [{ transport: 'webrtc-direct', path: 'direct' }])
  assert.equal(await asker.evaluate(() => node.stats().peerConnections), 1)
  await provider.evaluate(async () => {
    node.handle('library', (stream) => stream.readable.pipeTo(stream.writable))
    await node.provide({ name: 'library' })
  })
  const same = await asker.evaluate(async () => {
    const stream = await node.open('library')
    const bytes = story.pattern(300_000)
    const [answer] = await Promise.all([
      story.readAll(stream.readable),
      new Blob([bytes]).stream().pipeTo(stream.writable)
    ])
    return await story.sha256(answer) === await story.sha256(bytes)
  })
  assert.equal(same, true)
}, { browsers: HOST === undefined ? ['chromium'] : EVERY_BROWSER })

story('a relay that is reached by WebSocket costs no peer connection', async (world) => {
  const [a, b] = await world.threeRelays()
  const page = await world.member([a])
  // Others are dialled at all the addresses they have.
  await page.waitForFunction(async (peer) => {
    await node.find('nothing-at-all')
    return node.peers().some(({ peerId }) => peerId === peer)
  }, b.peerId)
  assert.equal(await page.evaluate(() => node.stats().peerConnections), 0)
})
