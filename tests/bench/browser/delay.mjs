/**
 * From a relayed path to a direct one, as in `paths.mjs`, with 50 ms on each way between page and relay: 100 ms from page to
 * page.
 */
import { bench } from '../../lib/bench.mjs'
import { measurePaths } from '../../lib/path-bench.mjs'

await bench('browser-delay', (world) => measurePaths(world, { delayMs: 50, road: '100 ms of signalling delay' }))
