/** How pages live: cut off and connected again, asleep, frozen, put away and brought back, reloaded. */
import assert from 'node:assert/strict'
import { setTimeout as pause } from 'node:timers/promises'
import { EVERY_BROWSER, joinFrom, story } from '../lib/story.mjs'
import { NETWORK_ERRORS } from '../lib/browser.mjs'
import { echoes, echoPair } from '../lib/echo.mjs'
import { awayAndBack, cutOff, freeze, hide, reconnect, sleepOfTheBrowser, thaw } from '../lib/life.mjs'
import { reaches } from '../lib/paths.mjs'
import { eventually } from '../lib/wait.mjs'

/** The promise (W5): back in the network, and reachable, within this. */
const RETURN_MS = 3_000

/** The same when connections died in a short sleep: less than the 1.5 s that a link has after a wake, since nobody waits for its silence. */
const REPLACED_MS = 1_300

/** Peers of a page that has gone know it within this. */
const MISSED_MS = 2_000

/** A page that is cut off is told so at once; a busy machine gets this. */
const NOTICE_MS = 1_000

const TOLERANT = { tolerate: NETWORK_ERRORS }

/** A page that offers and serves a lighthouse, and keeps the states of its node. */
async function lighthouse (world, relays, options = {}) {
  const page = await world.member(relays, { ...TOLERANT, ...options })
  await page.evaluate(async () => {
    globalThis.states = []
    void (async () => {
      for await (const event of node.events()) if (event.type === 'status') states.push({ state: event.state, reason: event.reason, at: Date.now() })
    })()
    node.handle('lighthouse', async (stream) => {
      const writer = stream.writable.getWriter()
      await writer.write(new TextEncoder().encode('light'))
      await writer.close()
    })
    await node.provide({ name: 'lighthouse' })
  })
  return page
}

/** Until the lighthouse answers somebody else, in ms since `start`. */
async function seen (page, start) {
  await eventually(() => page.evaluate(async () => {
    const stream = await node.open('lighthouse', { timeout: 1_000 })
    return new TextDecoder().decode(await story.within(1_000, story.readAll(stream.readable), 'the light')) === 'light'
  }), { ms: 20_000, what: 'the lighthouse to be seen', every: 20 })
  return performance.now() - start
}

const told = (page, state, ms) => eventually(
  () => page.evaluate((state) => states.find((told) => told.state === state), state),
  { ms, what: `the page to be told "${state}"`, every: 10 }
)

for (const [how, ms] of [['for a moment', 1_000], ['until all connections are dead', 25_000]]) {
  story(`a page is cut off ${how}: it says so at once, and is back by itself`, async (world) => {
    const relay = await world.relay()
    const stranger = await world.member([relay])
    const page = await lighthouse(world, [relay])
    await seen(stranger, performance.now())
    await cutOff(page)
    const offline = await told(page, 'offline', NOTICE_MS)
    assert.match(offline.reason, /no network/)
    assert.equal((await page.evaluate(() => node.status)).state, 'offline')
    await pause(ms)
    await page.evaluate(() => { states.length = 0 })
    await reconnect(page)
    const start = performance.now()
    await told(page, 'ready', RETURN_MS)
    const readyMs = performance.now() - start
    const reachableMs = await seen(stranger, start)
    console.log(`cut off ${how}: ready ${readyMs.toFixed(0)} ms after the network, seen after ${reachableMs.toFixed(0)} ms`)
    assert.ok(reachableMs < RETURN_MS, `${reachableMs.toFixed(0)} ms`)
  }, { ms: 90_000 })
}

for (const [how, ms] of [['a nap', 3_000], ['a long sleep', 40_000]]) {
  story(`the machine takes ${how}: the page is in the network again soon after`, async (world) => {
    const relay = await world.relay()
    const page = await lighthouse(world, [relay])
    const finder = await world.member([relay], TOLERANT)
    await seen(finder, performance.now())
    await sleepOfTheBrowser(ms)
    const start = performance.now()
    // The finder slept as well: both have to come back.
    const reachableMs = await seen(finder, start)
    console.log(`${how}: seen ${reachableMs.toFixed(0)} ms after waking`)
    assert.equal((await page.evaluate(() => node.status)).state, 'ready')
    assert.ok(reachableMs < RETURN_MS, `${reachableMs.toFixed(0)} ms`)
  }, { ms: 120_000 })
}

story('connections that died in a nap are replaced before they are given up', async (world) => {
  const { relay, proxy } = await world.relayBehindProxy()
  const page = await lighthouse(world, [relay], { join: { memory: 'none' } })
  const stranger = await world.blankPage()
  // A direct path between two pages of one machine would outlive the sleep.
  await joinFrom(stranger, [{ module: relay.module, url: `http://${relay.http}/` }], { paths: 'relayed', memory: 'none' })
  await seen(stranger, performance.now())
  await hide(page)
  proxy.fallSilent()
  await freeze(page)
  await pause(5_000)
  proxy.speakAgain()
  await thaw(page)
  const reachableMs = await seen(stranger, performance.now())
  console.log(`connections died in a nap: seen ${reachableMs.toFixed(0)} ms after it was thawed`)
  assert.ok(reachableMs < REPLACED_MS, `${reachableMs.toFixed(0)} ms`)
})

story('a frozen page is in the network again soon after it is thawed', async (world) => {
  const relay = await world.relay()
  const stranger = await world.member([relay])
  const page = await lighthouse(world, [relay])
  await seen(stranger, performance.now())
  await hide(page)
  await freeze(page)
  await pause(30_000)
  await thaw(page)
  const reachableMs = await seen(stranger, performance.now())
  console.log(`frozen for 30 s: seen ${reachableMs.toFixed(0)} ms after it was thawed`)
  assert.ok(reachableMs < RETURN_MS, `${reachableMs.toFixed(0)} ms`)
}, { ms: 120_000 })

for (const identity of ['ephemeral', 'persistent']) {
  story(`going back to a page that was put away: the same node, and all it offers (${identity})`, async (world) => {
    const relay = await world.relay()
    const elsewhere = await world.site()
    const stranger = await world.member([relay])
    const page = await lighthouse(world, [relay], { join: { identity } })
    const before = await page.evaluate(() => node.peerId)
    await seen(stranger, performance.now())
    await awayAndBack(page, elsewhere.url, 1_000)
    const reachableMs = await seen(stranger, performance.now())
    console.log(`put away, ${identity}: seen ${reachableMs.toFixed(0)} ms after coming back`)
    assert.equal(await page.evaluate(() => node.peerId), before)
    assert.deepEqual((await page.evaluate(() => states.map(({ state }) => state))), ['offline', 'joining', 'ready'])
    assert.ok(reachableMs < RETURN_MS, `${reachableMs.toFixed(0)} ms`)
  })
}

story('a page that was put away hands over to another tab, and follows when it comes back', async (world) => {
  const relay = await world.relay()
  const elsewhere = await world.site()
  const stranger = await world.member([relay])
  const context = await world.profile()
  const join = { identity: 'persistent' }
  const page = await lighthouse(world, [relay], { context, join })
  const other = await world.member([relay], { ...TOLERANT, context, join })
  await awayAndBack(page, elsewhere.url, 1_000)
  await seen(stranger, performance.now())
  assert.deepEqual(await Promise.all([page, other].map((tab) => tab.evaluate(() => node.tab))), ['following', 'leading'])
})

story('a reload is the same peer again', async (world) => {
  const relay = await world.relay()
  const page = await lighthouse(world, [relay], { join: { identity: 'persistent' } })
  const before = await page.evaluate(() => node.peerId)
  await page.reload()
  const { peerId, tab, warnings } = await page.evaluate(async ({ module, relays }) => {
    const { OpenRed } = await import(module)
    const warnings = []
    const node = await OpenRed.join({ relays, identity: 'persistent', onEvent: (event) => event.type === 'warning' && warnings.push(event) })
    return { peerId: node.peerId, tab: node.tab, warnings }
  }, { module: relay.module, relays: [relay.url] })
  assert.deepEqual([peerId, tab, warnings], [before, 'leading', []])
})

for (const [how, leave] of Object.entries({
  'whose tab is closed': (page) => page.close(),
  'that is loaded anew': (page) => page.reload()
})) {
  story(`a page ${how} is missed at once by those it is connected to directly`, async (world) => {
    const { guest, provider } = await echoPair(world)
    const [own, peer] = await Promise.all([guest, provider].map((page) => page.evaluate(() => node.peerId)))
    await echoes(guest, 'hello')
    await Promise.all([reaches(guest, peer, 'direct'), reaches(provider, own, 'direct')])
    const leaving = leave(guest)
    const start = performance.now()
    await provider.waitForFunction((own) => !node.peers().some(({ peerId }) => peerId === own), own, { polling: 20 })
    const missedMs = performance.now() - start
    await leaving
    console.log(`a page ${how}: missed after ${missedMs.toFixed(0)} ms (${world.browser})`)
    assert.ok(missedMs < MISSED_MS, `${missedMs.toFixed(0)} ms`)
  }, { browsers: EVERY_BROWSER })
}
