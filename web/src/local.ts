/** The wasm node of this tab: its code, what it remembers, and its end. */

import type { Binding, RawOptions, RawOwnNode } from './binding.js'
import { Calls } from './calls.js'
import { asOpenRedError } from './failures.js'
import { fetchBytes } from './fetch.js'
import type { Memory } from './memory.js'
import { bindingCrashed } from './raw.js'
import type { Upstream } from './upstream.js'

/** A node that runs in this tab. */
export interface LocalNode extends Upstream {
  /** Stops it without a word to the network. */
  abandon(): void
  /** Closes what others would wait for in vain, as the page goes. */
  hangUp(): void
}

/** Starts a node, which begins to join. Throws `INVALID_ADDRESS` or `INVALID_OPTION`. */
export function startNode(binding: Binding, options: RawOptions, memory: Memory): LocalNode {
  const raw = construct(binding, memory.bytes === undefined ? options : { ...options, memory: memory.bytes }, memory)
  const calls = new Calls((op) => raw.cancel(op), (trap) => bindingCrashed(trap.message))
  return {
    raw,
    calls,
    warm: memory.bytes !== undefined,
    abandon: () => {
      // A crashed node must not be entered again.
      if (!calls.ended) raw.abandon()
    },
    hangUp: () => {
      if (!calls.ended) raw.hangUp()
    },
  }
}

function construct(binding: Binding, options: RawOptions, memory: Memory): RawOwnNode {
  try {
    return new binding.RawNode(options, fetchBytes, (bytes) => memory.keep(bytes))
  } catch (thrown) {
    throw asOpenRedError(thrown)
  }
}
