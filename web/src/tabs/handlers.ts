/**
 * Who of several tabs serves a name through one node.
 *
 * The newest handler of a name gets the streams that come in from then on; when it is closed, or its tab goes, the one before
 * it does. So a stream goes to the tab that the visitor used last.
 */

import type { RawNode, RawStream } from '../binding.js'

/**
 * Streams that wait until the tab of their handler takes them. A tab takes a stream at once unless it stands still, so a
 * queue this long is one that nobody empties; a guess.
 */
const MAX_WAITING = 16

export class Handler {
  readonly name: string
  readonly #leave: (handler: Handler) => void
  readonly #waiting: RawStream[] = []
  #taker: ((stream: RawStream | undefined) => void) | undefined
  #closed = false

  constructor(name: string, leave: (handler: Handler) => void) {
    this.name = name
    this.#leave = leave
  }

  /** The next stream; undefined once the handler is closed. One call at a time. */
  accept(): Promise<RawStream | undefined> {
    const stream = this.#waiting.shift()
    if (stream || this.#closed) return Promise.resolve(stream)
    return new Promise((resolve) => {
      this.#taker = resolve
    })
  }

  give(stream: RawStream): void {
    // It was on its way when the handler closed.
    if (this.#closed) return stream.reset()
    if (this.#taker) {
      this.#taker(stream)
      this.#taker = undefined
    } else if (this.#waiting.length < MAX_WAITING) this.#waiting.push(stream)
    else stream.reset()
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#leave(this)
    for (const stream of this.#waiting.splice(0)) stream.reset()
    this.#taker?.(undefined)
    this.#taker = undefined
  }
}

interface Pile {
  handlers: Handler[]
  /** The node's handler. */
  raw: number
}

export class Handlers {
  readonly #raw: RawNode
  readonly #accept: (handler: number) => Promise<RawStream | undefined>
  readonly #piles = new Map<string, Pile>()

  /** `accept` is the node's, with whatever guards it. */
  constructor(raw: RawNode, accept: (handler: number) => Promise<RawStream | undefined>) {
    this.#raw = raw
    this.#accept = accept
  }

  handle(name: string): Handler {
    let pile = this.#piles.get(name)
    if (!pile) {
      pile = { handlers: [], raw: this.#raw.handle(name) }
      this.#piles.set(name, pile)
      void this.#serve(pile)
    }
    const handler = new Handler(name, (gone) => this.#leave(gone))
    pile.handlers.push(handler)
    return handler
  }

  async #serve(pile: Pile): Promise<void> {
    for (;;) {
      const stream = await this.#accept(pile.raw).catch(() => undefined)
      if (!stream) return
      const newest = pile.handlers.at(-1)
      if (newest) newest.give(stream)
      else stream.reset()
    }
  }

  #leave(gone: Handler): void {
    const pile = this.#piles.get(gone.name)
    if (!pile) return
    pile.handlers = pile.handlers.filter((handler) => handler !== gone)
    if (pile.handlers.length > 0) return
    this.#piles.delete(gone.name)
    this.#raw.closeHandler(pile.raw)
  }
}
