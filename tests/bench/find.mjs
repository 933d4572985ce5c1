/**
 * Finding a service known to the DHT: three relays on loopback, then the same with one of them silent (SIGSTOP).
 * OpenRed's `find` gives verified records from several holders; js-libp2p's `findProviders` is timed to its first
 * provider, its `get` to the first value. Every name is asked for once by each, so that no cache answers.
 */
import { bench, figures, rounds } from '../lib/bench.mjs'
import { jsPage } from '../lib/js-pages.mjs'

const WARM_UP = 5

/** js-libp2p's get waits six seconds for a silent relay; it is asked for every fifth name then, to keep the run short. */
const EVERY = 5

await bench('find', async (world) => {
  const n = rounds(50)
  const relays = await world.threeRelays()
  const [a, b, c] = relays
  const provider = await world.member([b])
  const phases = [['three relays', () => {}], ['one of three silent', () => a.freeze()]]
  const names = phases.map((_, phase) => Array.from({ length: n + WARM_UP }, (_, i) => `service-${phase}-${i}`))
  await provider.evaluate(async (names) => {
    for (let at = 0; at < names.length; at += 10) await Promise.all(names.slice(at, at + 10).map((name) => node.provide({ name })))
  }, names.flat())

  const ours = await world.member([c])
  const theirs = await jsPage(world)
  await theirs.evaluate(async (address) => {
    globalThis.node = await js.createNode({ dht: { initialQuerySelfInterval: 0 } })
    await js.dialAndIdentify(node, address)
    await js.knowsPeers(node, 1)
    await js.firstAnswer(node)
    await js.knowsPeers(node, 3)
  }, c.webSocket)

  const ways = {
    'OpenRed find': (name) => ours.evaluate(async (name) => {
      const { value, ms, message } = await story.outcome(() => node.find(name, { maxAge: 0 }))
      if (value?.records.length !== 1 || value.layer !== 'dht') throw new Error(message ?? `found ${JSON.stringify(value)}`)
      return ms
    }, name),
    'js-libp2p findProviders': (name) => theirs.evaluate(async (name) => {
      const { firstMs } = await js.findProviders(node, name, { enough: 1 })
      if (firstMs === undefined) throw new Error('no provider')
      return firstMs
    }, name),
    'js-libp2p get': (name) => theirs.evaluate(async (name) => {
      const { value, ms } = await js.getValue(node, name)
      if (value === undefined) throw new Error('no value')
      return ms
    }, name)
  }
  const result = {}
  for (const [phase, [title, begin]] of phases.entries()) {
    begin()
    const samples = Object.fromEntries(Object.keys(ways).map((way) => [way, []]))
    for (const [i, name] of names[phase].entries()) {
      const order = Object.entries(ways)
      if (i % 2 === 1) order.reverse()
      for (const [way, ask] of order) {
        if (phase > 0 && way === 'js-libp2p get' && i % EVERY !== 0) continue
        const ms = await ask(name)
        if (phase > 0 || i >= WARM_UP) samples[way].push(ms)
      }
    }
    result[title] = Object.fromEntries(Object.entries(samples).map(([way, values]) => [way, figures(values)]))
  }
  return {
    what: `find of a service known to the DHT, ms (n = ${n} names, each asked once by each, in turns)`,
    header: ['', 'p50', 'p95', 'max', 'p50 / js-libp2p findProviders'],
    rows: Object.entries(result).flatMap(([title, ways]) => Object.entries(ways).map(([way, all]) => [
      `${title}: ${way}`, all.p50, all.p95, all.max, all.p50 / ways['js-libp2p findProviders'].p50
    ])),
    figures: result,
    notes: [
      `With a silent relay js-libp2p's get is asked for every ${EVERY}th name only.`,
      'The silent relay is one that neither the provider nor the finder entered through; the first names after it fell silent count.',
      'js-libp2p is timed to its first provider or value; OpenRed to the union of the verified answers.'
    ]
  }
})
