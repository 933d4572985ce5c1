/**
 * What a node remembers from one visit to the next: relays it met, services it knew, how they answered. With it a second
 * visit joins and finds faster, also when every relay it is told of is gone.
 *
 * It is kept in IndexedDB, one entry for an origin and network, whoever the node is. It is never needed: where storage is
 * denied (private windows of some browsers, blocked cookies), slow or damaged, the node starts without it and says so in
 * one `warning`. What the bytes mean, and whether they are sound, only the node itself knows.
 */

import { read, within, write, type Place } from './storage.js'

const place = (network: string): Place => ({ database: 'openred-memory', store: 'memory', key: network })

/** The network that a node joins when it is told none. */
export const DEFAULT_NETWORK = 'main'

/** Storage answers within some ms. A browser that is busy with something else must not hold up joining; a guess. */
const PATIENCE_MS = 1_000

/** What it means that nothing is remembered. */
const ANEW = 'it starts as if it was new'

export interface Memory {
  /** What an earlier visit left. */
  readonly bytes: Uint8Array | undefined
  /** Why there is none, if that is not plain. */
  readonly warning: Warning | undefined
  /** Keeps this in the place of what was kept before. */
  keep(bytes: Uint8Array): void
  /** Resolves when everything is kept, or has failed to be. */
  settled(): Promise<void>
}

interface Warning {
  code: 'STORAGE'
  message: string
}

/** Gives what an earlier visit left; never rejects. `warn` is told once if something cannot be kept. */
export async function openMemory(
  choice: 'kept' | 'none',
  network: string = DEFAULT_NETWORK,
  warn: (warning: Warning) => void = () => {},
  factory: IDBFactory | undefined = (globalThis as { indexedDB?: IDBFactory }).indexedDB,
): Promise<Memory> {
  if (choice === 'none') return nothing
  // Outside of browsers there is no such storage, and nobody expects one.
  if (!factory) return nothing
  try {
    const kept = await within(PATIENCE_MS, read(factory, place(network)))
    if (kept === undefined || kept instanceof Uint8Array) return new Kept(factory, network, warn, kept)
    return new Kept(factory, network, warn, undefined, warning('is damaged and set aside', 'it is not made of bytes', ANEW))
  } catch (thrown) {
    return { ...nothing, warning: warning('cannot be used', thrown, ANEW) }
  }
}

const nothing: Memory = { bytes: undefined, warning: undefined, keep() {}, settled: async () => {} }

class Kept implements Memory {
  readonly #factory: IDBFactory
  readonly #network: string
  #warn: ((warning: Warning) => void) | undefined
  #waiting: Uint8Array | undefined
  #writing: Promise<void> | undefined

  constructor(
    factory: IDBFactory,
    network: string,
    warn: (warning: Warning) => void,
    readonly bytes: Uint8Array | undefined,
    readonly warning: Warning | undefined = undefined,
  ) {
    this.#factory = factory
    this.#network = network
    this.#warn = warn
  }

  keep(bytes: Uint8Array): void {
    this.#waiting = bytes
    this.#writing ??= this.#write()
  }

  settled(): Promise<void> {
    return within(PATIENCE_MS, this.#writing ?? Promise.resolve()).catch(() => {})
  }

  async #write(): Promise<void> {
    while (this.#waiting) {
      const bytes = this.#waiting
      this.#waiting = undefined
      try {
        await write(this.#factory, place(this.#network), bytes)
      } catch (thrown) {
        this.#warn?.(warning('cannot be kept', thrown))
        this.#warn = undefined
      }
    }
    this.#writing = undefined
  }
}

function warning(what: string, cause: unknown, consequence?: string): Warning {
  const text = cause instanceof Error ? cause.message : String(cause)
  const message = [`what this node remembers ${what}: ${text}`, consequence].filter(Boolean).join('; ')
  return { code: 'STORAGE', message }
}
