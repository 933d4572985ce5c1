/**
 * A raw node that may go away while its user stays: the wasm node of this tab, or the node of another tab.
 *
 * Its calls end with `STREAM_RESET` when it goes. Whoever made them decides what to do again elsewhere.
 */

import type { RawNode, RawStream } from './binding.js'
import { Calls } from './calls.js'
import { OpenRedError } from './errors.js'

export interface Upstream {
  readonly raw: RawNode
  /** Every call goes through it. */
  readonly calls: Calls
  /** Whether the node began with what an earlier visit had left. */
  readonly warm: boolean
}

export function upstreamOf(raw: RawNode, warm: boolean): Upstream {
  return { raw, warm, calls: new Calls((op) => raw.cancel(op), () => {}) }
}

/** Ends what is under way in a node that goes away. */
export function lose({ calls }: Upstream, why: string): void {
  if (!calls.ended) calls.end(new OpenRedError('STREAM_RESET', why))
}

/** A stream that ends with the calls of its node. */
export function heldStream(raw: RawStream, calls: Calls): RawStream {
  return {
    name: raw.name,
    remotePeer: raw.remotePeer,
    path: raw.path,
    read: (max) => calls.run(() => raw.read(max)),
    write: (bytes) => calls.run(() => raw.write(bytes)),
    finish: () => calls.run(() => raw.finish()),
    reset: () => {
      if (!calls.ended) raw.reset()
    },
  }
}

/** The calls of one caller by the numbers it gave them. */
export class Ops {
  readonly #stops = new Map<number, AbortController>()

  async run<T>(op: number, action: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const stop = new AbortController()
    this.#stops.set(op, stop)
    try {
      return await action(stop.signal)
    } finally {
      this.#stops.delete(op)
    }
  }

  cancel(op: number): void {
    this.#stops.get(op)?.abort()
  }
}
