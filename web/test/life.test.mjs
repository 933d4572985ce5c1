/** A page's life, event by event, and what becomes of its node. */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, mock, test } from 'node:test'
import { watchPage } from '../node_modules/.cache/unit/life.mjs'
import { fails, fake, join } from './world.mjs'
import { holdTime, Origin, pass, turns } from './origin.mjs'

/** The page: its document, and events of its window. */
class Page {
  constructor () {
    this.document = new EventTarget()
    this.document.visibilityState = 'visible'
    this.window = new EventTarget()
    this.network = new EventTarget()
  }

  enter () {
    const { window } = this
    globalThis.document = this.document
    Object.defineProperty(globalThis, 'navigator', { value: { connection: this.network }, configurable: true })
    globalThis.addEventListener = window.addEventListener.bind(window)
  }

  leave () {
    delete globalThis.document
    delete globalThis.navigator
    delete globalThis.addEventListener
  }

  shown (state) {
    this.document.visibilityState = state
    this.document.dispatchEvent(new Event('visibilitychange'))
  }

  told (type, fields) { (['freeze', 'resume'].includes(type) ? this.document : this.window).dispatchEvent(Object.assign(new Event(type), fields)) }
}

let page
beforeEach(() => {
  holdTime()
  page = new Page()
  page.enter()
})
afterEach(() => {
  page.leave()
  mock.timers.reset()
  delete globalThis.indexedDB
})

test('whatever may have cost the connections wakes the node', async () => {
  const node = await join()
  const raw = fake.nodes.at(-1)
  const wakes = async (action) => {
    const before = raw.woken ?? 0
    await action()
    await turns()
    return (raw.woken ?? 0) - before
  }
  assert.equal(await wakes(() => page.shown('hidden')), 0)
  assert.equal(await wakes(() => page.shown('visible')), 1)
  assert.equal(await wakes(() => page.told('resume')), 1)
  assert.equal(await wakes(() => page.told('online')), 1)
  assert.equal(await wakes(() => page.network.dispatchEvent(new Event('change'))), 0)
  assert.equal(raw.changed, 1, 'another network is more than a wake')
  assert.equal(await wakes(() => pass(30_000)), 0, 'time that passes is no reason')
  const sleep = () => {
    mock.timers.setTime(Date.now() + 60_000)
    return pass(3_000)
  }
  assert.equal(await wakes(sleep), 1, 'time that was lost is')
  await node.close()
  assert.equal(await wakes(() => page.told('online')), 0)
})

test('a browser without network is told to the node', async () => {
  const node = await join()
  page.told('offline')
  await turns()
  assert.equal(fake.nodes.at(-1).gone, 1)
  await node.close()
})

test('a page that is put away stops its node and has it again, with all it offers', async () => {
  const told = []
  const node = await join({ onEvent: (event) => event.type === 'status' && told.push(event.state) })
  node.handle('cake', () => {})
  await node.provide({ name: 'cake', metadata: { taste: 'plum' } })
  const stream = await node.open({ peer: node.peerId, name: 'cake' })
  const first = fake.nodes.at(-1)
  page.told('pagehide', { persisted: true })
  assert.ok(first.closed, 'at once: nothing runs after this')
  assert.equal(node.status.state, 'offline')
  await fails(() => stream.readable.getReader().read(), 'STREAM_RESET')
  const finding = node.find('cake')
  page.told('pageshow', { persisted: true })
  await turns()
  assert.deepEqual(told, ['ready', 'offline', 'joining', 'ready'])
  assert.equal(fake.nodes.at(-1).id, first.id)
  assert.equal((await finding).records.length, 1, 'what was asked meanwhile is answered')
  await node.open({ peer: node.peerId, name: 'cake' })
  await node.close()
})

test('a page that is loaded anew or shown for the first time is not put away', async () => {
  const node = await join()
  const nodes = fake.nodes.length
  page.told('pageshow', { persisted: false })
  await turns()
  assert.equal(fake.nodes.length, nodes)
  await node.close()
})

test('a frozen page lets go of a node that other tabs may want, and keeps its own', async () => {
  const own = await join()
  const raw = fake.nodes.at(-1)
  const shared = await new Origin().open()
  const shares = fake.nodes.at(-1)
  const finding = shared.node.find('cake')
  page.told('freeze')
  assert.deepEqual([raw.closed, shares.closed], [false, true])
  page.told('resume')
  await turns()
  assert.equal(shared.node.status.state, 'ready')
  assert.equal(fake.nodes.at(-1).id, shares.id)
  assert.deepEqual((await finding).records, [], 'what was asked before is answered after')
  await Promise.all([own.close(), shared.node.close()])
})

test('a page that goes for good says goodbye for its offers', async () => {
  const node = await join()
  const other = await join()
  await node.provide({ name: 'cake' })
  page.told('pagehide', { persisted: false })
  const raw = fake.nodes.at(-2)
  assert.ok(raw.hungUp, 'at once: nothing runs after this')
  await turns()
  assert.deepEqual((await other.find('cake')).records, [])
  await other.close()
})

test('a tab that goes for good hangs up for the node that it runs, and not for that of another tab', async () => {
  const origin = new Origin()
  const [leading, following] = [await origin.open(), await origin.open()]
  const raw = fake.nodes.at(-1)
  page.told('pagehide', { persisted: false })
  assert.ok(raw.hungUp && raw.closed)
  await turns()
  await Promise.all([leading.node.close(), following.node.close()])
})

test('without a page there is nothing to watch', () => {
  page.leave()
  watchPage({})()
})
