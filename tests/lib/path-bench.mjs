/** The bench of paths: every kind of pair meets again and again, in turns, through one relay with a road of its own. */
import { figures, rounds } from './bench.mjs'
import { END_MS, PAIRS, Pair } from './pairs.mjs'

/** The least number of pairs whose successes are worth counting. */
const PAIRS_OF_A_KIND = 200

/** Pairs of two pages, before both make place for new ones: a browser gives a page 500 peer connections in its life. */
const RENEWED_AFTER = 50

/**
 * Measures all kinds of pairs.
 *
 * @param {import('./world.mjs').World} world
 * @param {{ delayMs: number, road: string }} options `delayMs`: what the road between a page and the relay takes, each way
 */
export async function measurePaths (world, { delayMs, road }) {
  const n = rounds(PAIRS_OF_A_KIND)
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
    console.error(`${Math.min(n, done + RENEWED_AFTER)} of ${n} pairs of each kind`)
  }
  const result = Object.fromEntries(Object.entries(samples).map(([kind, meetings]) => [kind, summary(meetings)]))
  return {
    what: `from a relayed to a direct path, ${road}, ms (n = ${n} pairs of each kind, in turns, new pages every ${RENEWED_AFTER})`,
    header: ['', 'direct', 'relayed p50', 'then direct p50', 'p95', 'max', 'together p50', 'p95'],
    rows: Object.entries(result).map(([kind, all]) => [
      kind, `${all.direct} of ${n}`, all.relayedMs.p50, all.upgradeMs.p50, all.upgradeMs.p95, all.upgradeMs.max, all.togetherMs.p50, all.togetherMs.p95
    ]),
    figures: result,
    notes: [
      '"relayed": from the call to a stream over the relay whose other end has answered; OpenRed finds the name in that time, js-libp2p is given the address.',
      `"then direct": from there until a new stream goes directly. A pair that is not direct ${END_MS / 1000} s later counts as failed.`,
      'js-libp2p makes a direct connection when it is told to, so it is told as soon as the relayed stream has answered.',
      'A signal from page to page crosses the relay\'s TCP port twice; direct packets do not cross the proxy.'
    ]
  }
}

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
