/** Storage that is denied, full, held up or damaged: a clear error or warning each, and nothing is lost. */
import assert from 'node:assert/strict'
import { story } from '../lib/story.mjs'
import { within } from '../lib/wait.mjs'

/** Joins in `page` with the kept identity and leaves again; what it was like. */
const visit = (page, relay, options = {}) => page.evaluate(async ({ module, relays, options }) => {
  const { OpenRed } = await import(module)
  const warnings = []
  const onEvent = (event) => event.type === 'warning' && warnings.push(event)
  const outcome = await story.outcome(async () => {
    const node = await OpenRed.join({ relays, identity: 'persistent', onEvent, ...options })
    const { peerId, tab } = node
    await node.close()
    return { peerId, tab }
  })
  return { ...outcome.value, code: outcome.code, message: outcome.message, warnings }
}, { module: relay.module, relays: [relay.url], options })

/** Everything in the store of identities. */
const kept = (page) => page.evaluate(() => new Promise((resolve, reject) => {
  const opening = indexedDB.open('openred')
  opening.onerror = () => reject(opening.error)
  opening.onsuccess = () => {
    const entries = []
    const walking = opening.result.transaction('identity').objectStore('identity').openCursor()
    walking.onsuccess = () => {
      const { result: cursor } = walking
      if (!cursor) {
        opening.result.close()
        return resolve(entries)
      }
      const { key, value } = cursor
      entries.push([key, value instanceof Uint8Array ? Array.from(value) : JSON.parse(JSON.stringify(value))])
      cursor.continue()
    }
  }
}))

/** Puts something in the place of the kept identity; arrays as bytes. */
const put = (page, value) => page.evaluate((value) => new Promise((resolve, reject) => {
  const opening = indexedDB.open('openred', 1)
  opening.onupgradeneeded = () => opening.result.createObjectStore('identity')
  opening.onerror = () => reject(opening.error)
  opening.onsuccess = () => {
    const transaction = opening.result.transaction('identity', 'readwrite')
    transaction.objectStore('identity').put(Array.isArray(value) ? new Uint8Array(value) : value, 'default')
    transaction.oncomplete = () => {
      opening.result.close()
      resolve()
    }
  }
}), value)

story('an identity that an older version has kept stays the same', async (world) => {
  const relay = await world.relay()
  const page = await world.blankPage()
  const { bytes, peerId } = await page.evaluate(async ({ module, relays }) => {
    const { OpenRed } = await import(module)
    const node = await OpenRed.join({ relays })
    const made = { bytes: Array.from(node.exportIdentity()), peerId: node.peerId }
    await node.close()
    return made
  }, { module: relay.module, relays: [relay.url] })
  await put(page, bytes)
  const visited = await visit(page, relay)
  assert.deepEqual([visited.peerId, visited.warnings], [peerId, []])
  assert.deepEqual(await kept(page), [['default', bytes]])
})

story('a damaged identity is set aside, told, and replaced for good', async (world) => {
  const relay = await world.relay()
  const page = await world.blankPage()
  const damaged = Array.from({ length: 40 }, (_, i) => (i * 77) % 256)
  await put(page, damaged)
  const first = await visit(page, relay)
  assert.deepEqual(first.warnings.map(({ code }) => code), ['IDENTITY_DAMAGED'])
  const entries = new Map(await kept(page))
  const [, aside] = /set aside under "([^"]+)"/.exec(first.warnings[0].message)
  assert.deepEqual(entries.get(aside), damaged)
  const second = await visit(page, relay)
  assert.deepEqual([second.peerId, second.warnings], [first.peerId, []])
})

story('what a newer version has kept is left alone', async (world) => {
  const relay = await world.relay()
  const page = await world.blankPage()
  const newer = { version: 7, something: 'else' }
  await put(page, newer)
  const visited = await visit(page, relay)
  assert.deepEqual([visited.tab, visited.warnings.map(({ code }) => code)], ['alone', ['IDENTITY_NEWER']])
  assert.deepEqual(await kept(page), [['default', newer]])
})

story('storage that is full: the kept identity works, a new one is refused with the reason', async (world) => {
  const relay = await world.relay()
  const [rich, poor] = [await world.blankPage(), await world.blankPage()]
  const before = await visit(rich, relay)
  for (const page of [rich, poor]) {
    const client = await page.context().newCDPSession(page)
    await client.send('Storage.overrideQuotaForOrigin', { origin: new URL(page.url()).origin, quotaSize: 1 })
  }
  assert.equal((await visit(rich, relay)).peerId, before.peerId)
  const refused = await visit(poor, relay)
  assert.equal(refused.code, 'STORAGE')
  assert.match(refused.message, /identity 'ephemeral'/)
  assert.equal((await visit(poor, relay, { identity: 'ephemeral' })).tab, 'alone')
})

story('storage that is denied is STORAGE for who wants to be somebody, and a warning for all others', async (world) => {
  const relay = await world.relay()
  const page = await world.blankPage()
  // A frame of an origin of its own that nothing can be kept for.
  const outcomes = await within(20_000, page.evaluate(async ({ module, relays }) => {
    const script = `
      const { OpenRed } = await import(${JSON.stringify(new URL(module, location.href).href)})
      const outcomes = []
      for (const identity of ['persistent', 'ephemeral']) {
        const warnings = []
        const onEvent = (event) => event.type === 'warning' && warnings.push(event.code)
        try {
          const node = await OpenRed.join({ relays: ${JSON.stringify(relays)}, identity, onEvent })
          outcomes.push({ state: node.status.state, warnings })
        } catch ({ code, message }) {
          outcomes.push({ code, message })
        }
      }
      parent.postMessage(outcomes, '*')`
    const frame = document.createElement('iframe')
    frame.sandbox = 'allow-scripts'
    frame.srcdoc = `<!doctype html><script type="module">${script}</` + 'script>'
    const answer = new Promise((resolve) => addEventListener('message', ({ data }) => resolve(data), { once: true }))
    document.body.append(frame)
    return answer
  }, { module: relay.module, relays: [relay.url] }), 'the frame to answer')
  const [persistent, ephemeral] = outcomes
  assert.equal(persistent.code, 'STORAGE', JSON.stringify(outcomes))
  assert.deepEqual([ephemeral.state, ephemeral.warnings], ['ready', ['STORAGE']])
})

story('storage that another tab holds up is given up in time', async (world) => {
  const relay = await world.relay()
  const page = await world.blankPage()
  const before = await visit(page, relay)
  await page.evaluate(() => new Promise((resolve) => {
    const opening = indexedDB.open('openred', 1)
    opening.onsuccess = () => {
      globalThis.holding = opening.result
      // Somebody else's upgrade waits for this one, and everything after it waits too.
      globalThis.upgrading = indexedDB.open('openred', 2)
      upgrading.onblocked = resolve
    }
  }))
  const held = await visit(page, relay)
  assert.deepEqual([held.code, /did not answer/.test(held.message)], ['STORAGE', true], held.message)
  await page.evaluate(() => new Promise((resolve) => {
    upgrading.onsuccess = () => {
      upgrading.result.close()
      resolve()
    }
    holding.close()
  }))
  const later = await visit(page, relay)
  assert.equal(later.code, 'STORAGE', 'a database of a newer version is not touched')
  assert.match(later.message, /version/i)
  assert.equal((await kept(page)).length, 1, before.peerId)
})
