/**
 * From a relayed path to a direct one: two pages that know of each other through one relay, ours with ours, js-libp2p's with
 * js-libp2p's, and each with the other. A pair is a node that joins, opens a stream to the other page over the relay, and
 * waits until new streams to it go directly. All of it on loopback, then with 50 ms on each way between page and relay, which
 * are 100 ms from page to page.
 */
import { bench, figures, rounds } from '../../lib/bench.mjs'
import { END_MS, PAIRS, Pair } from '../../lib/pairs.mjs'

/** The least number of pairs whose successes are worth counting. */
const PAIRS_OF_A_KIND = 200

/** Pairs of two pages, before both make place for new ones: a browser gives a page 500 peer connections in its life. */
const RENEWED_AFTER = 50

const ROADS = { 'no delay': 0, '100 ms from page to page': 50 }

await bench('browser-paths', async (world) => {
  const n = rounds(PAIRS_OF_A_KIND)
  const result = {}
  for (const [road, delayMs] of Object.entries(ROADS)) {
    const { relay } = await world.relayBehindProxy({ delayMs })
    const samples = Object.fromEntries(Object.keys(PAIRS).map((kind) => [kind, []]))
    for (let done = 0; done < n; done += RENEWED_AFTER) {
      const pairs = []
      for (const [kind, sides] of Object.entries(PAIRS)) pairs.push([kind, await Pair.of(world, relay, sides)])
      for (let round = done; round < Math.min(n, done + RENEWED_AFTER); round++) {
        if (round % 2 === 1) pairs.reverse()
        for (const [kind, pair] of pairs) samples[kind].push(await pair.meet())
      }
      await Promise.all(pairs.map(([, pair]) => pair.part()))
      console.error(`${road}: ${Math.min(n, done + RENEWED_AFTER)} of ${n} pairs of each kind`)
    }
    result[road] = Object.fromEntries(Object.entries(samples).map(([kind, meetings]) => [kind, summary(meetings)]))
    await relay.end()
  }
  return {
    what: `from a relayed to a direct path, ms (n = ${n} pairs of each kind and road, in turns, new pages every ${RENEWED_AFTER})`,
    header: ['', 'direct', 'relayed p50', 'then direct p50', 'p95', 'max', 'together p50', 'p95'],
    rows: Object.entries(result).flatMap(([road, kinds]) => Object.entries(kinds).map(([kind, all]) => [
      `${road}: ${kind}`, `${all.direct} of ${n}`, all.relayedMs.p50, all.upgradeMs.p50, all.upgradeMs.p95, all.upgradeMs.max, all.togetherMs.p50, all.togetherMs.p95
    ])),
    figures: result,
    notes: [
      '"relayed": from the call to a stream over the relay whose other end has answered; OpenRed finds the name in that time, js-libp2p is given the address.',
      `"then direct": from there until a new stream goes directly. A pair that is not direct ${END_MS / 1000} s later counts as failed.`,
      'js-libp2p makes a direct connection when it is told to, so it is told as soon as the relayed stream has answered.',
      'A signal from page to page crosses the relay\'s TCP port twice; direct packets do not cross the proxy.'
    ]
  }
})

function summary (meetings) {
  const direct = meetings.filter((meeting) => meeting.upgradeMs !== undefined)
  const reasons = {}
  for (const { reason } of meetings.filter((meeting) => meeting.upgradeMs === undefined)) reasons[reason] = (reasons[reason] ?? 0) + 1
  return {
    direct: direct.length,
    relayedMs: figures(meetings.filter(({ relayedMs }) => relayedMs !== undefined).map(({ relayedMs }) => relayedMs)),
    upgradeMs: figures(direct.map(({ upgradeMs }) => upgradeMs)),
    togetherMs: figures(direct.map(({ relayedMs, upgradeMs }) => relayedMs + upgradeMs)),
    reasons
  }
}
