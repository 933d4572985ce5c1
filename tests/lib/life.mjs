/**
 * What happens to pages: hidden and frozen, cut off, put away and brought back, crashed.
 *
 * What these cannot show: a machine that sleeps (its clock goes on while everything stands still), a browser that discards tabs
 * by itself, and phones.
 */

const sessions = new WeakMap()

async function session (page) {
  if (!sessions.has(page)) sessions.set(page, await page.context().newCDPSession(page))
  return sessions.get(page)
}

/** Playwright keeps every page visible. This takes that back for one page, as long as `front` is in front of it. */
export async function hide (page, front) {
  // Chromium's protocol keeps the setting for each client, so it has to be Playwright's own.
  const client = page._connection.toImpl(page).delegate._mainFrameSession._client
  await client.send('Emulation.setFocusEmulationEnabled', { enabled: false })
  await front.bringToFront()
  await page.waitForFunction(() => document.visibilityState === 'hidden', undefined, { polling: 50 })
}

/** Hides and freezes a page as the browser does with tabs in the background: its scripts are told, then stop. */
export async function freeze (page, front) {
  await hide(page, front)
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
