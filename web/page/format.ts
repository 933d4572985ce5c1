/** How ids, times and durations are written for people. */

/** All Ed25519 peer ids begin alike; their ends tell them apart. */
export function shortId(peerId: string): string {
  return peerId.length <= 14 ? peerId : `${peerId.slice(0, 4)}…${peerId.slice(-8)}`
}

export function duration(ms: number): string {
  if (ms < 1) return '< 1 ms'
  if (ms < 1_000) return `${Math.round(ms)} ms`
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`
  if (ms < 3_600_000) return `${Math.round(ms / 60_000)} min`
  return `${Math.round(ms / 3_600_000)} h`
}

export function ago(ms: number): string {
  return ms < 5_000 ? 'just now' : `${duration(Math.round(ms / 1_000) * 1_000).replace('.0', '')} ago`
}

export function clock(at: number): string {
  return new Date(at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })
}

/** A hue of its own for each peer, the same on every page. */
export function hue(peerId: string): number {
  let hash = 2_166_136_261
  for (const char of peerId) hash = Math.imul(hash ^ char.charCodeAt(0), 16_777_619)
  return (hash >>> 0) % 360
}

export function plural(count: number, one: string, many: string): string {
  return `${count} ${count === 1 ? one : many}`
}
