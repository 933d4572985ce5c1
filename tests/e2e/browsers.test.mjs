/** Firefox with Firefox, and each with Chromium: relayed at once, direct soon, and back when the direct path breaks. */
import assert from 'node:assert/strict'
import { echoPair } from '../lib/echo.mjs'
import { remember } from '../lib/made.mjs'
import { story } from '../lib/story.mjs'

/** Two pages on one machine need a tenth of a second; a machine with two cores that runs two browsers gets this. */
const DIRECT_MS = 15_000

const MEGABYTE = 1_048_576

/** Who asks, and who is asked. Chromium with Chromium is told elsewhere. */
const PAIRS = [['Firefox', 'Firefox'], ['Firefox', 'Chromium'], ['Chromium', 'Firefox']]

/** Has the echo service say `length` bytes: by which path, and whether they came back whole. */
async function echo (page, length) {
  return page.evaluate(async (length) => {
    const sent = story.pattern(length)
    const stream = await node.open('echo')
    const [received] = await Promise.all([story.readAll(stream.readable), new Blob([sent]).stream().pipeTo(stream.writable)])
    return { path: stream.path, whole: await story.sha256(received) === await story.sha256(sent) }
  }, length)
}

/** Resolves once `page` says that it reaches `peer` by a WebRTC connection. */
async function reachesDirectly (page, peer) {
  await page.waitForFunction(
    (peer) => node.peers().some((one) => one.peerId === peer && one.path === 'direct' && one.transport === 'webrtc'), peer, { timeout: DIRECT_MS }
  )
}

for (const [asks, asked] of PAIRS) {
  story(`${asks} asks ${asked}: the path becomes direct, and carries a megabyte each way`, async (world) => {
    const { guest, provider } = await echoPair(world, {
      init: remember, guest: { browser: asks.toLowerCase() }, provider: { browser: asked.toLowerCase() }
    })
    const [own, peer] = await Promise.all([guest, provider].map((page) => page.evaluate(() => node.peerId)))
    assert.deepEqual(await echo(guest, 1_000), { path: 'relayed', whole: true })
    await Promise.all([reachesDirectly(guest, peer), reachesDirectly(provider, own)])
    assert.deepEqual(await echo(guest, MEGABYTE), { path: 'direct', whole: true })

    const broken = await guest.evaluate(async () => {
      const stream = await node.open('echo')
      const reader = stream.readable.getReader()
      for (const connection of made) connection.close()
      return story.within(10_000, story.outcome(() => reader.read()), 'the end')
    })
    assert.equal(broken.code, 'STREAM_RESET')
    assert.equal((await echo(guest, 1_000)).whole, true)
  }, { ms: 90_000 })
}
