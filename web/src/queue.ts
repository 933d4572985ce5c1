/**
 * Events on their way to one reader: a bounded queue that tells what it dropped.
 *
 * When it is full the oldest event goes, and the reader is told how many it missed before it gets the next one.
 */

import type { NodeEvent } from './types.js'

/** A guess: some seconds of a lively node. Each waiting event costs about 200 bytes. */
export const MAX_WAITING_EVENTS = 256

export class EventQueue {
  readonly #most: number
  #events: NodeEvent[] = []
  #missed = 0
  readonly #waiting: ((event: NodeEvent | undefined) => void)[] = []
  #ended = false

  constructor(most = MAX_WAITING_EVENTS) {
    this.#most = most
  }

  put(event: NodeEvent): void {
    if (this.#ended) return
    const waiting = this.#waiting.shift()
    if (waiting) return waiting(event)
    if (this.#events.length >= this.#most) {
      this.#events.shift()
      this.#missed += 1
    }
    this.#events.push(event)
  }

  /** The next event; undefined once the queue has ended and is empty. */
  next(): Promise<NodeEvent | undefined> {
    const event = this.#take()
    if (event || this.#ended) return Promise.resolve(event)
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  /** Nothing comes any more; what waits can still be taken. */
  end(): void {
    this.#ended = true
    for (const waiting of this.#waiting.splice(0)) waiting(undefined)
  }

  /** Nothing comes any more, and what waits is dropped. */
  clear(): void {
    this.#events = []
    this.#missed = 0
    this.end()
  }

  #take(): NodeEvent | undefined {
    if (this.#missed === 0) return this.#events.shift()
    const missed = this.#missed
    this.#missed = 0
    return { type: 'lagged', missed }
  }
}
