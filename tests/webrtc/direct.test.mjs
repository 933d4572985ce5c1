/** WebRTC-direct: a page dials a relay. */
import assert from 'node:assert/strict'
import { story } from '../lib/story.mjs'
import { noted, rigPage } from './pages.mjs'

/** On loopback it is done in a tenth of this. js-libp2p over the published Rust crate took five seconds. */
const IDENTIFY_MS = 2_000

story('a page connects to a relay and is identified at once', async (world) => {
  const relay = await world.relay()
  const page = await rigPage(world)
  const { value, ms } = await page.evaluate((address) => story.outcome(() => node.dial(address)), relay.address('webrtc-direct'))
  assert.equal(value, relay.peerId)
  await noted(page, `identified ${relay.peerId}`, IDENTIFY_MS)
  console.log(`dial ${ms.toFixed(0)} ms`)
})

story('three hundred streams to a relay, one after the other and many at once', async (world) => {
  const relay = await world.relay()
  const page = await rigPage(world)
  const answers = await page.evaluate(async ({ address, peer }) => {
    await node.dial(address)
    const identity = async () => {
      const stream = await node.open(peer, '/ipfs/id/1.0.0')
      const { length } = await stream.read()
      await stream.close()
      stream.drop()
      return length
    }
    const lengths = []
    for (let n = 0; n < 200; n++) lengths.push(await identity())
    for (let n = 0; n < 4; n++) lengths.push(...await Promise.all(Array.from({ length: 25 }, identity)))
    return lengths
  }, { address: relay.address('webrtc-direct'), peer: relay.peerId })
  assert.equal(answers.filter((length) => length > 100).length, 300)
  await page.waitForFunction(() => rig.openChannels() < 10, undefined, { timeout: 5_000, polling: 50 })
})

story('a stream that is opened long after the handshake', async (world) => {
  const relay = await world.relay()
  const page = await rigPage(world)
  const length = await page.evaluate(async ({ address, peer }) => {
    await node.dial(address)
    // Longer than anybody waits for the last words of the handshake's channel.
    await new Promise((resolve) => setTimeout(resolve, 12_000))
    const stream = await node.open(peer, '/ipfs/id/1.0.0')
    return (await stream.read()).length
  }, { address: relay.address('webrtc-direct'), peer: relay.peerId })
  assert.ok(length > 100)
})

story('a certificate that does not match is refused', async (world) => {
  const [relay, other] = [await world.relay(), await world.relay()]
  const certhash = (address) => /\/certhash\/([^/]+)/.exec(address)[1]
  const address = relay.address('webrtc-direct')
  const wrong = address.replace(certhash(address), certhash(other.address('webrtc-direct')))
  const page = await rigPage(world)
  const outcome = await page.evaluate((wrong) => story.outcome(() => node.dial(wrong)), wrong)
  assert.ok(outcome.real && /the handshake failed|no direct path/.test(outcome.message), JSON.stringify(outcome))
  // The page is none the worse for it.
  await page.evaluate((address) => node.dial(address), address)
})

story('a relay that is killed and comes back', async (world) => {
  const relay = await world.relay()
  const page = await rigPage(world)
  await page.evaluate((address) => node.dial(address), relay.address('webrtc-direct'))
  await relay.kill()
  await noted(page, `closed ${relay.peerId}`, 20_000)
  await relay.restart()
  await page.evaluate((address) => node.dial(address), relay.address('webrtc-direct'))
})

story('a page without WebRTC says so', async (world) => {
  const relay = await world.relay()
  const page = await rigPage(world, { init: () => { delete globalThis.RTCPeerConnection } })
  assert.equal(await page.evaluate(() => rig.isSupported()), false)
  const outcome = await page.evaluate((address) => story.outcome(() => node.dial(address)), relay.address('webrtc-direct'))
  assert.match(outcome.message, /WebRTC is not available here/)
})
