/**
 * Times the steps of joining as entries of the platform's performance timeline, where developer tools and benchmarks
 * find them: `openred:wasm` (loading and compiling) and side by side `openred:identity` (making or fetching it), then
 * for the relay that was first to serve `openred:dial` (until it answered), `openred:identify` (until it was
 * recognised), `openred:dht` (until its DHT answered), and `openred:join` for the whole.
 */

import type { JoinEvent, NodeEvent } from './types.js'

/** Most relays whose steps are remembered while joining. */
const MAX_RELAYS = 64

const STEPS: { [step in JoinEvent['step']]?: { measure: string; after: JoinEvent['step'] } } = {
  connected: { measure: 'openred:dial', after: 'dial' },
  identified: { measure: 'openred:identify', after: 'connected' },
  dht: { measure: 'openred:dht', after: 'identified' },
}

export class JoinTimings {
  readonly #start = performance.now()
  readonly #relays = new Map<string, { [step in JoinEvent['step']]?: number }>()
  #joined = false

  /** Watches the node's events until the first relay serves. */
  see(event: NodeEvent): void {
    if (this.#joined || event.type !== 'join') return
    const now = performance.now()
    if (event.step === 'loaded') return this.measure('openred:wasm')
    if (event.step === 'dial' && this.#relays.size < MAX_RELAYS) this.#relays.set(event.relay, {})
    const seen = this.#relays.get(event.relay)
    if (!seen) return
    seen[event.step] = now
    if (event.step === 'dht') this.#tell(seen)
  }

  /** Something that began with joining is done. */
  measure(name: string): void {
    measure(name, this.#start, performance.now())
  }

  #tell(seen: { [step in JoinEvent['step']]?: number }): void {
    this.#joined = true
    this.#relays.clear()
    for (const [step, { measure: name, after }] of Object.entries(STEPS)) {
      const [from, to] = [seen[after], seen[step as JoinEvent['step']]]
      if (from !== undefined && to !== undefined) measure(name, from, to)
    }
    this.measure('openred:join')
  }
}

function measure(name: string, start: number, end: number): void {
  performance.measure(name, { start, end })
}
