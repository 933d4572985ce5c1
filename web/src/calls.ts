/**
 * Every call into the wasm node goes through `Calls`, which makes three promises the raw binding cannot: an aborted
 * signal rejects the call at once, the node's end (closed or crashed) rejects everything pending, and a result that
 * arrives after its caller has gone is handed to `late` so that it can be released.
 *
 * It never calls the wasm side after the end: a crashed instance must not be entered again.
 */

import type { OpenRedError } from './errors.js'
import { aborted, asOpenRedError } from './failures.js'

export interface CallParts<T> {
  signal?: AbortSignal | undefined
  /** Releases a result nobody waits for any more. */
  late?: (value: T) => void
}

export class Calls {
  /** Why no call can be made any more. */
  #end: OpenRedError | undefined
  #op = 0
  readonly #onEnd = new Set<(error: OpenRedError) => void>()
  readonly #cancel: (op: number) => void
  readonly #onTrap: (trap: Error) => void

  /** `onTrap` is told when a call ends in a trap of the wasm code, after which nothing of it can be trusted. */
  constructor(cancel: (op: number) => void, onTrap: (trap: Error) => void) {
    this.#cancel = cancel
    this.#onTrap = onTrap
  }

  get ended(): OpenRedError | undefined {
    return this.#end
  }

  /** Runs `watcher` when the node ends, and not after the returned function was called. */
  onEnd(watcher: (error: OpenRedError) => void): () => void {
    this.#onEnd.add(watcher)
    return () => this.#onEnd.delete(watcher)
  }

  /** Rejects what is pending, and every later call with the reason given last. */
  end(error: OpenRedError): void {
    this.#end = error
    const watchers = [...this.#onEnd]
    this.#onEnd.clear()
    for (const watcher of watchers) watcher(error)
  }

  /** A call that returns at once. */
  now<T>(start: () => T): T {
    if (this.#end) throw this.#end
    try {
      return start()
    } catch (thrown) {
      throw this.#failure(thrown)
    }
  }

  run<T>(start: (op: number) => Promise<T>, { signal, late }: CallParts<T> = {}): Promise<T> {
    if (this.#end) return Promise.reject(this.#end)
    if (signal?.aborted) return Promise.reject(aborted(signal))
    this.#op = (this.#op + 1) >>> 0
    const op = this.#op
    return new Promise<T>((resolve, reject) => {
      let settled = false
      const settle = (): boolean => {
        if (settled) return false
        settled = true
        this.#onEnd.delete(onEnd)
        signal?.removeEventListener('abort', onAbort)
        return true
      }
      const onEnd = (error: OpenRedError): void => {
        if (settle()) reject(error)
      }
      const onAbort = (): void => {
        if (!settle()) return
        reject(aborted(signal!))
        this.#cancel(op)
      }
      this.#onEnd.add(onEnd)
      signal?.addEventListener('abort', onAbort)
      const fail = (thrown: unknown): void => {
        const error = this.#failure(thrown)
        if (settle()) reject(error)
      }
      const succeed = (value: T): void => {
        if (settle()) resolve(value)
        else if (!this.#end) late?.(value)
      }
      try {
        start(op).then(succeed, fail)
      } catch (thrown) {
        fail(thrown)
      }
    })
  }

  #failure(thrown: unknown): OpenRedError {
    if (thrown instanceof WebAssembly.RuntimeError) this.#onTrap(thrown)
    return this.#end ?? asOpenRedError(thrown)
  }
}
