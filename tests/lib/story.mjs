/** `story(title, tell)`: one test with a world of its own, which ends with it whatever happens. */
import { after, test } from 'node:test'
import { endBrowser } from './browser.mjs'
import { within } from './wait.mjs'
import { removeTemporaryFolders } from './workspace.mjs'
import { World } from './world.mjs'

export { joinFrom } from './world.mjs'

after(async () => {
  await endBrowser()
  await removeTemporaryFolders()
})

/**
 * @param {string} title
 * @param {(world: World) => Promise<void>} tell
 * @param {{ ms?: number, skip?: string | false }} [options] `ms`: the bound of the whole story
 */
export function story (title, tell, { ms = 60_000, skip = false } = {}) {
  test(title, { timeout: ms + 30_000, skip }, async () => {
    const world = new World(title)
    try {
      await within(ms, tell(world), `the story "${title}"`)
      world.assertCalm()
    } catch (error) {
      await within(15_000, world.report(error), 'the report').catch(console.error)
      throw error
    } finally {
      await within(15_000, world.end(), 'the end of the world')
    }
  })
}
