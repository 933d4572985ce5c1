/**
 * 100 MiB from page to page on a direct path, three times: what the pages' heaps and all renderers together hold before,
 * while it runs, and after. js-libp2p does the same in the same run.
 */
import { bench } from '../../lib/bench.mjs'
import { directPair, jsDirectPair } from '../../lib/direct-pairs.mjs'
import { Heap, renderersRss } from '../../lib/usage.mjs'

const BYTES = 100 * 1_048_576
const TRANSFERS = 3
const SAMPLE_MS = 250

await bench('browser-memory', async (world) => {
  const ways = { 'OpenRed': directPair, 'js-libp2p': jsDirectPair }
  const result = {}
  for (const [who, make] of Object.entries(ways)) {
    const pair = await make(world, await world.relay())
    // What is compiled and allocated once is no growth.
    await pair.send(1_048_576)
    result[who] = await watched(pair)
    await Promise.all([pair.sender.end(), pair.receiver.end()])
  }
  const mb = (bytes) => bytes / 1e6
  return {
    what: `100 MiB from page to page on a direct path, ${TRANSFERS} times, MB`,
    header: ['', 'before', 'most, meanwhile', ...Array.from({ length: TRANSFERS }, (_, i) => `after ${i + 1}`), 'growth after the first'],
    rows: Object.entries(result).flatMap(([who, memory]) => Object.entries(memory).map(([what, { before, most, after }]) => [
      `${who}: ${what}`, mb(before), mb(most), ...after.map(mb), mb(after.at(-1) - after[0])
    ])),
    figures: result,
    notes: [
      'Heap: JavaScript objects and array buffers, before and after each transfer when all garbage has been collected, meanwhile as it is.',
      'Renderers: resident memory of all pages\' processes, the WebAssembly memory and the browser\'s own buffers included.',
      `Meanwhile: looked at every ${SAMPLE_MS} ms.`
    ]
  }
})

async function watched (pair) {
  const [sender, receiver] = [await Heap.of(pair.sender), await Heap.of(pair.receiver)]
  const ways = { 'heap of the sender': [() => sender.bytesInUse(), () => sender.bytes()], 'heap of the receiver': [() => receiver.bytesInUse(), () => receiver.bytes()], renderers: [renderersRss, renderersRss] }
  const memory = {}
  for (const [what, [atRest]] of Object.entries(ways)) memory[what] = { before: await atRest(), most: 0, after: [] }
  for (let transfer = 0; transfer < TRANSFERS; transfer++) {
    const sending = pair.send(BYTES)
    let over = false
    const ended = sending.finally(() => { over = true })
    ended.catch(() => {})
    while (!over) {
      for (const [what, [, now]] of Object.entries(ways)) memory[what].most = Math.max(memory[what].most, await now())
      await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, SAMPLE_MS))])
    }
    await sending
    for (const [what, [atRest]] of Object.entries(ways)) memory[what].after.push(await atRest())
  }
  return memory
}
