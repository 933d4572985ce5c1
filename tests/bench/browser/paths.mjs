/**
 * From a relayed path to a direct one, on loopback: two pages that know of each other through one relay, ours with ours,
 * js-libp2p's with js-libp2p's, and each with the other. A pair is a node that joins, opens a stream to the other page over the
 * relay, and waits until new streams to it go directly.
 */
import { bench } from '../../lib/bench.mjs'
import { measurePaths } from '../../lib/path-bench.mjs'

await bench('browser-paths', (world) => measurePaths(world, { delayMs: 0, road: 'no delay' }))
