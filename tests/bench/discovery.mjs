/**
 * Discovery with real nodes on loopback, beside others in the same run.
 *
 * - Native: 200 relays in one process over TCP, beside hyperdht's own test network of as many nodes, put and get in turns.
 * - In a page: finds answered by the cache and by the DHT, joins cold and warm, beside js-libp2p.
 *
 * `OPENRED_DHT_BENCH` is the path of the program `dht_bench` (`crates/node/examples/`); without it the native part is left
 * out and the report says so.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { createInterface } from 'node:readline'
import { bench, figures, rounds } from '../lib/bench.mjs'
import { jsPage } from '../lib/js-pages.mjs'

const NODES = 200
/** Operations in one turn, after which the other side has its turn. */
const TURN = 25
const SETTLE_MS = 180_000

await bench('discovery', async (world) => {
  const n = rounds(100)
  const native = process.env.OPENRED_DHT_BENCH === undefined ? undefined : await nativeNetworks(world, n)
  const page = await inPages(world, Math.min(n, 50))
  const notes = [
    `Native: ${NODES} nodes in one process each, on TCP (OpenRed) and UDP (hyperdht); each operation from another node, one at a time; both networks live at once.`,
    'An OpenRed put is done when a write quorum holds a signed record; its get unites the answers of several holders and asks the network whatever the cache knows.',
    'Cached: the same name again within its 10 s, timed inside the node (the result\'s elapsedMs) and in the page.',
    'Joins: in a page that has loaded the code; warm is with what an earlier visit learned; js-libp2p is timed until the relay is in its routing table and one query is answered.'
  ]
  if (native === undefined) notes.push('OPENRED_DHT_BENCH is not set: the native part was left out.')
  const rows = Object.entries({ ...native?.times, ...page }).map(([title, all]) => [title, all.n, all.p50, all.p95, all.max])
  for (const [title, { bytesPerNode }] of Object.entries(native?.networks ?? {})) rows.push([`${title}: memory a node, KiB`, NODES, bytesPerNode / 1024])
  return {
    what: 'discovery with real nodes, ms unless a row says otherwise',
    header: ['', 'n', 'p50', 'p95', 'max'],
    rows,
    figures: { native, page },
    notes
  }
})

async function nativeNetworks (world, n) {
  const hyperdht = fileURLToPath(new URL('../lib/hyperdht.mjs', import.meta.url))
  const networks = {
    OpenRed: await Network.start(world, process.env.OPENRED_DHT_BENCH, [String(NODES)]),
    hyperdht: await Network.start(world, process.execPath, [hyperdht, String(NODES)])
  }
  const times = {}
  for (const what of ['put', 'get']) {
    const samples = Object.fromEntries(Object.keys(networks).map((name) => [name, []]))
    // One turn of each before counting starts.
    for (let turn = -1; turn * TURN < n; turn += 1) {
      const order = Object.entries(networks)
      if (turn % 2 !== 0) order.reverse()
      for (const [name, network] of order) {
        const { ms, failed } = await network.ask(`${what} ${TURN}`)
        if (failed > 0) throw new Error(`${failed} of ${TURN} times ${what} failed on ${name}`)
        if (turn >= 0) samples[name].push(...ms)
      }
    }
    for (const [name, values] of Object.entries(samples)) times[`native ${what}: ${name}`] = figures(values)
  }
  for (const network of Object.values(networks)) network.end()
  return { times, networks: Object.fromEntries(Object.entries(networks).map(([name, { about }]) => [name, about])) }
}

/** A process that answers each line with a line. */
class Network {
  static async start (world, command, args) {
    const network = new Network()
    network.child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    world.atEnd(() => network.end())
    network.lines = createInterface({ input: network.child.stdout })[Symbol.asyncIterator]()
    const late = setTimeout(() => network.child.kill(), SETTLE_MS)
    network.about = await network.line()
    clearTimeout(late)
    return network
  }

  async line () {
    const { value, done } = await this.lines.next()
    if (done) throw new Error('a network ended by itself')
    return JSON.parse(value)
  }

  async ask (line) {
    if (!this.child.stdin.write(`${line}\n`)) await once(this.child.stdin, 'drain')
    return this.line()
  }

  end () {
    this.child.kill()
  }
}

async function inPages (world, n) {
  const relays = await world.threeRelays()
  const [a, b, c] = relays
  const provider = await world.member([b])
  const names = Array.from({ length: n }, (_, i) => `service-${i}`)
  await provider.evaluate(async (names) => {
    for (let at = 0; at < names.length; at += 10) await Promise.all(names.slice(at, at + 10).map((name) => node.provide({ name })))
  }, names)

  const ours = await world.member([c])
  const finds = await ours.evaluate(async (names) => {
    const times = { dht: [], cached: [], inside: [] }
    const timed = async (name, options, layer) => {
      const start = performance.now()
      const found = await node.find(name, options)
      const ms = performance.now() - start
      if (found.layer !== layer) throw new Error(`${name}: ${JSON.stringify(found)}`)
      return { ms, inside: found.elapsedMs }
    }
    for (const name of names) {
      times.dht.push((await timed(name, { maxAge: 0 }, 'dht')).ms)
      const { ms, inside } = await timed(name, {}, 'cache')
      times.cached.push(ms)
      times.inside.push(inside)
    }
    return times
  }, names)

  // A page of an origin of its own, so that nothing else is remembered there.
  const visitor = await world.visit((await world.site({ pages: { '/': '<!doctype html><title>visitor</title>' } })).url)
  const joins = await visitor.evaluate(async ({ module, relays, gone, n }) => {
    const { OpenRed } = await import(module)
    const join = async (options) => {
      const start = performance.now()
      const node = await OpenRed.join(options)
      const ms = performance.now() - start
      const { warm } = node.stats()
      if (warm !== (options.memory !== 'none')) throw new Error(`warm is ${warm}`)
      await node.close()
      return ms
    }
    const first = await OpenRed.join({ relays })
    await first.find('nobody-offers-this', { maxAge: 0 })
    await first.close()
    const times = { cold: [], warm: [], lost: [] }
    for (let i = 0; i < n; i += 1) {
      times.cold.push(await join({ relays, memory: 'none' }))
      times.warm.push(await join({ relays }))
      times.lost.push(await join({ relays: gone }))
    }
    return times
  }, { module: a.module, relays: [a.url], gone: ['http://127.0.0.1:1'], n })

  const theirs = await jsPage(world)
  const others = await theirs.evaluate(async ({ address, names, n }) => {
    const times = { join: [], find: [] }
    let last
    for (let i = 0; i < n; i += 1) {
      const start = performance.now()
      const node = await js.createNode({ dht: { initialQuerySelfInterval: 0 } })
      await js.dialAndIdentify(node, address)
      await js.knowsPeers(node, 1)
      await js.firstAnswer(node)
      times.join.push(performance.now() - start)
      await last?.stop()
      last = node
    }
    await js.knowsPeers(last, 3)
    for (const name of names) {
      const { firstMs } = await js.findProviders(last, name, { enough: 1 })
      if (firstMs === undefined) throw new Error(`no provider of ${name}`)
      times.find.push(firstMs)
    }
    return times
  }, { address: c.webSocket, names, n: Math.min(n, 20) })

  return {
    'page, cached find inside the node': figures(finds.inside),
    'page, cached find as the page sees it': figures(finds.cached),
    'page, DHT find': figures(finds.dht),
    'page, js-libp2p findProviders': figures(others.find),
    'page, cold join': figures(joins.cold),
    'page, warm join': figures(joins.warm),
    'page, warm join, the relay it is told of is gone': figures(joins.lost),
    'page, js-libp2p join': figures(others.join)
  }
}
