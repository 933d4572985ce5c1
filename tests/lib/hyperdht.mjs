/**
 * hyperdht's own test network in one process, asked like `crates/node/examples/dht_bench.rs`: the first line says how it
 * started, then `put N` and `get N` on standard input each give a line of times.
 */
import { createInterface } from 'node:readline'
import createTestnet from 'hyperdht/testnet.js'

const count = Number(process.argv[2] ?? 200)
const before = process.memoryUsage().rss
const start = performance.now()
const { nodes } = await createTestnet(count)
// As long as the other side waits.
await new Promise((resolve) => setTimeout(resolve, 5_000))
const say = (line) => console.log(JSON.stringify(line))
say({ nodes: count, startMs: Math.round(performance.now() - start), bytesPerNode: Math.round((process.memoryUsage().rss - before) / count) })

const hashes = []
let asked = 0
const node = () => nodes[(++asked * 61) % nodes.length]

const operations = {
  async put () {
    const { hash } = await node().immutablePut(Buffer.from(`service ${hashes.length} of this bench, as long as a record of ours: ${'x'.repeat(200)}`))
    hashes.push(hash)
  },
  async get () {
    const found = await node().immutableGet(hashes[(asked * 17) % hashes.length])
    if (found === null) throw new Error('not found')
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const [what, times] = line.split(' ')
  const ms = []
  let failed = 0
  for (let i = 0; i < Number(times); i += 1) {
    const begun = performance.now()
    await operations[what]().then(() => ms.push(performance.now() - begun), () => { failed += 1 })
  }
  say({ ms, failed })
}
process.exit(0)
