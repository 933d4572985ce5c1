/**
 * From the first script of a page to a node that can use the DHT, with a warm cache: OpenRed to `ready`, js-libp2p to
 * connected, identified, the relay in its routing table and one query answered. Both join the same relay, in turns.
 */
import { join } from 'node:path'
import { chromium as playwright } from 'playwright-core'
import { bench, figures, rounds } from '../lib/bench.mjs'
import { FLAGS } from '../lib/browser.mjs'
import { jsLibp2pBundle } from '../lib/bundle.mjs'
import { projectWith } from '../lib/tarball.mjs'
import { chromium, temporaryFolder } from '../lib/workspace.mjs'
import { within } from '../lib/wait.mjs'

/** Loads before counting starts: the browser keeps compiled code only after it has seen a script more than once. */
const WARM_UP = 4
const LOAD_MS = 20_000

const html = (main) => `<!doctype html><html lang="en"><meta charset="utf-8"><title>join</title><link rel="icon" href="data:,">
<script>globalThis.marks = { start: performance.now() }</script><script type="module">${main}</script>`

const openred = (from, relay) => html(`
import { OpenRed } from '${from}'
marks.imported = performance.now()
const node = await OpenRed.join({
  relays: ['${relay.url}'],
  memory: 'none',
  onEvent (event) { if (event.type === 'join') marks[event.step] ??= performance.now() }
})
marks.ready = performance.now()
globalThis.leave = () => node.close()`)

const jsLibp2p = (relay) => html(`
import '/js-libp2p.js'
marks.imported = performance.now()
const node = await js.createNode({ dht: { initialQuerySelfInterval: 0 } })
marks.loaded = performance.now()
const { dialMs, identifyMs } = await js.dialAndIdentify(node, '${relay.webSocket}')
marks.connected = marks.loaded + dialMs
marks.identified = marks.connected + identifyMs
await js.knowsPeers(node, 1)
await js.firstAnswer(node)
marks.ready = performance.now()
globalThis.leave = () => node.stop()`)

await bench('join', async (world) => {
  const n = rounds(30)
  const relay = await world.relay()
  const site = await world.site({
    cache: true,
    folder: join(await projectWith(), 'node_modules/@openred/node/dist'),
    pages: { '/js-libp2p.js': await jsLibp2pBundle(), '/package.html': openred('/index.js', relay), '/relay.html': openred(relay.module, relay), '/js.html': jsLibp2p(relay) }
  })
  const ways = {
    'OpenRed, package on the page\'s site': `${site.url}package.html`,
    'OpenRed, package from the relay': `${site.url}relay.html`,
    'js-libp2p': `${site.url}js.html`
  }

  const context = await playwright.launchPersistentContext(await temporaryFolder('openred-profile-'), { executablePath: chromium(), args: FLAGS, headless: true })
  world.atEnd(() => context.close())
  const samples = Object.fromEntries(Object.keys(ways).map((way) => [way, []]))
  for (let round = -WARM_UP; round < n; round++) {
    const order = Object.entries(ways)
    if (round % 2 !== 0) order.reverse()
    for (const [way, url] of order) {
      const marks = await load(context, url)
      if (round >= 0) samples[way].push(marks)
    }
  }
  const parts = {
    'script loaded': ['start', 'imported'],
    'wasm / node made': ['imported', 'loaded'],
    'dial': ['loaded', 'connected'],
    'identify': ['connected', 'identified'],
    'DHT': ['identified', 'ready'],
    'all': ['start', 'ready']
  }
  const result = Object.fromEntries(Object.entries(samples).map(([way, marks]) => [way, Object.fromEntries(
    Object.entries(parts).map(([part, [from, to]]) => [part, figures(marks.map((mark) => mark[to] - mark[from]))])
  )]))
  const theirs = result['js-libp2p'].all.p50
  return {
    what: `page script start to a usable DHT, warm cache, ms (n = ${n} each, in turns, ${WARM_UP} warm-up loads)`,
    header: ['', ...Object.keys(parts).map((part) => `${part} p50`), 'all p95', 'p50 / js-libp2p'],
    rows: Object.entries(result).map(([way, all]) => [way, ...Object.keys(parts).map((part) => all[part].p50), all.all.p95, all.all.p50 / theirs]),
    figures: result,
    notes: ['js-libp2p runs its first self-query at once (initialQuerySelfInterval 0; its default is to wait a second).']
  }
})

async function load (context, url) {
  const page = await context.newPage()
  try {
    await page.goto(url, { waitUntil: 'commit' })
    await page.waitForFunction(() => globalThis.marks?.ready !== undefined, undefined, { timeout: LOAD_MS })
    const marks = await page.evaluate(() => globalThis.marks)
    await within(5_000, page.evaluate(() => globalThis.leave()), 'the node to leave')
    return marks
  } finally {
    await page.close()
  }
}
