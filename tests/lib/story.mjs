/** `story(title, tell)`: one test with a world of its own, which ends with it whatever happens. */
import { after, test } from 'node:test'
import { endBrowser } from './browser.mjs'
import { within } from './wait.mjs'
import { removeTemporaryFolders } from './workspace.mjs'
import { World } from './world.mjs'

export { EVERY_BROWSER } from './browser.mjs'
export { joinFrom } from './world.mjs'

after(async () => {
  await endBrowser()
  await removeTemporaryFolders()
})

/** How the title of a test tells its browser; Chromium is not mentioned. */
const TITLES = { chromium: '', firefox: ' (Firefox)' }

/**
 * @param {string} title
 * @param {(world: World) => Promise<void>} tell
 * @param {{ ms?: number, skip?: string | false, browsers?: string[] }} [options] `ms`: the bound of the whole story;
 *   `browsers`: it is told once in each, `world.browser` says in which
 */
export function story (title, tell, { ms = 60_000, skip = false, browsers = ['chromium'] } = {}) {
  for (const browser of browsers) {
    test(`${title}${TITLES[browser]}`, { timeout: ms + 30_000, skip }, () => told(new World(title, browser), tell, ms))
  }
}

async function told (world, tell, ms) {
  try {
    await within(ms, tell(world), `the story "${world.title}"`)
    world.assertCalm()
  } catch (error) {
    await within(15_000, world.report(error), 'the report').catch(console.error)
    throw error
  } finally {
    await within(15_000, world.end(), 'the end of the world')
  }
}
