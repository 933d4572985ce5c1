/**
 * A page at rest, with a place at one relay and one service offered: how often it is woken in a minute, and what travels.
 * js-libp2p rests beside it, at the same relay.
 */
import { bench, figures, rounds } from '../../lib/bench.mjs'
import { jsHost } from '../../lib/js-pages.mjs'

const MINUTE_MS = 60_000

/** What joining sets off is over by then. */
const SETTLED_MS = 15_000

await bench('browser-rest', async (world) => {
  const n = rounds(5)
  const relay = await world.relay()
  const ours = await world.member([relay], { init: count, join: { memory: 'none' } })
  await ours.evaluate(async () => {
    node.handle('rest', (stream) => stream.close())
    await node.provide({ name: 'rest' })
  })
  const theirs = await jsHost(world, relay, { init: count })
  const pages = { 'OpenRed': ours, 'js-libp2p': theirs }
  await new Promise((resolve) => setTimeout(resolve, SETTLED_MS))
  const samples = Object.fromEntries(Object.keys(pages).map((who) => [who, []]))
  for (let round = 0; round < n; round++) {
    const read = () => Promise.all(Object.values(pages).map((page) => page.evaluate(() => ({ ...globalThis.counted }))))
    const before = await read()
    await new Promise((resolve) => setTimeout(resolve, MINUTE_MS))
    const after = await read()
    for (const [i, who] of Object.keys(pages).entries()) {
      samples[who].push(Object.fromEntries(Object.keys(after[i]).map((what) => [what, after[i][what] - before[i][what]])))
    }
  }
  const result = Object.fromEntries(Object.entries(samples).map(([who, minutes]) => [
    who, Object.fromEntries(Object.keys(minutes[0]).map((what) => [what, figures(minutes.map((minute) => minute[what]))]))
  ]))
  return {
    what: `a page at rest, each minute (n = ${n} minutes side by side; medians)`,
    header: ['', 'timers', 'messages in', 'wake-ups', 'messages out', 'bytes in', 'bytes out'],
    rows: Object.entries(result).map(([who, all]) => [
      who, all.timers.p50, all.messagesIn.p50, all.timers.p50 + all.messagesIn.p50, all.messagesOut.p50, all.bytesIn.p50, all.bytesOut.p50
    ]),
    figures: result,
    notes: ['Wake-ups are timers that fired and messages that arrived; bytes are the payload of WebSocket messages.', 'The pages are visible: browsers slow down the timers of hidden ones.']
  }
})

/** Runs in a page before its own scripts: counts timers that fire, and what its WebSockets carry. */
function count () {
  const counted = globalThis.counted = { timers: 0, messagesIn: 0, messagesOut: 0, bytesIn: 0, bytesOut: 0 }
  for (const name of ['setTimeout', 'setInterval']) {
    const native = globalThis[name]
    globalThis[name] = (action, ...rest) => native.call(globalThis, (...given) => {
      counted.timers += 1
      return action(...given)
    }, ...rest)
  }
  const size = (data) => data.byteLength ?? data.size ?? data.length
  const Native = globalThis.WebSocket
  globalThis.WebSocket = class extends Native {
    constructor (...given) {
      super(...given)
      this.addEventListener('message', ({ data }) => {
        counted.messagesIn += 1
        counted.bytesIn += size(data)
      })
    }

    send (data) {
      counted.messagesOut += 1
      counted.bytesOut += size(data)
      super.send(data)
    }
  }
}
