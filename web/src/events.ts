/**
 * One stream of events from the node, fanned out to any number of readers.
 *
 * Each reader has its own bounded queue. When it is full the oldest event goes, and the reader is told how many it
 * missed before it gets the next one; a slow reader never holds back the others.
 */

import { OpenRedError } from './errors.js'
import { aborted } from './failures.js'
import { EventQueue } from './queue.js'
import type { NodeEvent } from './types.js'

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

class EventReader implements AsyncIterableIterator<NodeEvent> {
  readonly #queue: EventQueue
  readonly #leave: () => void
  /** Why nothing comes after what waits. */
  #error: OpenRedError | undefined

  constructor(buffer: number, signal: AbortSignal | undefined, leave: () => void) {
    this.#queue = new EventQueue(buffer)
    const onAbort = (): void => {
      leave()
      this.#error = aborted(signal!)
      this.#queue.clear()
    }
    this.#leave = () => {
      signal?.removeEventListener('abort', onAbort)
      leave()
    }
    signal?.addEventListener('abort', onAbort)
  }

  push(event: NodeEvent): void {
    this.#queue.put(event)
  }

  end(error?: OpenRedError): void {
    this.#error = error
    this.#queue.end()
  }

  async next(): Promise<IteratorResult<NodeEvent>> {
    const value = await this.#queue.next()
    if (value) return { done: false, value }
    if (this.#error) throw this.#error
    return { done: true, value: undefined }
  }

  async return(): Promise<IteratorResult<NodeEvent>> {
    this.#leave()
    this.#error = undefined
    this.#queue.clear()
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}
