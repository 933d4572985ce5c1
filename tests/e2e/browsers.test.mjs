/** Firefox with Firefox, and each with Chromium: relayed at once, direct soon, and back when the direct path breaks. */
import assert from 'node:assert/strict'
import { echoesWhole, echoPair } from '../lib/echo.mjs'
import { remember } from '../lib/made.mjs'
import { pathTo, reaches } from '../lib/paths.mjs'
import { story } from '../lib/story.mjs'

const MEGABYTE = 1_048_576

/** Who asks, and who is asked. Chromium with Chromium is told elsewhere. */
const PAIRS = [['Firefox', 'Firefox'], ['Firefox', 'Chromium'], ['Chromium', 'Firefox']]

for (const [asks, asked] of PAIRS) {
  story(`${asks} asks ${asked}: the path becomes direct, and carries a megabyte each way`, async (world) => {
    const { guest, provider } = await echoPair(world, {
      init: remember, guest: { browser: asks.toLowerCase() }, provider: { browser: asked.toLowerCase() }
    })
    const [own, peer] = await Promise.all([guest, provider].map((page) => page.evaluate(() => node.peerId)))
    assert.deepEqual(await echoesWhole(guest, 1_000), { path: 'relayed', whole: true })
    await Promise.all([reaches(guest, peer, 'direct'), reaches(provider, own, 'direct')])
    assert.deepEqual(await pathTo(guest, peer), { path: 'direct', transport: 'webrtc' })
    assert.deepEqual(await echoesWhole(guest, MEGABYTE), { path: 'direct', whole: true })

    const broken = await guest.evaluate(async () => {
      const stream = await node.open('echo')
      const reader = stream.readable.getReader()
      for (const connection of made) connection.close()
      return story.within(10_000, story.outcome(() => reader.read()), 'the end')
    })
    assert.equal(broken.code, 'STREAM_RESET')
    assert.equal((await echoesWhole(guest, 1_000)).whole, true)
  }, { ms: 90_000 })
}
