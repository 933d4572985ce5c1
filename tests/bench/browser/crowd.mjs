/**
 * Fifty nodes in as many pages at one relay, each with a place there: how long each takes to join, and what the relay uses,
 * meanwhile and then at rest. js-libp2p does the same at a relay of its own.
 */
import { bench, figures, rounds } from '../../lib/bench.mjs'
import { jsPage } from '../../lib/js-pages.mjs'
import { processUsage } from '../../lib/usage.mjs'

const NODES = 50

/** How long the crowd is left in peace. */
const REST_MS = 60_000

const CROWDS = {
  'OpenRed': {
    open: (world) => world.blankPage(),
    async join (page, relay) {
      return page.evaluate(async ({ module, url }) => {
        const { OpenRed } = await import(module)
        const start = performance.now()
        const reserved = Promise.withResolvers()
        globalThis.node = await OpenRed.join({ relays: [url], memory: 'none', onEvent: (event) => event.type === 'join' && event.step === 'reserved' && reserved.resolve() })
        const readyMs = performance.now() - start
        await story.within(15_000, reserved.promise, 'a place at the relay')
        return { readyMs, reservedMs: performance.now() - start }
      }, { module: relay.module, url: relay.url })
    }
  },
  'js-libp2p': {
    open: (world) => jsPage(world),
    async join (page, relay) {
      return page.evaluate(async (address) => {
        const start = performance.now()
        globalThis.node = await js.createNode({ listen: [`${address}/p2p-circuit`], dht: { initialQuerySelfInterval: 0 } })
        await js.dialAndIdentify(node, address)
        await js.knowsPeers(node, 1)
        await js.firstAnswer(node)
        const readyMs = performance.now() - start
        await js.reservation(node)
        return { readyMs, reservedMs: performance.now() - start }
      }, relay.webSocket)
    }
  }
}

await bench('browser-crowd', async (world) => {
  const n = rounds(NODES)
  const result = {}
  for (const [who, { open, join }] of Object.entries(CROWDS)) {
    const relay = await world.relay()
    const begin = await processUsage(relay.pid)
    const joins = []
    const pages = []
    for (let i = 0; i < n; i++) {
      const page = await open(world)
      pages.push(page)
      joins.push(await join(page, relay))
    }
    const joined = await processUsage(relay.pid)
    await new Promise((resolve) => setTimeout(resolve, REST_MS))
    const rested = await processUsage(relay.pid)
    result[who] = {
      readyMs: figures(joins.map(({ readyMs }) => readyMs)),
      reservedMs: figures(joins.map(({ reservedMs }) => reservedMs)),
      relay: {
        rssBytesEmpty: begin.rssBytes,
        rssBytesJoined: joined.rssBytes,
        rssBytesRested: rested.rssBytes,
        cpuSecondsJoining: joined.cpuSeconds - begin.cpuSeconds,
        cpuSecondsResting: rested.cpuSeconds - joined.cpuSeconds
      }
    }
    await Promise.all(pages.map((page) => page.end()))
    await relay.end()
  }
  return {
    what: `${n} nodes in ${n} pages at one relay, joining one after the other, then ${REST_MS / 1000} s at rest`,
    header: ['', 'ready p50 ms', 'p95 ms', 'reserved p50 ms', 'p95 ms', 'relay MB empty', 'joined', 'rested', 'CPU ms a join', 'CPU ms a node and minute'],
    rows: Object.entries(result).map(([who, { readyMs, reservedMs, relay }]) => [
      who, readyMs.p50, readyMs.p95, reservedMs.p50, reservedMs.p95, relay.rssBytesEmpty / 1e6, relay.rssBytesJoined / 1e6, relay.rssBytesRested / 1e6,
      relay.cpuSecondsJoining * 1e3 / n, relay.cpuSecondsResting * 1e3 / n / (REST_MS / 60_000)
    ]),
    figures: result,
    notes: [
      'Ready and reserved: from the call to join, the module already loaded and not yet compiled; js-libp2p is ready when one query of the DHT was answered.',
      'The relay serves our pages the module too, which its processor time of joining includes. Processor time is counted in steps of 10 ms.'
    ]
  }
})
