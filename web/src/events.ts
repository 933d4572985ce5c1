/**
 * One stream of events from the node, fanned out to any number of readers.
 *
 * Each reader has its own bounded queue. When it is full the oldest event goes, and the reader is told how many it
 * missed before it gets the next one; a slow reader never holds back the others.
 */

import { OpenRedError } from './errors.js'
import { aborted } from './failures.js'
import type { NodeEvent } from './types.js'

/** A guess: some seconds of a lively node. Each waiting event costs about 200 bytes. */
export const DEFAULT_BUFFER = 256

export class EventHub {
  readonly #readers = new Set<EventReader>()
  readonly #listener: ((event: NodeEvent) => void) | undefined
  #ended = false

  constructor(listener?: (event: NodeEvent) => void) {
    this.#listener = listener
  }

  emit(event: NodeEvent): void {
    if (this.#ended) return
    for (const reader of this.#readers) reader.push(event)
    try {
      this.#listener?.(event)
    } catch (thrown) {
      // The listener is the caller's; its fault is reported as any uncaught one and costs the node nothing.
      if (typeof reportError === 'function') reportError(thrown)
      else console.error(thrown)
    }
  }

  /** Gives every reader a last event; then their loops end, or throw `error` if there is one. */
  end(last: NodeEvent, error?: OpenRedError): void {
    if (this.#ended) return
    this.emit(last)
    this.#ended = true
    for (const reader of this.#readers) reader.end(error)
    this.#readers.clear()
  }

  read(buffer: number, signal?: AbortSignal): AsyncIterableIterator<NodeEvent> {
    const reader = new EventReader(buffer, signal, () => this.#readers.delete(reader))
    this.#readers.add(reader)
    return reader
  }
}

interface Waiter {
  resolve(result: IteratorResult<NodeEvent>): void
  reject(error: OpenRedError): void
}

class EventReader implements AsyncIterableIterator<NodeEvent> {
  readonly #buffer: number
  readonly #leave: () => void
  #events: NodeEvent[] = []
  #missed = 0
  #waiters: Waiter[] = []
  #ended = false
  #error: OpenRedError | undefined

  constructor(buffer: number, signal: AbortSignal | undefined, leave: () => void) {
    this.#buffer = buffer
    const onAbort = (): void => {
      leave()
      this.#events = []
      this.#missed = 0
      this.end(aborted(signal!))
    }
    this.#leave = () => {
      signal?.removeEventListener('abort', onAbort)
      leave()
    }
    signal?.addEventListener('abort', onAbort)
  }

  push(event: NodeEvent): void {
    const waiter = this.#waiters.shift()
    if (waiter) {
      waiter.resolve({ done: false, value: event })
      return
    }
    if (this.#events.length >= this.#buffer) {
      this.#events.shift()
      this.#missed += 1
    }
    this.#events.push(event)
  }

  end(error?: OpenRedError): void {
    if (this.#ended) return
    this.#ended = true
    this.#error = error
    for (const waiter of this.#waiters.splice(0)) {
      if (error) waiter.reject(error)
      else waiter.resolve({ done: true, value: undefined })
    }
  }

  next(): Promise<IteratorResult<NodeEvent>> {
    if (this.#missed > 0) {
      const missed = this.#missed
      this.#missed = 0
      return Promise.resolve({ done: false, value: { type: 'lagged', missed } })
    }
    const event = this.#events.shift()
    if (event) return Promise.resolve({ done: false, value: event })
    if (this.#error) return Promise.reject(this.#error)
    if (this.#ended) return Promise.resolve({ done: true, value: undefined })
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }))
  }

  return(): Promise<IteratorResult<NodeEvent>> {
    this.#leave()
    this.#events = []
    this.#missed = 0
    this.#error = undefined
    this.end()
    return Promise.resolve({ done: true, value: undefined })
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}
