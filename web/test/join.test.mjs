/** Joining: options, failures, signals, and what is left behind. */
import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import { holdTime, pass, turns } from './origin.mjs'
import { fails, fake, join, OpenRed, settled, wasm } from './world.mjs'

test('a node joins, tells who it is, and closes', async () => {
  const node = await join({ network: 'test' })
  assert.match(node.peerId, /^12D3KooW/)
  assert.deepEqual(node.status, { state: 'ready' })
  const raw = fake.nodes.at(-1)
  assert.equal(raw.options.network, 'test')
  assert.equal(raw.options.secure, false)
  assert.equal(raw.options.publicPage, false)
  assert.equal(raw.options.relayedOnly, false)
  await node.close()
  assert.ok(raw.closed)
  assert.deepEqual(node.status, { state: 'closed' })
})

test('relayed paths can be chosen', async () => {
  const node = await join({ paths: 'relayed' })
  assert.equal(fake.nodes.at(-1).options.relayedOnly, true)
  await node.close()
})

test('an exported identity is the same node again', async () => {
  const first = await join()
  const identity = first.exportIdentity()
  await first.close()
  const second = await join({ identity })
  assert.equal(second.peerId, first.peerId)
  await second.close()
})

test('onEvent hears the steps of joining in order, and their times are measured', async () => {
  performance.clearMeasures()
  const steps = []
  const node = await join({ onEvent: (event) => event.type === 'join' && steps.push(event.step) })
  assert.deepEqual(steps.slice(0, 5), ['loaded', 'dial', 'connected', 'identified', 'dht'])
  const measured = performance.getEntriesByType('measure').map((entry) => entry.name)
  assert.deepEqual(measured.sort(), ['openred:dht', 'openred:dial', 'openred:identify', 'openred:identity', 'openred:join', 'openred:wasm'])
  await node.close()
})

test('options that cannot be meant are refused with their name and value', async () => {
  const wrong = [
    [{ relays: 'not a list' }, /relays is "not a list"/],
    [{ relays: [] }, /relays is \[\]/],
    [{ relays: [42] }, /relays is \[42\]/],
    [{ relay: ['http://127.0.0.1:8080'] }, /no option "relay"; it takes relays/],
    [{ network: 'Not A Network' }, /network is "Not A Network"/],
    [{ network: '' }, /network is ""/],
    [{ identity: 'forever' }, /identity is "forever"/],
    [{ identity: new Uint8Array(3) }, /identity/],
    [{ relayLists: 'https://x.example' }, /relayLists is "https:\/\/x.example"/],
    [{ relayLists: ['x.example/list'] }, /relayLists is "x.example\/list"; it must be an array of http or https URLs/],
    [{ memory: 'all' }, /memory is "all"; it must be 'kept' or 'none'/],
    [{ paths: 'direct' }, /paths is "direct"; it must be 'best' or 'relayed'/],
    [{ timeout: 0 }, /timeout is 0/],
    [{ timeout: Number.NaN }, /timeout is NaN/],
    [{ timeout: 2 ** 31 }, /timeout is 2147483648/],
    [{ signal: 'stop' }, /signal is "stop"/],
    [{ onEvent: 1 }, /onEvent is 1/],
  ]
  for (const [options, message] of wrong) {
    const error = await fails(() => join(options), 'INVALID_OPTION')
    assert.match(error.message, message)
  }
  await fails(() => OpenRed.join(null), 'INVALID_OPTION')
})

test('relays that do not serve are told by code', async () => {
  await fails(() => join({ relays: ['malformed'] }), 'INVALID_ADDRESS')
  await fails(() => join({ relays: [''] }), 'INVALID_ADDRESS')
  assert.match((await fails(() => join({ relays: ['dead.test:1'] }), 'NO_RELAY')).message, /dead\.test:1: connection refused/)
  assert.ok(fake.nodes.at(-1).closed, 'what could not join is closed')
  await fails(() => join({ relays: ['foreign.test:1'] }), 'WRONG_NETWORK')
  await fails(() => join({ relays: ['silent.test:1'], timeout: 30 }), 'TIMEOUT')
  const node = await join({ relays: ['dead.test:1', 'good.test:1'] })
  assert.equal(node.status.state, 'ready')
  await node.close()
})

test('a signal ends joining at once, before and in the middle', async () => {
  const reason = new Error('changed my mind')
  const made = fake.nodes.length
  assert.equal((await fails(() => join({ signal: AbortSignal.abort(reason) }), 'ABORTED')).cause, reason)
  assert.equal(fake.nodes.length, made)

  const controller = new AbortController()
  const joining = fails(() => join({ relays: ['silent.test:1'], signal: controller.signal }), 'ABORTED')
  await settled()
  controller.abort(reason)
  assert.equal((await joining).cause, reason)
  assert.ok(fake.nodes.at(-1).closed)
})

test('without WebSocket it says that the platform lacks it', async (t) => {
  const { WebSocket } = globalThis
  t.after(() => { globalThis.WebSocket = WebSocket })
  delete globalThis.WebSocket
  assert.match((await fails(() => OpenRed.join({ wasm }), 'UNSUPPORTED')).message, /WebSocket/)
})

test('a page whose own origin is no relay is told so at once, unless it may be one or others are known', async (t) => {
  const { fetch } = globalThis
  holdTime()
  globalThis.location = new URL('https://silent.test/app')
  t.after(() => {
    mock.timers.reset()
    fake.remembered = 3
    globalThis.fetch = fetch
    delete globalThis.location
  })
  const failure = async (answer, remembered = 0, options = {}) => {
    globalThis.fetch = async () => answer()
    fake.remembered = remembered
    const failing = OpenRed.join({ wasm, memory: 'none', timeout: 5_000, ...options }).catch((error) => error)
    await turns()
    await pass(1_000)
    const early = await Promise.race([failing, undefined])
    await pass(5_000)
    return { early: early?.code, message: (await failing).message }
  }
  for (const no of [() => new Response('', { status: 404 }), () => new Response('<html>'), () => Response.json([])]) {
    const { early, message } = await failure(no)
    assert.equal(early, 'NO_RELAY')
    assert.match(message, /own origin is no relay \(https:\/\/silent\.test\): pass relays: \[/)
  }
  const no = () => new Response('', { status: 404 })
  for (const [why, ...how] of [
    ['it is down for a moment', () => new Response('', { status: 503 })],
    ['nobody answers', () => { throw new TypeError('connection refused') }],
    ['it is one', () => Response.json({ peerId: 'x', addresses: [] })],
    ['others are remembered', no, 1],
    ['others are listed', no, 0, { relayLists: ['https://lists.test/'] }],
    ['it was named', no, 0, { relays: ['https://silent.test'] }],
  ]) assert.equal((await failure(...how)).early, undefined, why)
})

test('where there is no page, relays must be named', async () => {
  assert.match((await fails(() => OpenRed.join({ wasm }), 'INVALID_OPTION')).message, /relays/)
})
