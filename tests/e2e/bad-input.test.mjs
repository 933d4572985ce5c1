/** Bad input through the npm package and the page: a clear, typed answer, nothing lost, nothing crashed. */
import assert from 'node:assert/strict'
import { EVERY_BROWSER, story } from '../lib/story.mjs'
import { NETWORK_ERRORS } from '../lib/browser.mjs'
import { refusedPort } from '../lib/ports.mjs'
import { babblingWebSocket, silentServer } from '../lib/strangers.mjs'
import { Visitor } from '../lib/visitor.mjs'

const TOLERANT = { tolerate: NETWORK_ERRORS }
const OTHER_ID = '12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN'
const CERTHASH = 'uEiDDq4_xNyDorZBH3TlGazyJdOWSwvo4PUo5YHFMrvDE8g'

/** A blank page that can import the package but has not joined. */
async function outsider (world, relay, options = TOLERANT) {
  const page = await world.blankPage(options)
  await page.evaluate(async (module) => { globalThis.OpenRed = (await import(module)).OpenRed }, relay.module)
  return page
}

const join = (page, options) => page.evaluate((options) => story.outcome(async () => {
  globalThis.node = await OpenRed.join(options)
  return node.status.state
}), options)

story('relays that cannot be joined: the code says why, the message says which', async (world) => {
  const relay = await world.relay()
  const foreign = await world.relay({ network: 'elsewhere' })
  const babbler = await babblingWebSocket()
  const silent = await silentServer()
  world.atEnd(() => babbler.end())
  world.atEnd(() => silent.end())
  const site = await world.site({})
  const page = await outsider(world, relay)
  const refused = `http://127.0.0.1:${await refusedPort()}`
  const impostor = relay.webSocket.replace(/\/p2p\/.*$/, `/p2p/${OTHER_ID}`)

  const cases = [
    ['a refused port', refused, ['NO_RELAY']],
    ['a site that is no relay', site.url, ['NO_RELAY']],
    ['a WebSocket server that is no libp2p', babbler.url, ['NO_RELAY']],
    [
      'nobody at the end of WebRTC-direct',
      `/ip4/127.0.0.1/udp/1/webrtc-direct/certhash/${CERTHASH}/p2p/${relay.peerId}`,
      ['NO_RELAY', 'TIMEOUT']
    ],
    ['a server that never answers', silent.url, ['NO_RELAY', 'TIMEOUT']],
    ['a relay of another network', foreign.url, ['WRONG_NETWORK']],
    ['a relay with another identity than named', impostor, ['NO_RELAY']]
  ]
  for (const [what, address, codes] of cases) {
    const outcome = await join(page, { relays: [address], timeout: 4_000 })
    assert.ok(codes.includes(outcome.code), `${what}: ${JSON.stringify(outcome)}`)
    assert.equal(outcome.real, true, what)
    assert.ok(outcome.ms < 6_000, `${what} took ${outcome.ms} ms`)
    const mentioned = [address, new URL(address.startsWith('/') ? relay.url : address).host].some((text) => outcome.message.includes(text))
    assert.ok(mentioned, `${what}: the message names no address: ${outcome.message}`)
  }
  const mixed = await join(page, { relays: [refused, babbler.url, foreign.url, relay.url] })
  assert.equal(mixed.value, 'ready', `one good relay is enough: ${JSON.stringify(mixed)}`)
}, { ms: 90_000, browsers: EVERY_BROWSER })

story('malformed relay addresses are refused at once, with the address in the message', async (world) => {
  const relay = await world.relay()
  const page = await outsider(world, relay, {})
  const malformed = [
    '', ' ', 'http://', 'ftp://127.0.0.1:1', 'no address at all', '/ip4/999.1.1.1/tcp/80/ws', '/ip4/127.0.0.1/tcp/99999/ws',
    '/nonsense/1', '127.0.0.1:notaport', `${relay.webSocket}x`, 'http://user@127.0.0.1:port/'
  ]
  for (const address of malformed) {
    const outcome = await join(page, { relays: [address], timeout: 4_000 })
    assert.equal(outcome.code, 'INVALID_ADDRESS', `${JSON.stringify(address)}: ${JSON.stringify(outcome)}`)
    assert.equal(outcome.real, true)
    assert.ok(outcome.ms < 1_000)
    assert.ok(outcome.message.includes(address), `${JSON.stringify(address)}: ${outcome.message}`)
  }
  for (const address of [
    '/ip4/127.0.0.1/tcp/4001', '/ip4/127.0.0.1/udp/4001/quic-v1'
  ]) {
    const outcome = await join(page, { relays: [address], timeout: 4_000 })
    assert.ok(['UNSUPPORTED', 'INVALID_ADDRESS'].includes(outcome.code), `${address}: ${JSON.stringify(outcome)}`)
    assert.ok(outcome.ms < 1_000, `${address} took ${outcome.ms} ms`)
  }
})

story('options that make no sense are refused at once', async (world) => {
  const relay = await world.relay()
  const page = await outsider(world, relay, {})
  for (const options of [
    { relays: 'not a list' }, { relays: [] }, { relays: [42] }, { network: 'Not A Network' }, { network: '' }, { identity: 'forever' },
    { identity: new Uint8Array([1, 2, 3]) }, { timeout: -1 }, { timeout: 'soon' }
  ]) {
    const outcome = await page.evaluate(({ options, relays, bytes }) => story.outcome(
      () => OpenRed.join({ relays, ...options, ...(bytes ? { identity: new Uint8Array([1, 2, 3]) } : {}) })
    ), { options: options.identity instanceof Uint8Array ? {} : options, relays: [relay.url], bytes: options.identity instanceof Uint8Array })
    assert.equal(outcome.code, 'INVALID_OPTION', `${JSON.stringify(options)}: ${JSON.stringify(outcome)}`)
    assert.equal(outcome.real, true)
  }
})

story('bad names, offers over the limits and bad targets', async (world) => {
  const relay = await world.relay()
  const page = await world.member([relay])
  const badNames = ['', 'a'.repeat(129), 'Upper', 'white space', 'tab\there', 'new\nline', 'a@b', 'a/b', 'a?b', 'a#b', 'cafe\u0301', '\u0007bell', '\u00a0']
  for (const name of badNames) {
    const outcomes = await page.evaluate(async (name) => ({
      provide: await story.outcome(() => node.provide({ name })),
      find: await story.outcome(() => node.find(name)),
      open: await story.outcome(() => node.open(name)),
      handle: await story.outcome(async () => node.handle(name, () => {}))
    }), name)
    for (const [call, outcome] of Object.entries(outcomes)) {
      assert.equal(outcome.code, 'INVALID_NAME', `${call}(${JSON.stringify(name)}): ${JSON.stringify(outcome)}`)
      assert.equal(outcome.real, true)
    }
  }
  for (const name of ['caf\u00e9', 'a'.repeat(128), '\u65e5\u672c\u8a9e', 'a.b-c_d!', '\ud83c\udf75']) {
    const outcome = await page.evaluate((name) => story.outcome(async () => {
      const registration = await node.provide({ name })
      const { records } = await node.find(name)
      await registration.withdraw()
      return records.map((record) => record.name)
    }), name)
    assert.deepEqual(outcome.value, [name], `${name}: ${JSON.stringify(outcome)}`)
  }
  const offers = {
    'metadata over 1 KiB': [{ name: 'big', metadata: { text: 'x'.repeat(1_100) } }, 'RECORD_TOO_LARGE'],
    'metadata that is no text': [{ name: 'odd', metadata: { number: 42 } }, 'INVALID_OPTION'],
    'a ttl under a minute': [{ name: 'short', ttl: 59_000 }, 'INVALID_OPTION'],
    'a ttl over two days': [{ name: 'long', ttl: 48 * 3_600_000 + 1 }, 'INVALID_OPTION'],
    'no name': [{}, 'INVALID_NAME']
  }
  for (const [what, [offer, code]] of Object.entries(offers)) {
    const outcome = await page.evaluate((offer) => story.outcome(() => node.provide(offer)), offer)
    assert.equal(outcome.code, code, `${what}: ${JSON.stringify(outcome)}`)
  }
  for (const target of ['good@not-a-peer', 'good@', { peer: 'nobody', name: 'good' }, { name: 'good' }, 42, null]) {
    const outcome = await page.evaluate((target) => story.outcome(() => node.open(target)), target)
    assert.ok(['INVALID_NAME', 'INVALID_OPTION', 'INVALID_ADDRESS'].includes(outcome.code), `open(${JSON.stringify(target)}): ${JSON.stringify(outcome)}`)
  }
  // After all of that the node is as good as before.
  const works = await page.evaluate(async () => {
    await node.provide({ name: 'fine', metadata: { text: 'x'.repeat(900) } })
    return (await node.find('fine')).records.length
  })
  assert.equal(works, 1)
}, { browsers: EVERY_BROWSER })

story('a provider that has gone: UNREACHABLE or NOT_FOUND, within the timeout', async (world) => {
  const [, b, c] = await world.threeRelays()
  const provider = await world.member([b])
  const guest = await world.member([c])
  const peer = await provider.evaluate(async () => {
    node.handle('ghost', () => {})
    await node.provide({ name: 'ghost' })
    return node.peerId
  })
  const [record] = await guest.evaluate(async () => (await node.find('ghost')).records)
  assert.ok(record)
  await provider.end()
  for (const target of ['ghost', `ghost@${peer}`, record, { peer, name: 'ghost' }]) {
    const outcome = await guest.evaluate((target) => story.outcome(() => node.open(target, { timeout: 5_000 })), target)
    assert.ok(['UNREACHABLE', 'NOT_FOUND'].includes(outcome.code), JSON.stringify(outcome))
    assert.ok(outcome.ms < 6_000, `it took ${outcome.ms} ms`)
  }
})

story('the page says in words why it cannot join, and when it is cut off', async (world) => {
  const relay = await world.relay()
  const foreign = await world.relay({ network: 'elsewhere' })
  const refused = `127.0.0.1:${await refusedPort()}`
  const cases = [
    [`http://${refused}`, 'NO_RELAY', refused],
    [foreign.url, 'WRONG_NETWORK', '"main"'],
    ['no address at all', 'INVALID_ADDRESS', 'no address at all']
  ]
  for (const [address, code, word] of cases) {
    const visitor = new Visitor(await world.visit(`${relay.url}?relay=${encodeURIComponent(address)}`, TOLERANT))
    await visitor.says('error', code, 15_000)
    await visitor.says('error', word)
    await visitor.says('status', 'offline')
    await world.picture(visitor.page, code.toLowerCase())
    await visitor.page.end()
  }
  const visitor = await (await Visitor.of(world, relay, TOLERANT)).joins()
  await relay.kill()
  await visitor.says('status', /offline|joining/i, 15_000)
  await world.picture(visitor.page, 'relay-gone')
  await relay.restart()
  await visitor.joins(30_000)
}, { ms: 120_000 })
