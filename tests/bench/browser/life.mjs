/**
 * How long a page's service cannot be reached: after the machine it is on slept, and when the tab that is the node closes
 * and another tab of the same origin takes over. A visitor at the same relay asks again and again until it is answered.
 */
import { bench, figures, rounds } from '../../lib/bench.mjs'

/** A nap that the relay does not notice, and a sleep after which it has given the page up (20 s of silence). */
const SLEEPS = { 'a nap of 5 s': 5_000, 'a sleep of 30 s': 30_000 }

/** A page that is not back by then does not come back. */
const BACK_MS = 30_000

await bench('browser-life', async (world) => {
  const n = rounds(5)
  const result = {}
  for (const [title, ms] of Object.entries(SLEEPS)) {
    const samples = []
    for (let round = 0; round < n; round++) samples.push(await sleep(world, ms))
    result[title] = figures(samples)
  }
  const samples = []
  for (let round = 0; round < n; round++) samples.push(await handOver(world))
  result['the leading tab closes'] = figures(samples)
  return {
    what: `until a page's service is reached again, ms (n = ${n} each)`,
    header: ['', 'p50', 'p95', 'max'],
    rows: Object.entries(result).map(([title, all]) => [title, all.p50, all.p95, all.max]),
    figures: result,
    notes: [
      'Sleep: the page is frozen (DevTools), and everything on its connections is lost without a word; from thawing until the visitor has an echo.',
      'Hand-over: both tabs offer the service under one persistent identity; from the call that closes the leading tab.',
      'The visitor opens streams with 1 s of patience each, 20 ms apart.'
    ]
  }
})

async function sleep (world, ms) {
  const { relay, proxy } = await world.relayBehindProxy()
  const host = await offer(await world.member([relay], { join: { memory: 'none' } }))
  const visitor = await guest(world, relay)
  await reached(visitor)
  const session = await host.context().newCDPSession(host)
  proxy.fallSilent()
  await session.send('Page.setWebLifecycleState', { state: 'frozen' })
  await new Promise((resolve) => setTimeout(resolve, ms))
  proxy.speakAgain()
  const start = performance.now()
  await session.send('Page.setWebLifecycleState', { state: 'active' })
  await reached(visitor)
  const backMs = performance.now() - start
  await Promise.all([host.end(), visitor.end()])
  await relay.end()
  return backMs
}

async function handOver (world) {
  const relay = await world.relay()
  const join = { identity: 'persistent' }
  const leader = await offer(await world.member([relay], { join }))
  const follower = await offer(await world.member([relay], { join, context: leader.context() }))
  const ids = await Promise.all([leader, follower].map((page) => page.evaluate(() => node.peerId)))
  if (ids[0] !== ids[1]) throw new Error('the tabs are two nodes')
  const visitor = await guest(world, relay)
  await reached(visitor)
  const start = performance.now()
  await leader.close()
  // What the leading tab still answers while it closes does not count: the follower says who it is.
  await reached(visitor, await follower.evaluate(() => globalThis.tab))
  const backMs = performance.now() - start
  await Promise.all([follower.end(), visitor.end()])
  await relay.end()
  return backMs
}

/** Offers the service, which tells the name of its tab. */
async function offer (page) {
  await page.evaluate(async () => {
    globalThis.tab = crypto.randomUUID()
    node.handle('lighthouse', async (stream) => {
      const writer = stream.writable.getWriter()
      await writer.write(new TextEncoder().encode(globalThis.tab))
      await writer.close()
    })
    await node.provide({ name: 'lighthouse' })
  })
  return page
}

/** A visitor with a road of its own, if the relay is behind a proxy. */
async function guest (world, relay) {
  const page = await world.blankPage()
  await page.evaluate(async ({ module, url }) => {
    const { OpenRed } = await import(module)
    globalThis.node = await OpenRed.join({ relays: [url], memory: 'none' })
  }, { module: relay.module, url: `http://${relay.http}/` })
  return page
}

/** Resolves once the visitor has heard `tab`, or anybody. */
async function reached (visitor, tab) {
  await visitor.evaluate(async ({ tab, ms }) => {
    const start = performance.now()
    while (performance.now() - start < ms) {
      const { value } = await story.outcome(async () => {
        const stream = await node.open('lighthouse', { timeout: 1_000 })
        return story.within(1_000, story.readAll(stream.readable), 'an answer')
      })
      if (value !== undefined && (tab === undefined || new TextDecoder().decode(value) === tab)) return
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    throw new Error(`not reached within ${ms} ms`)
  }, { tab, ms: BACK_MS })
}
