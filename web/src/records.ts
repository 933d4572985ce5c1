/** Records on their way between callers and the wasm side. */

import { OpenRedError } from './errors.js'
import type { Found, ServiceRecord } from './types.js'

/** A record without what `find` added, so that one result can be handed to `open` as it is. */
export function bareRecord(record: ServiceRecord): ServiceRecord {
  const { name, provider } = record
  if (typeof name !== 'string' || typeof provider !== 'string') {
    throw new OpenRedError('INVALID_OPTION', 'target is not a record: name and provider must be strings')
  }
  return {
    name,
    type: record.type ?? '',
    provider,
    endpoints: [...(record.endpoints ?? [])],
    metadata: { ...record.metadata },
    region: record.region ?? '',
    clusters: [...(record.clusters ?? [])],
    sequence: record.sequence ?? 0,
    issuedAt: record.issuedAt ?? 0,
    ttl: record.ttl ?? 0,
  }
}

/** The same keys always, whatever the wasm side leaves out. */
export function foundFrom(raw: Found): Found {
  return { records: raw.records, layer: raw.layer ?? undefined, elapsedMs: raw.elapsedMs, layers: raw.layers }
}
