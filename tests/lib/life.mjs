/**
 * What happens to pages: hidden and frozen, asleep with their machine, cut off, put away and brought back, crashed.
 *
 * What these cannot show: what becomes of the network of a machine that sleeps (here only the browser stands still), another
 * network after waking, a browser that discards tabs by itself, and phones.
 */
import { readdir, readFile } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'

const sessions = new WeakMap()

async function session (page) {
  if (!sessions.has(page)) sessions.set(page, await page.context().newCDPSession(page))
  return sessions.get(page)
}

/**
 * Playwright keeps every page visible. This takes that back for one page and puts another tab of its window in front of it, a
 * new one by default.
 */
export async function hide (page, front) {
  const other = front ?? await page.context().newPage()
  // Chromium's protocol keeps the setting for each client, so it has to be Playwright's own.
  const client = page._connection.toImpl(page).delegate._mainFrameSession._client
  await client.send('Emulation.setFocusEmulationEnabled', { enabled: false })
  await other.bringToFront()
  await page.waitForFunction(() => document.visibilityState === 'hidden', undefined, { polling: 50 })
}

/** Freezes a hidden page as the browser does with tabs in the background: its scripts are told, then stop. */
export async function freeze (page) {
  await (await session(page)).send('Page.setWebLifecycleState', { state: 'frozen' })
}

export async function thaw (page) {
  await (await session(page)).send('Page.setWebLifecycleState', { state: 'active' })
  await page.bringToFront()
}

/** The network is gone: the page is told, nothing arrives on connections that stand, and none can be made. */
export async function cutOff (page) { await setOffline(page, true) }

export async function reconnect (page) { await setOffline(page, false) }

async function setOffline (page, offline) {
  const client = await session(page)
  await client.send('Network.enable')
  await client.send('Network.emulateNetworkConditions', { offline, latency: 0, downloadThroughput: -1, uploadThroughput: -1 })
}

/** The page's process dies. */
export async function crash (page) {
  const crashed = new Promise((resolve) => page.once('crash', resolve))
  page.crashIsMeant = true
  const client = await session(page)
  // Nobody is left to answer.
  client.send('Page.crash').catch(() => {})
  await crashed
}

/** The page's main thread stands still for `ms`, without a word; gives at once. */
export async function standStill (page, ms) {
  await page.evaluate((ms) => {
    setTimeout(() => {
      const end = performance.now() + ms
      while (performance.now() < end);
    })
  }, ms)
}

/** The page goes to another page and comes back; it was put away whole, or this rejects. */
export async function awayAndBack (page, elsewhere, ms) {
  await page.evaluate(() => { globalThis.putAwayWhole = true })
  await page.goto(elsewhere, { waitUntil: 'load' })
  await pause(ms)
  await page.goBack({ waitUntil: 'commit' })
  await page.waitForFunction(() => document.visibilityState === 'visible', undefined, { polling: 20 })
  const reasons = await page.evaluate(() => globalThis.putAwayWhole ? undefined : JSON.stringify(performance.getEntriesByType('navigation')[0].notRestoredReasons))
  if (reasons !== undefined) throw new Error(`the browser did not keep the page: ${reasons}`)
}

/** Stops every process of this test's browser for `ms`: the clock goes on, nothing runs, as on a machine that sleeps. */
export async function sleepOfTheBrowser (ms) {
  const asleep = await browserProcesses()
  if (asleep.length === 0) throw new Error('no browser runs')
  for (const pid of asleep) signal(pid, 'SIGSTOP')
  try {
    await pause(ms)
  } finally {
    for (const pid of asleep) signal(pid, 'SIGCONT')
  }
}

/** A browser ends processes of its own at any time; one that has ended need not be stopped. */
function signal (pid, name) {
  try {
    process.kill(pid, name)
  } catch (error) {
    if (error.code !== 'ESRCH') throw error
  }
}

/** The browser's processes among the descendants of this one. */
async function browserProcesses () {
  const all = new Map()
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const stat = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '')
    const [, command, parent] = /\((.*)\) \S+ (\d+)/.exec(stat) ?? []
    if (command !== undefined) all.set(Number(name), { command, parent: Number(parent) })
  }
  const ours = (pid) => pid === process.pid || (all.has(pid) && ours(all.get(pid).parent))
  return [...all].filter(([pid, { command }]) => command.startsWith('chrom') && ours(pid)).map(([pid]) => pid)
}
