/**
 * What a direct path between two pages carries: the round trip of a small message, and 16 MiB one way until the other page
 * has said that it has them. A raw RTCDataChannel between two pages is the limit; js-libp2p and OpenRed are beside it, in the
 * same browser and run.
 */
import { bench, figures, rounds } from '../../lib/bench.mjs'
import { directPair, jsDirectPair, rawPair } from '../../lib/direct-pairs.mjs'

const BYTES = 16 * 1_048_576
const MESSAGE = 32
const MESSAGES = 100

await bench('browser-streams', async (world) => {
  const n = rounds(10)
  const relay = await world.relay()
  const pairs = {
    'RTCDataChannel, 16 KiB messages': await rawPair(world, 16_384),
    'RTCDataChannel, 64 KiB messages': await rawPair(world, 65_536),
    'OpenRed': await directPair(world, relay),
    'js-libp2p': await jsDirectPair(world, relay)
  }
  const samples = Object.fromEntries(Object.keys(pairs).map((who) => [who, { roundTrips: [], rates: [] }]))
  for (let round = -1; round < n; round++) {
    const order = Object.entries(pairs)
    if (round % 2 !== 0) order.reverse()
    for (const [who, pair] of order) {
      const trips = await pair.roundTrips(MESSAGES, MESSAGE)
      const ms = await pair.send(BYTES)
      if (round < 0) continue
      samples[who].roundTrips.push(...trips)
      samples[who].rates.push(BYTES / 1e6 / (ms / 1e3))
    }
  }
  const result = Object.fromEntries(Object.entries(samples).map(([who, { roundTrips, rates }]) => [
    who, { roundTripMs: figures(roundTrips), megabytesPerSecond: figures(rates) }
  ]))
  const limit = result['RTCDataChannel, 64 KiB messages']
  return {
    what: `a direct path between two pages (${n} rounds in turns: ${MESSAGES} messages of ${MESSAGE} bytes there and back, then 16 MiB one way)`,
    header: ['', 'round trip p50 ms', 'p95 ms', '/ raw', 'MB/s p50', 'MB/s min', '/ raw'],
    rows: Object.entries(result).map(([who, all]) => [
      who, all.roundTripMs.p50, all.roundTripMs.p95, all.roundTripMs.p50 / limit.roundTripMs.p50,
      all.megabytesPerSecond.p50, all.megabytesPerSecond.min, all.megabytesPerSecond.p50 / limit.megabytesPerSecond.p50
    ]),
    figures: result,
    notes: [
      'MB/s: from the first byte written to the other page\'s word that all have come. "raw" is the RTCDataChannel with 64 KiB messages.',
      'A raw channel has the encryption of WebRTC; libp2p adds the proof of who is at the other end, once, and frames.'
    ]
  }
})
