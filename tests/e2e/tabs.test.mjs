/** Several tabs of one visitor: one runs the node, all are the same peer, and any of them may go. */
import assert from 'node:assert/strict'
import { setTimeout as pause } from 'node:timers/promises'
import { story } from '../lib/story.mjs'
import { crash, freeze, hide, standStill, thaw } from '../lib/life.mjs'
import { eventually, within } from '../lib/wait.mjs'

/** The promise (W5): reachable again within this. */
const RETURN_MS = 3_000

const PERSISTENT = { identity: 'persistent' }

/** Longer than anything takes here. */
const LATE_MS = 10_000

/**
 * Runs in a page before its own scripts: its timers are late while it is hidden. Browsers hold them back by up to a minute, but not
 * under test.
 */
function lateTimers () {
  const LATE_MS = 10_000
  for (const name of ['setTimeout', 'setInterval']) {
    const native = globalThis[name]
    globalThis[name] = (action, ms = 0, ...rest) => native.call(globalThis, action, document.hidden ? ms + LATE_MS : ms, ...rest)
  }
}

/** A tab of `context` that has joined. What happens to its node is kept in `states` and `roles`. */
async function tab (world, relays, context, init) {
  const page = await world.blankPage({ context, init })
  await page.evaluate(async ({ module, relays, options }) => {
    const { OpenRed } = await import(module)
    Object.assign(globalThis, { OpenRed, states: [], roles: [], warnings: [] })
    const onEvent = (event) => {
      if (event.type === 'status') states.push([event.state, event.reason])
      if (event.type === 'tab') roles.push(event.role)
      if (event.type === 'warning') warnings.push(event)
    }
    globalThis.node = await OpenRed.join({ relays, ...options, onEvent })
  }, { module: relays[0].module, relays: relays.map((relay) => relay.url), options: PERSISTENT })
  return page
}

const role = (page) => page.evaluate(() => node.tab)

/** Serves and offers `name`, answering with `answer`. */
async function serves (page, name, answer) {
  await page.evaluate(async ({ name, answer }) => {
    node.handle(name, async (stream) => {
      const writer = stream.writable.getWriter()
      await writer.write(new TextEncoder().encode(answer))
      await writer.close()
    })
    await node.provide({ name })
  }, { name, answer })
}

/** What a stream to `name` answers. */
const asks = (page, target) => page.evaluate(async (target) => {
  const stream = await node.open(target)
  return new TextDecoder().decode(await story.readAll(stream.readable))
}, target)

/** Until somebody else gets this answer again; in ms since `start`. */
async function reachable (page, target, answer, start) {
  await eventually(async () => await asks(page, target) === answer, { ms: 10_000, what: `${target} to answer ${answer}`, every: 20 })
  return performance.now() - start
}

const connections = async (relay) => Number(/^openred_connections (\d+)/m.exec(await relay.metrics())[1])

story('five tabs are one peer with one connection, and each of them finds, offers and talks', async (world) => {
  const relay = await world.relay()
  const context = await world.profile()
  const tabs = []
  for (let n = 0; n < 5; n++) tabs.push(await tab(world, [relay], context))
  assert.deepEqual(await Promise.all(tabs.map(role)), ['leading', 'following', 'following', 'following', 'following'])
  assert.equal(new Set(await Promise.all(tabs.map((page) => page.evaluate(() => node.peerId)))).size, 1)
  assert.equal(await connections(relay), 1)
  const stranger = await world.member([relay])
  for (const [n, page] of tabs.entries()) {
    await serves(page, `tab-${n}`, `this is tab ${n}`)
    assert.equal(await asks(stranger, `tab-${n}`), `this is tab ${n}`)
  }
  await serves(stranger, 'out-there', 'hello')
  for (const page of tabs) {
    assert.equal(await asks(page, 'out-there'), 'hello')
    const peers = await page.evaluate(() => node.peers())
    assert.ok(peers.some((peer) => peer.peerId === relay.peerId), JSON.stringify(peers))
  }
  const echoed = await tabs[3].evaluate(async () => {
    const sent = story.pattern(2_000_000)
    globalThis.sum = await story.sha256(sent)
    node.handle('mirror', (stream) => stream.readable.pipeTo(stream.writable))
    await node.provide({ name: 'mirror' })
    return sum
  })
  const back = await stranger.evaluate(async () => {
    const stream = await node.open('mirror')
    const writer = stream.writable.getWriter()
    void writer.write(story.pattern(2_000_000)).then(() => writer.close())
    return story.sha256(await story.readAll(stream.readable))
  })
  assert.equal(back, echoed, 'two megabytes there and back through two tabs')
})

story('a hidden tab that leads, and whose timers are late, keeps no other tab waiting', async (world) => {
  const [a, b, c] = await world.threeRelays()
  const context = await world.profile()
  const [first, second] = [await tab(world, [c], context, lateTimers), await tab(world, [c], context, lateTimers)]
  assert.deepEqual(await Promise.all([first, second].map(role)), ['leading', 'following'])
  const stranger = await world.member([c])
  await serves(stranger, 'lighthouse', 'light')
  assert.equal(await asks(second, 'lighthouse'), 'light')

  await hide(first, second)
  // Timers that began while it was seen have gone off by then.
  await pause(4_000)
  // Whoever asks them has to give them up by the clock.
  a.freeze()
  b.freeze()
  const { value, ms } = await second.evaluate(() => story.outcome(() => node.find('lighthouse', { maxAge: 0 })))
  assert.equal(value?.records.length, 1)
  console.log(`found after ${ms.toFixed(0)} ms`)
  assert.ok(ms < LATE_MS / 4, `it took ${ms.toFixed(0)} ms`)
  assert.equal(await asks(second, 'lighthouse'), 'light')
  assert.equal(await role(first), 'leading', 'streams through it live')
})

for (const [how, end, prepare] of [
  ['is closed', (page) => page.close()],
  ['closes its node', (page) => page.evaluate(() => node.close())],
  ['crashes', crash],
  ['is frozen', freeze, hide],
  ['is reloaded', (page) => page.reload()]
]) {
  story(`the leading tab ${how}: another takes over, and what is left stands again within 3 s`, async (world) => {
    const relay = await world.relay()
    const context = await world.profile()
    const [first, second, third] = [await tab(world, [relay], context), await tab(world, [relay], context), await tab(world, [relay], context)]
    const stranger = await world.member([relay])
    await serves(third, 'lighthouse', 'light')
    assert.equal(await asks(stranger, 'lighthouse'), 'light')
    await serves(stranger, 'sea', 'waves')
    const peer = await third.evaluate(() => node.peerId)
    await stranger.evaluate(() => node.handle('silence', () => {}))
    await third.evaluate(async (peer) => {
      const stream = await node.open({ peer, name: 'silence' })
      globalThis.ended = story.outcome(() => stream.readable.getReader().read())
    }, await stranger.evaluate(() => node.peerId))

    await prepare?.(first, third)
    const start = performance.now()
    await end(first)
    const ms = await reachable(stranger, `lighthouse@${peer}`, 'light', start)
    console.log(`the leading tab ${how}: reachable again after ${ms.toFixed(0)} ms`)
    assert.ok(ms < RETURN_MS, `it took ${ms.toFixed(0)} ms`)
    assert.equal((await within(1_000, third.evaluate(() => globalThis.ended), 'the stream to end')).code, 'STREAM_RESET')
    assert.deepEqual(await Promise.all([second, third].map(role)), ['leading', 'following'])
    assert.equal(await third.evaluate(() => node.peerId), peer)
    for (const page of [second, third]) {
      assert.equal(await asks(page, 'sea'), 'waves')
      const states = await page.evaluate(() => states)
      assert.deepEqual(states.slice(-2).map(([state]) => state), ['joining', 'ready'], JSON.stringify(states))
    }
    const found = await stranger.evaluate(() => node.find('lighthouse', { maxAge: 0 }))
    assert.equal(found.records.length, 1)
  })
}

story('what a tab offered goes with it, also when it led and had no time to say so', async (world) => {
  const relay = await world.relay()
  const context = await world.profile()
  const [first, second, third] = [await tab(world, [relay], context), await tab(world, [relay], context), await tab(world, [relay], context)]
  const stranger = await world.member([relay])
  for (const page of [first, second, third]) await serves(page, `from-${await role(page) === 'leading' ? 'first' : page === second ? 'second' : 'third'}`, 'here')
  const gone = (name) => eventually(async () => {
    const { records } = await stranger.evaluate((name) => node.find(name, { maxAge: 0 }), name)
    return records.length === 0
  }, { ms: 10_000, what: `${name} to be gone` })
  await third.close()
  await gone('from-third')
  await first.close()
  await gone('from-first')
  assert.equal(await asks(stranger, 'from-second'), 'here')
})

story('a frozen tab follows when it is thawed, and what it serves is there again', async (world) => {
  const relay = await world.relay()
  const context = await world.profile()
  const [first, second] = [await tab(world, [relay], context), await tab(world, [relay], context)]
  const stranger = await world.member([relay])
  await serves(first, 'lighthouse', 'light')
  const peer = await first.evaluate(() => node.peerId)
  await hide(first, second)
  await freeze(first)
  await eventually(async () => await role(second) === 'leading', { ms: RETURN_MS, what: 'the other tab to lead' })
  const start = performance.now()
  await thaw(first)
  const ms = await reachable(stranger, `lighthouse@${peer}`, 'light', start)
  assert.ok(ms < RETURN_MS, `it took ${ms.toFixed(0)} ms`)
  assert.equal(await role(first), 'following')
  console.log(`a thawed tab is reachable through the other one after ${ms.toFixed(0)} ms`)
})

story('a tab that stands still without a word does not hold up the others', async (world) => {
  const relay = await world.relay()
  const context = await world.profile()
  const [first, second] = [await tab(world, [relay], context), await tab(world, [relay], context)]
  const stranger = await world.member([relay])
  await serves(stranger, 'sea', 'waves')
  await standStill(first, 10_000)
  assert.equal(await within(12_000, asks(second, 'sea'), 'the question to be answered'), 'waves')
  assert.equal(await role(second), 'leading')
  await eventually(async () => await role(first) === 'following', { ms: 15_000, what: 'the first tab to follow' })
  assert.equal(await asks(first, 'sea'), 'waves')
}, { ms: 90_000 })

story('tabs opened and closed in quick succession: one peer, never two nodes', async (world) => {
  const relay = await world.relay()
  const context = await world.profile()
  const keeper = await tab(world, [relay], context)
  const peer = await keeper.evaluate(() => node.peerId)
  const nodes = new Lives(context)
  let tabs = [keeper]
  for (let round = 0; round < 6; round++) {
    const fresh = await Promise.all([1, 2].map(() => tab(world, [relay], context)))
    // The one that leads goes first, then another one before the next has settled.
    const leading = (await Promise.all(tabs.map(async (page) => [page, await role(page)]))).find(([, role]) => role === 'leading')[0]
    tabs = [...tabs, ...fresh].filter((page) => page !== leading)
    await leading.close()
    if (tabs.length > 2) await tabs.shift().close()
  }
  for (const page of tabs) assert.equal(await page.evaluate(() => node.peerId), peer)
  await eventually(async () => (await Promise.all(tabs.map(role))).filter((role) => role === 'leading').length === 1, { ms: 5_000, what: 'one tab to lead' })
  await eventually(async () => await connections(relay) === 1, { ms: 5_000, what: 'one connection to be left' })
  assert.deepEqual(nodes.overlaps(), [], 'a node that goes on while another one runs')
}, { ms: 120_000 })

/** Which tab's node speaks to the relay when, seen from outside: the frames that its WebSockets send. */
class Lives {
  #sent = []

  constructor (context) {
    for (const page of context.pages()) this.#watch(page)
    context.on('page', (page) => this.#watch(page))
  }

  #watch (page) {
    page.on('websocket', (socket) => socket.on('framesent', () => this.#sent.push(page)))
  }

  /** Places where a tab says something after another tab has begun to speak. */
  overlaps () {
    const over = new Set()
    const found = []
    let speaker
    for (const [at, page] of this.#sent.entries()) {
      if (page === speaker) continue
      if (over.has(page)) found.push(at)
      if (speaker) over.add(speaker)
      speaker = page
    }
    return found
  }
}
