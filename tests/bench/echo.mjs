/**
 * Two pages that echo through one relay: the round trip of a small message, and 16 MB there and back. js-libp2p's
 * pages do the same over the same relay with a protocol of their own. What comes back is compared byte for byte.
 */
import { bench, figures, rounds } from '../lib/bench.mjs'
import { jsNodePage } from '../lib/js-pages.mjs'
import { jsRoundTrips, roundTrips } from '../lib/round-trips.mjs'

const BYTES = 16 * 1_048_576
const MESSAGE = 32
const MESSAGES = 100
const LIMITS = ['--circuit-bytes', String(2 ** 31), '--circuit-seconds', '3600']

await bench('echo', async (world) => {
  const n = rounds(5)
  const relay = await world.relay({ args: LIMITS })
  const ours = await ourPair(world, relay)
  const theirs = await theirPair(world, relay)
  const pairs = { 'OpenRed': ours, 'js-libp2p': theirs }
  const samples = Object.fromEntries(Object.keys(pairs).map((who) => [who, { roundTrips: [], rates: [], lost: 0 }]))
  for (let round = -1; round < n; round++) {
    const order = Object.entries(pairs)
    if (round % 2 !== 0) order.reverse()
    for (const [who, { roundTrips, transfer }] of order) {
      const trips = await roundTrips()
      const { ms, intact } = await transfer()
      if (!intact && who === 'OpenRed') throw new Error('what came back is not what was sent')
      if (round < 0) continue
      samples[who].roundTrips.push(...trips)
      if (intact) samples[who].rates.push(BYTES / 1e6 / (ms / 1e3))
      else samples[who].lost += 1
    }
  }
  const result = Object.fromEntries(Object.entries(samples).map(([who, { roundTrips, rates, lost }]) => [
    who, { roundTripMs: figures(roundTrips), megabytesPerSecond: figures(rates), lost }
  ]))
  const base = result['js-libp2p']
  return {
    what: `echo between two pages through one relay (${n} rounds in turns: ${MESSAGES} messages of ${MESSAGE} bytes, then 16 MiB there and back)`,
    header: ['', 'round trip p50 ms', 'p95 ms', '/ js-libp2p', 'MB/s p50', 'MB/s min', '/ js-libp2p', 'cut off'],
    rows: Object.entries(result).map(([who, all]) => [
      who, all.roundTripMs.p50, all.roundTripMs.p95, all.roundTripMs.p50 / base.roundTripMs.p50,
      all.megabytesPerSecond.p50, all.megabytesPerSecond.min, all.megabytesPerSecond.p50 / base.megabytesPerSecond.p50, `${all.lost} of ${n}`
    ]),
    figures: result,
    notes: ['MB/s counts the 16 MiB once, from the first byte sent to the last byte back; every byte crosses the relay twice.']
  }
})

async function ourPair (world, relay) {
  const join = { paths: 'relayed' }
  const provider = await world.member([relay], { join })
  await provider.evaluate(async () => {
    node.handle('echo', (stream) => stream.readable.pipeTo(stream.writable))
    await node.provide({ name: 'echo' })
  })
  const guest = await world.member([relay], { join })
  await guest.evaluate(() => { globalThis.open = (name) => node.open(name) })
  return {
    roundTrips: () => guest.evaluate(roundTrips, { count: MESSAGES, size: MESSAGE }),
    transfer: () => guest.evaluate(async (size) => {
      const sent = story.pattern(size)
      const stream = await open('echo')
      const writer = stream.writable.getWriter()
      const start = performance.now()
      const writing = (async () => {
        for (let at = 0; at < size; at += 65_536) {
          await writer.ready
          await writer.write(sent.subarray(at, at + 65_536))
        }
        await writer.close()
      })()
      const received = await story.readAll(stream.readable)
      const ms = performance.now() - start
      await writing
      return { ms, intact: await story.sha256(received) === await story.sha256(sent) }
    }, BYTES)
  }
}

async function theirPair (world, relay) {
  const join = async (listen) => {
    const page = await jsNodePage(world, { transports: [], listen })
    await page.evaluate((address) => js.dialAndIdentify(node, address).then(() => {}), relay.webSocket)
    return page
  }
  const provider = await join([`${relay.webSocket}/p2p-circuit`])
  const address = await provider.evaluate(async () => {
    await js.serveProtocol(node, '/echo/1.0.0', async (stream) => {
      for await (const chunk of stream) if (!stream.send(chunk)) await stream.onDrain()
      await stream.close()
    })
    return js.reservation(node)
  })
  const guest = await join([])
  await guest.evaluate((address) => { globalThis.open = (protocol) => js.openStream(node, address, protocol) }, address)
  return {
    roundTrips: () => guest.evaluate(jsRoundTrips, { count: MESSAGES, size: MESSAGE }),
    transfer: () => guest.evaluate(async (size) => {
      const sent = story.pattern(size)
      const stream = await open('/echo/1.0.0')
      const start = performance.now()
      const writing = js.sendAll(stream, sent).then(() => stream.close())
      const received = await new js.StreamReader(stream).all()
      const ms = performance.now() - start
      await writing.catch(() => {})
      return { ms, intact: await story.sha256(received) === await story.sha256(sent) }
    }, BYTES)
  }
}
