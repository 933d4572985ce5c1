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
  #waiter: ((event: NodeEvent | undefined) => void) | undefined
  #ended = false

  constructor(most = MAX_WAITING_EVENTS) {
    this.#most = most
  }

  put(event: NodeEvent): void {
    if (this.#ended) return
    if (this.#waiter) {
      this.#waiter(event)
      this.#waiter = undefined
      return
    }
    if (this.#events.length >= this.#most) {
      this.#events.shift()
      this.#missed += 1
    }
    this.#events.push(event)
  }

  /** The next event; undefined once the queue has ended and is empty. One call at a time. */
  next(): Promise<NodeEvent | undefined> {
    const event = this.#take()
    if (event || this.#ended) return Promise.resolve(event)
    return new Promise((resolve) => {
      this.#waiter = resolve
    })
  }

  /** Nothing comes any more; what waits can still be taken. */
  end(): void {
    this.#ended = true
    this.#waiter?.(undefined)
    this.#waiter = undefined
  }

  #take(): NodeEvent | undefined {
    if (this.#missed === 0) return this.#events.shift()
    const missed = this.#missed
    this.#missed = 0
    return { type: 'lagged', missed }
  }
}
