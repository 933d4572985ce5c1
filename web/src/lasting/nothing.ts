/** The figures of a node that is not there. */

import type { RawStats } from '../binding.js'

export const NOTHING: RawStats = {
  uptimeMs: 0,
  peers: 0,
  relays: 0,
  reservations: 0,
  bytesIn: 0,
  bytesOut: 0,
  finds: 0,
  findMs: 0,
  peerConnections: 0,
  findsByLayer: { own: 0, cache: 0, dht: 0, 'super-node': 0, directory: 0 },
  cacheHits: 0,
  cachedServices: 0,
  rememberedPeers: 0,
  routingTable: 0,
}
