/** What a page remembers from visit to visit: it joins without the relays it is told of, and survives damaged storage. */
import assert from 'node:assert/strict'
import { EVERY_BROWSER, story } from '../lib/story.mjs'
import { NETWORK_ERRORS } from '../lib/browser.mjs'
import { refusedPort } from '../lib/ports.mjs'

const TOLERANT = { tolerate: NETWORK_ERRORS }

/** Joins in `page` with the module of `relay`; what it was like. */
async function visit (page, relay, relays, options = {}) {
  return page.evaluate(async ({ module, relays, options }) => {
    const { OpenRed } = await import(module)
    const warnings = []
    const start = performance.now()
    const node = await OpenRed.join({ relays, ...options, onEvent: (event) => event.type === 'warning' && warnings.push(event) })
    globalThis.node = node
    return { warm: node.stats().warm, ms: performance.now() - start, relays: node.peers().map((peer) => peer.peerId), warnings }
  }, { module: relay.module, relays, options })
}

const leave = (page) => page.evaluate(() => globalThis.node.close())

story('a second visit joins and finds although every relay it is told of is gone', async (world) => {
  const [a, b, c] = await world.threeRelays()
  const provider = await world.member([b], TOLERANT)
  await provider.evaluate(() => node.provide({ name: 'still-here' }))
  const page = await world.blankPage(TOLERANT)
  const first = await visit(page, c, [a.url, b.url])
  assert.equal(first.warm, false)
  await page.evaluate(() => node.find('still-here', { maxAge: 0 }))
  await leave(page)

  await a.kill()
  const nowhere = `http://127.0.0.1:${await refusedPort()}`
  const second = await visit(page, c, [nowhere, a.url])
  assert.equal(second.warm, true)
  assert.ok(second.relays.length > 0)
  const { value } = await page.evaluate(() => story.outcome(() => node.find('still-here', { maxAge: 0 })))
  assert.equal(value.records.length, 1)
  console.log(`joined from memory in ${second.ms.toFixed(0)} ms; the first visit took ${first.ms.toFixed(0)} ms`)
  await leave(page)

  const stranger = await page.evaluate(async ({ module, relays }) => {
    const { OpenRed } = await import(module)
    return story.outcome(() => OpenRed.join({ relays, memory: 'none', timeout: 2_000 }))
  }, { module: c.module, relays: [nowhere] })
  assert.equal(stranger.code, 'NO_RELAY', 'without memory nobody is there')
}, { browsers: EVERY_BROWSER })

story('damaged memory is set aside with one warning, and replaced', async (world) => {
  const relay = await world.relay()
  const page = await world.blankPage()
  await visit(page, relay, [relay.url])
  await leave(page)
  const put = (value) => page.evaluate((value) => new Promise((resolve, reject) => {
    const opening = indexedDB.open('openred-memory', 1)
    opening.onerror = () => reject(opening.error)
    opening.onsuccess = () => {
      const transaction = opening.result.transaction('memory', 'readwrite')
      transaction.objectStore('memory').put(Array.isArray(value) ? new Uint8Array(value) : value, 'main')
      transaction.oncomplete = () => {
        opening.result.close()
        resolve()
      }
    }
  }), value)
  for (const damage of [[1, 2, 3], Array.from({ length: 5000 }, (_, i) => (i * 77) % 256), 'no bytes at all']) {
    await put(damage)
    const damaged = await visit(page, relay, [relay.url])
    assert.deepEqual(damaged.warnings.map(({ code }) => code), ['STORAGE'], JSON.stringify(damaged.warnings))
    await leave(page)
    const healed = await visit(page, relay, [relay.url])
    assert.deepEqual([healed.warm, healed.warnings], [true, []])
    await leave(page)
  }
}, { browsers: EVERY_BROWSER })

story('a page whose storage is denied joins as if it was new', async (world) => {
  const relay = await world.relay()
  const page = await world.blankPage()
  await page.evaluate(() => {
    const denied = () => { throw new DOMException('denied in this window', 'SecurityError') }
    Object.defineProperty(globalThis, 'indexedDB', { value: { open: denied } })
  })
  const joined = await visit(page, relay, [relay.url])
  assert.equal(joined.warm, false)
  assert.deepEqual(joined.warnings.map(({ code }) => code), ['STORAGE'])
  assert.match(joined.warnings[0].message, /denied in this window/)
  await leave(page)
}, { browsers: EVERY_BROWSER })

story('finds tell their layers; the cache answers at once; a directory answers over HTTP', async (world) => {
  const [a, b] = await world.threeRelays()
  const provider = await world.member([b])
  await provider.evaluate(() => node.provide({ name: 'layered' }))
  const finder = await world.member([a])
  const [dht, cached, told] = await finder.evaluate(async () => [
    await node.find('layered', { maxAge: 0 }),
    await node.find('layered'),
    await node.explain('layered')
  ])
  const outcome = ({ layers }, layer) => layers.find((report) => report.layer === layer)?.outcome
  assert.equal(dht.layer, 'dht')
  assert.equal(outcome(dht, 'dht'), 'answered')
  assert.equal(outcome(dht, 'super-node'), 'absent')
  assert.equal(cached.layer, 'cache')
  assert.ok(cached.elapsedMs < 10, `${cached.elapsedMs} ms`)
  assert.equal(told.code, 'FOUND')
  assert.equal(told.layers.length, cached.layers.length)
  assert.equal((await finder.evaluate(() => node.explain('never-looked-for'))).code, 'UNKNOWN')

  const answers = await Promise.all([a, b].map((relay) => fetch(new URL('/v1/bundles/layered', relay.url), { headers: { origin: 'https://a.page.example' } })))
  for (const answer of answers) {
    assert.equal(answer.status, 200)
    assert.equal(answer.headers.get('access-control-allow-origin'), '*')
  }
  const bodies = await Promise.all(answers.map((answer) => answer.arrayBuffer()))
  assert.ok(bodies.some((body) => body.byteLength > 100), 'a holder tells the records')
  assert.equal((await (await fetch(new URL('/v1/bundles/nobody', a.url))).arrayBuffer()).byteLength, 0)
  assert.equal((await fetch(new URL('/v1/bundles/UPPER', a.url))).status, 400)
})
