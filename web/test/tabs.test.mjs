/** Several tabs of one origin with one identity: one runs the node, all are the same peer, and any of them may go. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { cpSync, rmSync } from 'node:fs'
import { afterEach, beforeEach, mock, test } from 'node:test'
import { fails, fake, join, readAll, wasm } from './world.mjs'
import { holdTime, Origin, pass, turns } from './origin.mjs'

beforeEach(() => {
  fake.clashes.length = 0
  holdTime()
})
afterEach(() => {
  mock.timers.reset()
  delete globalThis.indexedDB
})

/** Nodes that run. */
const running = () => fake.nodes.filter((node) => !node.closed)

/** Ends everything of an origin. */
async function end (...tabs) {
  await Promise.all(tabs.filter((tab) => !tab.dead).map((tab) => tab.node.close()))
  await turns()
  assert.equal(running().length, 0, 'nothing is left running')
}

const echo = (stream) => stream.readable.pipeTo(stream.writable)

/** Sends `bytes` through a stream and gives what comes back. */
async function exchange (stream, bytes) {
  const writer = stream.writable.getWriter()
  const writing = writer.write(bytes).then(() => writer.close())
  const back = await readAll(stream.readable)
  await writing
  return back
}

/** A node somewhere else, which serves `name`. */
async function stranger (name, handler = echo) {
  const node = await join({ identity: undefined })
  node.handle(name, handler)
  await node.provide({ name })
  return node
}

test('the second tab uses the node of the first, as the same peer', async () => {
  const origin = new Origin()
  const first = await origin.open()
  const second = await origin.open()
  assert.equal(running().length, 1)
  assert.equal(second.node.peerId, first.node.peerId)
  assert.deepEqual([first.node.tab, second.node.tab], ['leading', 'following'])
  assert.deepEqual(second.node.status, { state: 'ready' })
  assert.deepEqual(second.node.exportIdentity(), first.node.exportIdentity())
  assert.deepEqual(second.node.peers().map(({ peerId }) => peerId), first.node.peers().map(({ peerId }) => peerId))
  assert.equal(second.node.stats().rememberedPeers, 3)
  assert.deepEqual(await second.node.explain('chess'), { code: 'NOBODY', reason: 'nobody offers chess', layers: [] })

  const other = await stranger('tea')
  const { records: [record] } = await second.node.find('tea')
  assert.equal(record.provider, other.peerId)
  assert.equal((await exchange(await second.node.open(record), Buffer.from('hello'))).toString(), 'hello')

  second.node.handle('cake', echo)
  const registration = await second.node.provide({ name: 'cake', metadata: { taste: 'plum' } })
  const stream = await other.open(`cake@${first.node.peerId}`)
  assert.equal((await exchange(stream, Buffer.from('a slice'))).toString(), 'a slice')
  await registration.update({ metadata: { taste: 'apple' } })
  assert.deepEqual((await other.find('cake')).records[0].metadata, { taste: 'apple' })
  assert.equal((await first.node.find('cake')).layer, 'own')
  await registration.withdraw()
  assert.deepEqual((await other.find('cake')).records, [])
  await other.close()
  await end(first, second)
})

for (const [how, go] of [
  ['closes', (tab) => tab.node.close()],
  ['crashes', (tab) => tab.crash()],
]) {
  test(`the leading tab ${how}: another one takes over and everything stands again`, async () => {
    const origin = new Origin()
    const first = await origin.open()
    const [second, third] = [await origin.open(), await origin.open()]
    const other = await stranger('tea')
    second.node.handle('cake', echo)
    third.node.handle('pie', echo)
    const cake = await second.node.provide({ name: 'cake' })
    await third.node.provide({ name: 'pie', metadata: { filling: 'cherry' } })
    const stream = await third.node.open('tea')
    const reading = fails(() => stream.readable.getReader().read(), 'STREAM_RESET')
    const finding = third.node.find('never-1').catch((error) => error)
    await turns()

    await go(first)
    await reading
    await turns()
    assert.equal(running().length, 2, 'the stranger, and one for all tabs')
    assert.deepEqual([second.node.tab, third.node.tab], ['leading', 'following'])
    assert.equal(second.node.peerId, first.node.peerId)
    for (const tab of [second, third]) assert.deepEqual(tab.states.slice(-2), ['joining', 'ready'], String(tab.states))
    for (const name of ['cake', 'pie']) {
      const { records } = await other.find(name)
      assert.deepEqual(records.map(({ provider }) => provider), [second.node.peerId], name)
      assert.equal((await exchange(await other.open(records[0]), Buffer.from(name))).toString(), name)
    }
    assert.deepEqual((await other.find('pie')).records[0].metadata, { filling: 'cherry' })
    await cake.update({ metadata: { taste: 'plum' } })
    assert.deepEqual((await other.find('cake')).records[0].metadata, { taste: 'plum' })
    assert.equal((await exchange(await third.node.open('tea'), Buffer.from('again'))).toString(), 'again')
    assert.deepEqual(fake.clashes, [])
    await other.close()
    await end(second, third)
    assert.equal((await finding).code, 'CLOSED', 'the unanswered find was asked again and ended with the node')
  })
}

test('a tab that comes while the last one closes gets a node of its own', async () => {
  const origin = new Origin()
  const first = await origin.open()
  const [node] = running()
  let part
  const parted = new Promise((resolve) => { part = resolve })
  const { close } = node
  node.close = () => parted.then(() => close.call(node))
  const closing = first.node.close()
  await turns()
  const second = origin.tab()
  const joining = second.join()
  await turns()
  assert.equal(second.node, undefined, 'it does not join through a node that closes')
  part()
  await Promise.all([closing, joining])
  assert.equal(second.node.tab, 'leading')
  assert.ok(!second.events.some(({ type, role }) => type === 'tab' && role === 'following'))
  assert.deepEqual(fake.clashes, [])
  await end(second)
})

test('what a listener serves as soon as the node is there is served once', async () => {
  const origin = new Origin()
  const first = await origin.open()
  let served
  const onEvent = ({ type, role }) => {
    if (type === 'tab' && role === 'leading') served = second.node.handle('cake', echo)
  }
  const second = origin.tab()
  await second.join({ onEvent })
  const other = await join()
  await first.node.close()
  await turns()
  assert.equal((await exchange(await other.open(`cake@${second.node.peerId}`), Buffer.from('a slice'))).toString(), 'a slice')
  assert.deepEqual(second.events.filter(({ type }) => type === 'warning'), [])
  served.close()
  await fails(() => other.open({ peer: second.node.peerId, name: 'cake' }), 'REFUSED')
  await other.close()
  await end(second)
})

test('a tab that stands still without a word loses the lock; when it goes on it follows', async () => {
  const origin = new Origin()
  const first = await origin.open()
  const second = await origin.open()
  first.node.handle('cake', echo)
  await first.node.provide({ name: 'cake' })
  first.standStill()
  const finding = second.node.find('tea')
  await pass(9_000)
  assert.deepEqual((await finding).records, [])
  assert.equal(second.node.tab, 'leading')
  first.goOn()
  await turns()
  assert.equal(running().length, 1)
  assert.equal(first.node.tab, 'following')
  assert.deepEqual(first.node.status, { state: 'ready' })
  assert.equal((await second.node.find('cake')).records.length, 1, 'what it offers stands')
  await end(first, second)
})

test('a lone tab that stands still does not keep a new one out', async () => {
  const origin = new Origin()
  const first = await origin.open()
  first.standStill()
  const second = origin.tab()
  const joining = second.join()
  await pass(5_000)
  await joining
  assert.equal(second.node.tab, 'leading')
  first.goOn()
  await turns()
  assert.equal(first.node.tab, 'following')
  await end(first, second)
})

test('tabs that come and go in quick succession: never two nodes, always one', async () => {
  for (let seed = 1; seed <= 20; seed++) {
    let state = seed
    const draw = (most) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0
      return Math.floor((state / 2 ** 32) * most)
    }
    const origin = new Origin()
    const tabs = []
    const closing = []
    for (let step = 0; step < 40; step++) {
      const live = tabs.filter((tab) => tab.node && !tab.gone)
      if (live.length < 2 || draw(2) === 0) {
        const tab = origin.tab()
        tabs.push(tab)
        tab.join().then(() => tab.node.provide({ name: `from-${tabs.length}` })).catch(() => {})
      } else {
        const tab = live[draw(live.length)]
        tab.gone = true
        if (draw(2) === 0) tab.crash()
        else closing.push(tab.node.close())
      }
      await turns(draw(12))
    }
    await pass(4_000)
    await turns(100)
    await Promise.all(closing)
    const left = tabs.filter((tab) => !tab.gone)
    for (const tab of left) assert.ok(tab.node, `seed ${seed}: tab ${tabs.indexOf(tab)} has joined`)
    assert.deepEqual(fake.clashes, [], `seed ${seed}`)
    assert.equal(running().length, left.length > 0 ? 1 : 0, `seed ${seed}`)
    assert.equal(left.filter((tab) => tab.node.tab === 'leading').length, left.length > 0 ? 1 : 0, `seed ${seed}`)
    assert.equal(new Set(left.map((tab) => tab.node.peerId)).size, left.length > 0 ? 1 : 0)
    for (const tab of left) assert.equal(tab.node.status.state, 'ready', `seed ${seed}`)
    await end(...left)
  }
})

test('bytes between tabs come whole and in order, and a reader who does not read holds the writer back', async () => {
  const origin = new Origin()
  const first = await origin.open()
  const second = await origin.open()
  const inbound = []
  const other = await stranger('tea', (stream) => { inbound.push(stream) })
  const sent = randomBytes(1_500_000)
  const stream = await second.node.open('tea')
  await turns()
  const writer = stream.writable.getWriter()
  let taken = 0
  const writing = (async () => {
    for (let at = 0; at < sent.length; at += 50_000) {
      await writer.write(sent.subarray(at, at + 50_000))
      taken = at
    }
    await writer.close()
  })()
  await turns()
  const stuck = taken
  await turns()
  assert.equal(taken, stuck, 'nobody reads')
  assert.ok(stuck < 800_000, `${stuck} bytes are under way`)
  assert.ok((await readAll(inbound[0].readable)).equals(sent))
  await writing

  const answer = inbound[0].writable.getWriter()
  const answering = answer.write(sent).then(() => answer.close())
  assert.ok((await readAll(stream.readable)).equals(sent), 'the other direction went on')
  await answering
  await other.close()
  await end(first, second)
})

test('either side of a stream between tabs can end it, and the other side is told', async () => {
  const origin = new Origin()
  const first = await origin.open()
  const second = await origin.open()
  const inbound = []
  const other = await stranger('tea', (stream) => { inbound.push(stream) })
  const [mine, theirs] = [await second.node.open('tea'), await second.node.open('tea')]
  await turns()
  const reason = new Error('enough')
  const here = fails(() => mine.readable.getReader().read(), 'ABORTED')
  const there = fails(() => inbound[0].readable.getReader().read(), 'STREAM_RESET')
  mine.abort(reason)
  assert.equal((await here).cause, reason)
  await there
  const reading = fails(() => theirs.readable.getReader().read(), 'STREAM_RESET')
  inbound[1].abort()
  await reading

  const last = await second.node.open('tea')
  await turns()
  const writer = inbound[2].writable.getWriter()
  await writer.write(Buffer.from('no, thank you'))
  await writer.close()
  assert.equal((await readAll(last.readable)).toString(), 'no, thank you')
  second.crash()
  await fails(() => readAll(inbound[2].readable), 'STREAM_RESET')
  await other.close()
  await end(first)
})

test('a stream on its way to a tab whose handler closes is reset', async () => {
  const origin = new Origin()
  const [first, second] = [await origin.open(), await origin.open()]
  const other = await join()
  const serving = second.node.handle('cake', () => assert.fail('nobody serves it any more'))
  await turns()
  const stream = await other.open({ peer: first.node.peerId, name: 'cake' })
  serving.close()
  let ended = false
  const reading = fails(() => stream.readable.getReader().read(), 'STREAM_RESET').then(() => { ended = true })
  await turns()
  assert.ok(ended, 'who opened it learns that nobody takes it')
  await reading
  await other.close()
  await end(first, second)
})

test('errors keep their codes from tab to tab, and signals reach the node', async () => {
  const origin = new Origin()
  const first = await origin.open()
  const second = await origin.open()
  const raw = running()[0]
  const other = await stranger('tea')
  await fails(() => second.node.open('nobody-offers-this'), 'NOT_FOUND')
  await fails(() => second.node.open({ peer: other.peerId, name: 'other' }), 'REFUSED')
  await fails(() => second.node.find('Not A Name'), 'INVALID_NAME')
  await fails(() => second.node.provide({ name: 'Not A Name' }), 'INVALID_NAME')
  await fails(() => second.node.handle('Not A Name', () => {}), 'INVALID_NAME')
  second.node.handle('mine', () => {})
  await fails(() => second.node.handle('mine', () => {}), 'INVALID_OPTION')
  await second.node.provide({ name: 'mine' })
  for (const { node } of [first, second]) {
    if (node === first.node) await node.provide({ name: 'mine' })
    await fails(() => node.provide({ name: 'mine' }), 'INVALID_OPTION')
  }
  const controller = new AbortController()
  const finding = fails(() => second.node.find('never', { signal: controller.signal }), 'ABORTED')
  await turns()
  const before = raw.canceled.length
  controller.abort(new Error('enough'))
  assert.equal((await finding).cause.message, 'enough')
  await turns()
  assert.equal(raw.canceled.length, before + 1)
  await other.close()
  await end(first, second)
})

test('of two tabs that serve one name the newest does; when it goes the one before does again', async () => {
  const origin = new Origin()
  const [first, second] = [await origin.open(), await origin.open()]
  const other = await join()
  const served = []
  const from = (tab) => () => { served.push(tab) }
  first.node.handle('cake', from('first'))
  await first.node.provide({ name: 'cake', type: 'sweet', metadata: { taste: 'plum' } })
  const ask = async () => {
    await (await other.open(`cake@${first.node.peerId}`)).close()
    await turns()
    const { records: [{ type, metadata }] } = await other.find('cake')
    return [served.at(-1), type, metadata.taste]
  }
  assert.deepEqual(await ask(), ['first', 'sweet', 'plum'])
  second.node.handle('cake', from('second'))
  await second.node.provide({ name: 'cake', metadata: { taste: 'apple' } })
  assert.deepEqual(await ask(), ['second', '', 'apple'])
  await second.node.close()
  await turns()
  assert.deepEqual(await ask(), ['first', 'sweet', 'plum'])
  await other.close()
  await end(first)
})

test('a change that the node took before it failed counts, a tab that could not offer is forgotten', async () => {
  const origin = new Origin()
  const [first, second, third] = [await origin.open(), await origin.open(), await origin.open()]
  const other = await join()
  const cake = await second.node.provide({ name: 'cake', metadata: { taste: 'plum' } })
  const taste = async () => (await other.find('cake')).records.map(({ metadata }) => metadata.taste)
  const [node] = running()
  const { update } = node
  const failing = (code, takes) => {
    node.update = async (...parts) => {
      if (takes) await update.apply(node, parts)
      node.update = update
      throw { code, message: 'as the story wants it' }
    }
  }
  failing('TIMEOUT', true)
  await fails(() => third.node.provide({ name: 'cake', metadata: { taste: 'apple' } }), 'TIMEOUT')
  await turns()
  assert.deepEqual(await taste(), ['plum'], 'what stood before stands again')
  failing('RECORD_TOO_LARGE', false)
  await fails(() => cake.update({ metadata: { taste: 'everything' } }), 'RECORD_TOO_LARGE')
  await third.node.provide({ name: 'cake', metadata: { taste: 'apple' } })
  await third.node.close()
  await turns()
  assert.deepEqual(await taste(), ['plum'], 'a change that was refused is none')
  failing('TIMEOUT', true)
  await fails(() => cake.update({ metadata: { taste: 'cherry' } }), 'TIMEOUT')
  assert.deepEqual(await taste(), ['cherry'])
  const fourth = await origin.open()
  await fourth.node.provide({ name: 'cake', metadata: { taste: 'apple' } })
  await fourth.node.close()
  await turns()
  assert.deepEqual(await taste(), ['cherry'], 'it is what stands again')
  first.crash()
  await turns()
  assert.deepEqual(await taste(), ['cherry'], 'and what the next node is told')
  await other.close()
  await end(second)
})

test('what a tab offered goes with it, however it goes', async () => {
  for (const go of [(tab) => tab.node.close(), (tab) => tab.crash()]) {
    const origin = new Origin()
    const [first, second] = [await origin.open(), await origin.open()]
    await second.node.provide({ name: 'cake' })
    second.node.handle('cake', () => {})
    assert.equal((await first.node.find('cake')).records.length, 1)
    await go(second)
    await pass(500)
    assert.equal((await first.node.find('cake')).records.length, 0)
    const other = await join()
    await fails(() => other.open({ peer: first.node.peerId, name: 'cake' }), 'REFUSED')
    await other.close()
    await end(first)
  }
})

test('messages that are lost or come twice harm nothing but streams', async () => {
  const origin = new Origin()
  const [first, second] = [await origin.open(), await origin.open()]
  const other = await stranger('tea')
  await second.node.provide({ name: 'cake' })
  origin.deliver = () => 2
  assert.equal((await second.node.find('tea')).records.length, 1)
  assert.equal((await exchange(await second.node.open('tea'), randomBytes(300_000))).length, 300_000)
  origin.deliver = () => 1

  for (let lost = 0; lost < 12; lost++) {
    let count = 0
    origin.deliver = (_, name) => (name.split(':').length > 3 && count++ === lost ? 0 : 1)
    const finding = second.node.find('tea')
    await pass(5_000)
    assert.equal((await finding).records.length, 1, `message ${lost} was lost`)
  }
  origin.deliver = () => 1
  await pass(1_000)
  assert.equal(running().length, 2)
  assert.equal((await other.find('cake')).records.length, 1, 'the offer stands')
  await other.close()
  await end(first, second)
})

test('what cannot be copied from tab to tab costs its own call', async (t) => {
  const origin = new Origin()
  const [first, second] = [await origin.open(), await origin.open()]
  t.mock.method(running()[0], 'explain', () => ({ code: 'NOBODY', reason: () => {} }))
  await fails(() => second.node.explain('cake'), 'CRASHED')
  assert.deepEqual((await second.node.find('cake')).records, [])
  assert.deepEqual(second.states.filter((state) => state === 'joining'), [], 'the link went on')
  await end(first, second)
})

test('a tab that does not listen to events is told how many it missed', async () => {
  const origin = new Origin()
  const [first, second] = [await origin.open(), await origin.open()]
  second.standStill()
  for (let n = 1; n <= 300; n++) running()[0].emit({ type: 'warning', code: 'TEST', message: String(n) })
  await turns()
  second.goOn()
  await pass(200)
  await turns(2_000)
  const heard = second.events.filter((event) => event.code === 'TEST' || event.type === 'lagged')
  assert.equal(heard.at(-1).message, '300')
  const missed = heard.find(({ type }) => type === 'lagged')?.missed ?? 0
  assert.equal(heard.filter(({ code }) => code === 'TEST').length + missed, 300)
  assert.ok(missed > 0)
  await end(first, second)
})

test('networks and identities that differ are nodes that differ', async () => {
  const origin = new Origin()
  const identity = (await origin.open()).node.exportIdentity()
  const other = await origin.open({ network: 'other' })
  const bytes = await origin.open({ identity })
  const momentary = await origin.open({ identity: 'ephemeral' })
  assert.deepEqual([other.node.tab, bytes.node.tab, momentary.node.tab], ['leading', 'following', 'alone'])
  assert.equal(bytes.node.peerId, other.node.peerId, 'handed in or kept, it is the same node')
  assert.equal(running().length, 3)
  for (const node of running()) node.abandon()
})

test('a tab whose relays do not answer leaves the node to one whose do', async () => {
  const origin = new Origin()
  const [first, second] = [origin.tab(), origin.tab()]
  const failing = fails(() => first.join({ relays: ['silent.test:1'], timeout: 3_000 }), 'TIMEOUT')
  await turns()
  const joining = second.join()
  await pass(3_500)
  await failing
  await joining
  assert.deepEqual([second.node.tab, second.node.status.state], ['leading', 'ready'])
  await end(second)
})

test('a tab of another version keeps the node, and the new one says so', async () => {
  const origin = new Origin()
  const first = await origin.open()
  origin.deliver = (message) => {
    if (message.kind === 'hello') message.version = 2
    return 1
  }
  const error = await fails(() => origin.tab().join(), 'UNSUPPORTED')
  assert.match(error.message, /another version.*close or reload that tab/)
  assert.equal(running().length, 1)
  await end(first)
})

test('one tab that wants relayed paths only is enough for all, from then on', async () => {
  const origin = new Origin()
  const first = await origin.open()
  await first.node.provide({ name: 'cake' })
  const second = await origin.open({ paths: 'relayed' })
  await turns()
  const [node, ...others] = running()
  assert.deepEqual([others.length, node.options.relayedOnly], [0, true])
  assert.equal((await second.node.find('cake')).records.length, 1)
  await second.node.close()
  await turns()
  assert.deepEqual(running().map(({ options }) => options.relayedOnly), [true], 'who hears of it keeps to it')
  await end(first)
})

test('a leading tab whose code crashes hands over, and stays crashed', async (t) => {
  // Each tab has code of its own.
  const [unit, other] = ['unit', 'unit-other'].map((name) => new URL(`../node_modules/.cache/${name}/`, import.meta.url))
  cpSync(unit, other, { recursive: true })
  t.after(() => rmSync(other, { recursive: true, force: true }))
  const [{ join: joinOther }, { OpenRed }, { fake: otherFake }] = await Promise.all(['join', 'index', 'fake'].map((name) => import(new URL(`${name}.mjs`, other).href)))
  const origin = new Origin()
  const first = origin.tab()
  first.node = new OpenRed(await joinOther({ relays: ['relay.test:443'], wasm, identity: 'persistent' }, first.platform))
  const second = await origin.open()
  assert.deepEqual([first.node.tab, second.node.tab], ['leading', 'following'])
  const finding = fails(() => second.node.find('never-found'), 'CLOSED')
  const pending = fails(() => second.node.find('never', { signal: AbortSignal.timeout(60_000) }), 'CLOSED')
  await turns()
  otherFake.crash('index out of bounds')
  assert.equal(first.node.status.state, 'crashed')
  await turns()
  assert.deepEqual([second.node.tab, second.node.status.state], ['leading', 'ready'])
  await end(second)
  await Promise.all([finding, pending])
})

test('what the leading tab offered is taken back by its successor, unless somebody offers it still', async () => {
  const origin = new Origin()
  const [first, second, third] = [await origin.open(), await origin.open(), await origin.open()]
  const other = await join()
  await first.node.provide({ name: 'cake', metadata: { from: 'the first tab' } })
  await first.node.provide({ name: 'pie' })
  await third.node.provide({ name: 'pie', metadata: { from: 'the third tab' } })
  await pass(500)
  first.crash()
  await pass(1_000)
  const successor = running().find(({ id }) => id === second.node.peerId)
  const made = []
  const { provide } = successor
  successor.provide = (op, offer) => {
    made.push(offer.name)
    return provide.call(successor, op, offer)
  }
  await pass(3_000)
  assert.deepEqual(made, ['cake'], 'offered once more, to be taken back')
  assert.deepEqual((await other.find('cake')).records, [])
  assert.deepEqual((await other.find('pie')).records.map(({ metadata }) => metadata.from), ['the third tab'])
  await other.close()
  await end(second, third)
})

test('what could not be taken back is inherited by the next tab that leads', async (t) => {
  const origin = new Origin()
  const [first, second, third] = [await origin.open(), await origin.open(), await origin.open()]
  await first.node.provide({ name: 'cake' })
  await pass(500)
  const failing = t.mock.method(running()[0].constructor.prototype, 'provide', async () => { throw { code: 'TIMEOUT', message: 'nobody stores it' } })
  first.crash()
  await pass(4_000)
  assert.equal(failing.mock.callCount(), 1, 'it was offered once more, to be taken back')
  // Followers hear what is inherited with the next change.
  await second.node.provide({ name: 'pie' }).catch(() => {})
  await pass(500)
  second.crash()
  const again = failing.mock.callCount()
  await pass(4_000)
  assert.deepEqual(failing.mock.calls.slice(again).map(({ arguments: [, { name }] }) => name), ['cake'])
  await end(third)
})

test('an offer that cannot be made again: whoever changes it or takes it back is told, and nobody tries for ever', async (t) => {
  const origin = new Origin()
  const [first, second, third] = [await origin.open(), await origin.open(), await origin.open()]
  const cake = await second.node.provide({ name: 'cake' })
  await third.node.provide({ name: 'pie' })
  await pass(500)
  const tried = { cake: 0, pie: 0 }
  t.mock.method(running()[0].constructor.prototype, 'provide', async (_, { name }) => {
    tried[name] += 1
    throw { code: 'QUOTA', message: 'this node offers enough' }
  })
  /** How often it is tried while so much time passes. */
  const tries = async (name, ms) => {
    const before = tried[name]
    await pass(ms)
    return tried[name] - before
  }
  first.crash()
  await pass(500)
  const changing = cake.update({ type: 'sweet' }).catch(({ code }) => code)
  const ending = cake.withdraw().catch(({ code }) => code)
  await pass(21_000)
  assert.deepEqual(await Promise.race([Promise.all([changing, ending]), turns(1)]), ['TIMEOUT', 'TIMEOUT'])
  assert.equal(await tries('cake', 11_000), 0, 'it was taken back')
  assert.ok(await tries('pie', 11_000) > 1, 'this one is still wanted')
  await third.node.close()
  await second.node.close()
  assert.equal(await tries('pie', 11_000), 0, 'its tab has closed')
  await end()
})

test('whatever waits for an answer when the leading tab dies is answered by its successor', async () => {
  const origin = new Origin()
  const [first, second] = [await origin.open(), await origin.open()]
  const other = await stranger('tea')
  const [changing, ending] = [await second.node.provide({ name: 'pie' }), await second.node.provide({ name: 'cake' })]
  running().find(({ id }) => id === first.node.peerId).stuck = true
  const third = origin.tab()
  const calls = [
    third.join(),
    second.node.provide({ name: 'soup' }),
    changing.update({ metadata: { filling: 'cherry' } }),
    ending.withdraw(),
    second.node.find('tea'),
    second.node.open('tea'),
  ]
  await turns()
  assert.equal(await Promise.race([...calls, turns(1).then(() => 'nothing')]), 'nothing', 'all of them wait')
  first.crash()
  const [, soup, , , found, stream] = await Promise.all(calls)
  assert.equal(found.records.length, 1)
  assert.equal((await exchange(stream, Buffer.from('two lumps'))).toString(), 'two lumps')
  await soup.update({ metadata: { of: 'the day' } })
  const seen = async (name) => (await other.find(name)).records.map(({ metadata }) => metadata)
  assert.deepEqual(await Promise.all(['soup', 'pie', 'cake'].map(seen)), [[{ of: 'the day' }], [{ filling: 'cherry' }], []])
  assert.deepEqual([second.node.tab, third.node.tab], ['leading', 'following'])
  await other.close()
  await end(second, third)
})

test('a find that is made again has the time that is left, and a node that is a little late may still answer', async (t) => {
  t.mock.method(performance, 'now', () => Date.now())
  const origin = new Origin()
  const [first, second] = [await origin.open(), await origin.open()]
  const given = []
  t.mock.method(running()[0].constructor.prototype, 'find', (op, name, { timeout }) => {
    given.push(timeout)
    return new Promise((resolve) => setTimeout(() => resolve({ records: [], layer: undefined, elapsedMs: timeout, layers: [] }), timeout + 900))
  })
  const finding = second.node.find('tea', { timeout: 5_000 })
  await pass(3_000)
  first.crash()
  await turns()
  assert.deepEqual(given, [5_000, 2_000])
  await pass(3_500)
  assert.deepEqual((await finding).records, [])
  await end(second)
})

test('a call with the longest time there is waits', async () => {
  const tab = await new Origin().open()
  const opening = fails(() => tab.node.open('never', { timeout: 2_147_483_647 }), 'CLOSED')
  await pass(2_000)
  assert.equal(await Promise.race([opening, turns(1).then(() => 'waits')]), 'waits')
  await end(tab)
  await opening
})

test('a call that the leading tab does not answer ends in time', async () => {
  const origin = new Origin()
  const [first, second] = [await origin.open(), await origin.open()]
  for (const node of running()) node.stuck = true
  for (const { node } of [first, second]) {
    const opening = fails(() => node.open('tea', { timeout: 2_000 }), 'TIMEOUT')
    const finding = fails(() => node.find('tea', { timeout: 1_000 }), 'TIMEOUT')
    await pass(4_500)
    await Promise.all([opening, finding])
  }
  await end(first, second)
})

test('a tab that is seen and waits lends the leading tab its clock', async (t) => {
  const origin = new Origin()
  const [first, second] = [await origin.open(), await origin.open()]
  const [node] = running()
  const ticks = async (ms) => {
    const before = node.ticked ?? 0
    await pass(ms)
    return (node.ticked ?? 0) - before
  }
  assert.equal(await ticks(1_000), 0, 'nobody waits for anything')
  const controller = new AbortController()
  const finding = fails(() => second.node.find('never', { signal: controller.signal }), 'ABORTED')
  assert.ok(await ticks(1_000) >= 10)
  t.after(() => { delete globalThis.document })
  globalThis.document = { visibilityState: 'hidden' }
  assert.equal(await ticks(1_000), 0, 'nobody sees it')
  globalThis.document.visibilityState = 'visible'
  assert.ok(await ticks(1_000) >= 10)
  controller.abort()
  await finding
  await turns()
  assert.equal(await ticks(1_000), 0, 'it waits no more')
  delete globalThis.document
  await end(first, second)
})

test('whoever waits no more for a withdrawal has withdrawn all the same', async () => {
  const origin = new Origin()
  const tabs = [await origin.open(), await origin.open()]
  const other = await join()
  const [node] = running()
  const { update } = node
  for (const { node: mine } of tabs) {
    const cake = await mine.provide({ name: 'cake' })
    let goOn
    const held = new Promise((resolve) => { goOn = resolve })
    node.update = (...parts) => held.then(() => update.apply(node, parts))
    const changing = cake.update({ type: 'sweet' })
    await turns()
    const controller = new AbortController()
    const ending = fails(() => cake.withdraw({ signal: controller.signal }), 'ABORTED')
    controller.abort()
    await ending
    goOn()
    node.update = update
    await Promise.all([changing, cake.withdraw()])
    assert.deepEqual((await other.find('cake')).records, [])
  }
  await other.close()
  await end(...tabs)
})

test('a withdrawal that is given up while another tab changes the same name goes on', async () => {
  const origin = new Origin()
  const [first, second] = [await origin.open(), await origin.open()]
  const other = await join()
  const [node] = running()
  const { update } = node
  const mine = await first.raw.provide(1, { name: 'cake' })
  const theirs = await second.node.provide({ name: 'cake' })
  let goOn
  const held = new Promise((resolve) => { goOn = resolve })
  node.update = (...parts) => held.then(() => update.apply(node, parts))
  const changing = theirs.withdraw()
  await turns()
  const ending = first.raw.withdraw(2, mine).catch(({ code }) => code)
  await turns()
  first.raw.cancel(2)
  assert.equal(await ending, 'ABORTED')
  goOn()
  await changing
  await turns()
  assert.deepEqual((await other.find('cake')).records, [])
  await other.close()
  await end(first, second)
})
