/** Relays that die, fall silent and come back, while pages talk through them. */
import assert from 'node:assert/strict'
import { story } from '../lib/story.mjs'
import { NETWORK_ERRORS } from '../lib/browser.mjs'
import { freeRelayPort } from '../lib/ports.mjs'
import { timed, within } from '../lib/wait.mjs'

/** The contract: a stream through a lost relay ends, and another way is open, within this time each. */
const LOSS_MS = 10_000
/** How long a page may need to come back to a relay that is there again. */
const RETURN_MS = 30_000

/** Bytes echoed to see which relay carries a stream; more than anything else moves in that time. */
const BUSY = 524_288

const TOLERANT = { tolerate: NETWORK_ERRORS }

for (const [title, lose] of [
  ['a relay is killed in mid-conversation', (relay) => relay.kill()],
  ['a relay falls silent in mid-conversation', (relay) => relay.freeze()]
]) {
  story(`${title}: the stream ends with a code, another relay carries the next one`, async (world) => {
    const relays = await world.threeRelays()
    const [, b, c] = relays
    const provider = await world.member([b], TOLERANT)
    const guest = await world.member([c], TOLERANT)
    await provider.evaluate(async () => {
      globalThis.ends = []
      node.handle('talk', async (stream) => {
        const reader = stream.readable.getReader()
        const writer = stream.writable.getWriter()
        const outcome = await story.outcome(async () => {
          for (;;) {
            const { done, value } = await reader.read()
            if (done) return 'done'
            await writer.write(value)
          }
        })
        globalThis.ends.push(outcome)
      })
      await node.provide({ name: 'talk' })
    })
    await guest.evaluate(async () => {
      globalThis.stream = await node.open('talk')
      globalThis.reader = stream.readable.getReader()
      globalThis.writer = stream.writable.getWriter()
      await writer.write(new TextEncoder().encode('hello'))
      if (await story.readText(reader) !== 'hello') throw new Error('no echo')
    })
    const lost = await carrier(guest, relays)
    await guest.evaluate(() => { globalThis.end = story.outcome(() => reader.read()) })

    await lose(lost)
    const lostAt = performance.now()
    const end = await within(LOSS_MS, guest.evaluate(() => globalThis.end), `the stream through ${lost.label} to end`)
    const endMs = performance.now() - lostAt
    assert.ok(['STREAM_RESET', 'UNREACHABLE'].includes(end.code), JSON.stringify(end))
    assert.equal(end.real, true)

    const opened = await guest.evaluate(() => story.outcome(async () => {
      const stream = await node.open('talk')
      const reader = stream.readable.getReader()
      const writer = stream.writable.getWriter()
      await writer.write(new TextEncoder().encode('still there?'))
      return story.readText(reader)
    }))
    const openMs = performance.now() - lostAt
    assert.equal(opened.value, 'still there?', JSON.stringify(opened))
    assert.ok(opened.ms < LOSS_MS, `open took ${opened.ms} ms`)

    const providerEnd = await within(LOSS_MS, provider.evaluate(async () => {
      while (globalThis.ends.length === 0) await new Promise((resolve) => setTimeout(resolve, 50))
      return globalThis.ends[0]
    }), 'the provider\'s side to end')
    assert.ok(['STREAM_RESET', 'UNREACHABLE'].includes(providerEnd.code), JSON.stringify(providerEnd))
    console.log(`${title}: end of the stream after ${endMs.toFixed(0)} ms, the next one open and answered after ${openMs.toFixed(0)} ms`)
  }, { ms: 90_000 })
}

for (const [title, end] of [
  ['stopped', (relay) => relay.stop()],
  ['killed', (relay) => relay.kill()]
]) {
  story(`a relay is ${title} and restarted on the same data: same addresses, its pages return`, async (world) => {
    const port = await freeRelayPort()
    const relay = await world.relay({ http: `127.0.0.1:${port}` })
    const provider = await world.member([relay], TOLERANT)
    const guest = await world.member([relay], TOLERANT)
    await provider.evaluate(async () => {
      node.handle('lighthouse', (stream) => stream.readable.pipeTo(stream.writable))
      await node.provide({ name: 'lighthouse' })
    })
    await guest.evaluate(() => node.open('lighthouse'))
    for (const page of [provider, guest]) {
      await page.evaluate(() => {
        globalThis.states = []
        globalThis.listening = (async () => {
          for await (const event of node.events()) if (event.type === 'status') states.push(event.state)
        })()
      })
    }
    const before = [relay.peerId, ...relay.addresses]
    await end(relay)
    for (const page of [provider, guest]) {
      await within(LOSS_MS, page.evaluate(stateIs, ['offline', 'joining']), 'the pages to notice')
    }

    await relay.restart()
    const restartedAt = performance.now()
    assert.deepEqual([relay.peerId, ...relay.addresses], before)
    for (const page of [provider, guest]) {
      await within(RETURN_MS, page.evaluate(stateIs, ['ready']), 'the pages to return')
    }
    const returnMs = performance.now() - restartedAt
    const reached = await within(RETURN_MS, guest.evaluate(async () => {
      for (;;) {
        const outcome = await story.outcome(async () => {
          const stream = await node.open('lighthouse')
          const writer = stream.writable.getWriter()
          await writer.write(new TextEncoder().encode('light'))
          return story.readText(stream.readable.getReader())
        })
        if (outcome.value === 'light') return true
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
    }), 'the provider to be reachable again')
    assert.ok(reached)
    const found = await guest.evaluate(() => node.find('lighthouse'))
    assert.equal(found.records.length, 1)
    console.log(`${title}: pages ready ${returnMs.toFixed(0)} ms after the relay, reachable after ${(performance.now() - restartedAt).toFixed(0)} ms`)
  }, { ms: 120_000 })
}

story('a find with one of three relays silent still answers', async (world) => {
  const [a, b, c] = await world.threeRelays()
  const provider = await world.member([b], TOLERANT)
  const guest = await world.member([c], TOLERANT)
  await provider.evaluate(() => node.provide({ name: 'harbour' }))
  a.freeze()
  const { value, ms } = await timed(() => guest.evaluate(() => node.find('harbour')))
  assert.equal(value.records.length, 1)
  assert.ok(ms < 2_000, `it took ${ms} ms`)
  const nothing = await timed(() => guest.evaluate(() => node.find('no-harbour')))
  assert.deepEqual(nothing.value.records, [])
  assert.ok(nothing.ms < 5_000, `an empty answer took ${nothing.ms} ms`)
})

story('a visitor of a silent relay is still carried by the others', async (world) => {
  const [, b, c] = await world.threeRelays()
  const provider = await world.member([b], TOLERANT)
  const guest = await world.member([c], TOLERANT)
  await provider.evaluate(async () => {
    node.handle('ferry', (stream) => stream.readable.pipeTo(stream.writable))
    await node.provide({ name: 'ferry' })
  })
  c.freeze()
  const { value, ms } = await timed(() => guest.evaluate(() => node.find('ferry')))
  assert.equal(value.records.length, 1)
  assert.ok(ms < LOSS_MS, `it took ${ms} ms`)
})

/** Runs in a page: resolves when the node's state is one of `wanted`. */
async function stateIs (wanted) {
  while (!wanted.includes(node.status.state) && !globalThis.states.some((state) => wanted.includes(state))) {
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  globalThis.states.length = 0
}

/** The relay that carries the stream of `page`: the one that sends more while the stream is busy. */
async function carrier (page, relays) {
  const sent = async (relay) => Number(/^openred_sent_bytes_total (\d+)/m.exec(await relay.metrics())[1])
  const before = await Promise.all(relays.map(sent))
  await page.evaluate(async (size) => {
    const writing = writer.write(new Uint8Array(size))
    for (let got = 0; got < size;) got += (await reader.read()).value.length
    await writing
  }, BUSY)
  const after = await Promise.all(relays.map(sent))
  const carriers = relays.filter((_, i) => after[i] - before[i] > BUSY)
  assert.equal(carriers.length, 1, `bytes sent by the relays meanwhile: ${after.map((bytes, i) => bytes - before[i])}`)
  return carriers[0]
}
