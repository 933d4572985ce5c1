/** The calls of a node: what they give, how they end, what is left after close and crash. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fails, fake, join, pair, settled } from './world.mjs'

test('what is offered is found, changed and gone', async () => {
  const { guest, host } = await pair('tea', () => {})
  const registration = await host.provide({ name: 'cake', type: 'food', metadata: { taste: 'plum' }, clusters: ['sweet'], ttl: 60_000 })
  assert.equal(registration.name, 'cake')
  const { records: [record], layer, elapsedMs } = await guest.find('cake')
  assert.equal(layer, 'dht')
  assert.equal(typeof elapsedMs, 'number')
  assert.equal(record.provider, host.peerId)
  assert.deepEqual(record.metadata, { taste: 'plum' })
  assert.deepEqual(record.clusters, ['sweet'])

  await registration.update({ metadata: { taste: 'apple' } })
  assert.deepEqual((await guest.find(`cake@${host.peerId}`)).records[0].metadata, { taste: 'apple' })
  await Promise.all([registration.update({ region: 'eu' }), registration.update({ type: 'drink' })])
  const { records: [changed] } = await guest.find('cake')
  assert.deepEqual([changed.region, changed.type, changed.metadata], ['eu', 'drink', { taste: 'apple' }])
  await registration.withdraw()
  await registration.withdraw()
  assert.deepEqual((await guest.find('cake')).records, [])
  assert.equal((await guest.find('cake')).layer, undefined)
  await fails(() => registration.update({ type: 'x' }), 'NOT_FOUND')
  assert.equal((await host.find('tea')).layer, 'own')
  await Promise.all([guest.close(), host.close()])
})

test('a stream is opened by name, name@peer, record, and peer with name', async () => {
  const from = []
  const { guest, host } = await pair('tea', (stream, peer) => { from.push(peer) })
  const { records: [record] } = await guest.find('tea')
  for (const target of ['tea', `tea@${host.peerId}`, record, { peer: host.peerId, name: 'tea' }]) {
    const stream = await guest.open(target)
    assert.deepEqual([stream.name, stream.remotePeer, stream.path], ['tea', host.peerId, 'relayed'])
  }
  await settled()
  assert.deepEqual(from, Array(4).fill(guest.peerId))
  await fails(() => guest.open('nobody-offers-this'), 'NOT_FOUND')
  await fails(() => guest.open({ peer: host.peerId, name: 'other' }), 'REFUSED')
  await host.close()
  await fails(() => guest.open(record), 'UNREACHABLE')
  await guest.close()
})

test('peers, figures and reasons', async () => {
  const node = await join()
  const [relay] = node.peers()
  assert.deepEqual([relay.roles, relay.path], [['relay'], 'direct'])
  assert.equal(typeof node.stats().uptimeMs, 'number')
  assert.equal((await node.explain('12D3KooWNobody')).code, 'UNKNOWN')
  assert.deepEqual(await node.explain('chess'), { code: 'NOBODY', reason: 'nobody offers chess', layers: [] })
  assert.equal(node.stats().warm, false)
  await node.close()
})

test('wrong arguments are refused before anything is asked', async () => {
  const node = await join()
  const wrong = {
    INVALID_NAME: [() => node.find(42), () => node.provide({}), () => node.handle(undefined, () => {}), () => node.open({ peer: 'x' }), () => node.find('Upper')],
    INVALID_OPTION: [
      () => node.provide({ name: 'a', metadata: { n: 42 } }),
      () => node.provide({ name: 'a', metadata: ['x'] }),
      () => node.provide({ name: 'a', ttl: 1.5 }),
      () => node.provide({ name: 'a', clusters: 'eu' }),
      () => node.provide({ name: 'a', port: 80 }),
      () => node.provide(undefined),
      () => node.find('a', { limit: 0 }),
      () => node.find('a', { timeout: 'soon' }),
      () => node.find('a', { signal: 1 }),
      () => node.open(42),
      () => node.open(null),
      () => node.open({ name: 'a' }),
      () => node.open({ name: 1, provider: 'x' }),
      () => node.open('a', { timeout: -1 }),
      () => node.handle('a', 'not a function'),
      () => node.events({ buffer: 0 }),
      () => node.explain(42),
    ],
  }
  for (const [code, calls] of Object.entries(wrong)) for (const call of calls) await fails(call, code)
  const cycle = {}
  cycle.self = cycle
  await fails(() => node.open(cycle), 'INVALID_OPTION')
  assert.equal((await node.find('a')).records.length, 0, 'the node is as good as before')
  await node.close()
})

test('a signal rejects with its reason and cancels the raw call', async () => {
  const node = await join()
  const raw = fake.nodes.at(-1)
  const reason = new Error('enough')
  const calls = {
    find: (signal) => node.find('never', { signal }),
    open: (signal) => node.open('never', { signal }),
    provide: (signal) => node.provide({ name: 'mine' }, { signal }),
    'provide, signal beside the offer': (signal) => node.provide({ name: 'mine', signal }),
  }
  for (const [name, call] of Object.entries(calls)) {
    assert.equal((await fails(() => call(AbortSignal.abort(reason)), 'ABORTED')).cause, reason, name)
    const before = raw.canceled.length
    const controller = new AbortController()
    const pending = fails(() => call(controller.signal), 'ABORTED')
    controller.abort(reason)
    assert.equal((await pending).cause, reason, name)
    assert.equal(raw.canceled.length, before + 1, name)
  }
  await settled()
  assert.deepEqual((await node.find('mine')).records, [], 'an aborted offer is no offer')
  await node.close()
})

test('after close every call says CLOSED, and what was pending too', async () => {
  const node = await join()
  const registration = await node.provide({ name: 'mine' })
  const handler = node.handle('mine', () => {})
  const pending = fails(() => node.find('never'), 'CLOSED')
  await node.close()
  await pending
  const calls = {
    find: () => node.find('x'),
    open: () => node.open('x'),
    provide: () => node.provide({ name: 'x' }),
    handle: () => node.handle('x', () => {}),
    events: () => node.events(),
    peers: () => node.peers(),
    stats: () => node.stats(),
    explain: () => node.explain('x'),
    exportIdentity: () => node.exportIdentity(),
    update: () => registration.update({}),
    withdraw: () => registration.withdraw(),
  }
  for (const call of Object.values(calls)) await fails(call, 'CLOSED')
  handler.close()
  await node.close()
  assert.match(node.peerId, /^12D3KooW/)
})

test('a handler that throws costs its own stream and is told', async () => {
  let calls = 0
  const { guest, host } = await pair('clumsy', async (stream) => {
    calls += 1
    if (calls === 1) throw new Error('dropped the plates')
    await stream.readable.pipeTo(stream.writable)
  })
  const events = host.events()
  const first = await guest.open('clumsy')
  await fails(() => first.readable.getReader().read(), 'STREAM_RESET')
  for await (const event of events) {
    if (event.type !== 'warning') continue
    assert.equal(event.code, 'HANDLER_FAILED')
    assert.match(event.message, /clumsy.*dropped the plates/)
    break
  }
  const second = await guest.open('clumsy')
  await second.close()
  assert.deepEqual(await second.readable.getReader().read(), { done: true, value: undefined })
  await Promise.all([guest.close(), host.close()])
})

test('a closed handler refuses', async () => {
  const { guest, host } = await pair('tea', () => {})
  const handler = host.handle('milk', () => {})
  await guest.open({ peer: host.peerId, name: 'milk' })
  handler.close()
  await fails(() => guest.open({ peer: host.peerId, name: 'milk' }), 'REFUSED')
  await Promise.all([guest.close(), host.close()])
})

test('events reach every reader; a slow one learns how much it missed', async () => {
  const node = await join()
  const raw = fake.nodes.at(-1)
  await settled()
  const [quick, slow] = [node.events(), node.events({ buffer: 3 })]
  const first = quick.next()
  for (let n = 1; n <= 10; n++) raw.emit({ type: 'warning', code: 'TEST', message: String(n) })
  assert.equal((await first).value.message, '1')
  await settled()
  for (let n = 2; n <= 10; n++) assert.equal((await quick.next()).value.message, String(n))
  assert.deepEqual((await slow.next()).value, { type: 'lagged', missed: 7 })
  for (let n = 8; n <= 10; n++) assert.equal((await slow.next()).value.message, String(n))

  const waiting = slow.next()
  await slow.return()
  assert.deepEqual(await waiting, { done: true, value: undefined })
  raw.emit({ type: 'warning', code: 'TEST', message: 'late' })
  await settled()
  assert.equal((await slow.next()).done, true)

  const controller = new AbortController()
  const aborted = node.events({ signal: controller.signal })
  const pending = fails(() => aborted.next(), 'ABORTED')
  controller.abort(new Error('enough'))
  assert.equal((await pending).cause.message, 'enough')

  await node.close()
  const last = []
  for await (const event of quick) last.push(event)
  assert.deepEqual(last.at(-1), { type: 'status', state: 'closed' })
})

test('a listener that throws does not harm the node', async (t) => {
  const { reportError } = globalThis
  t.after(() => { globalThis.reportError = reportError })
  const reported = []
  globalThis.reportError = (error) => reported.push(error.message)
  const node = await join({ onEvent: (event) => { if (event.type === 'status') throw new Error(event.state) } })
  await settled()
  assert.equal(node.status.state, 'ready')
  await node.close()
  assert.deepEqual(reported, ['ready', 'closed'])
})
