/** Where a tab's node comes from, and what it tells of it. */

import type { OpenRedError } from './errors.js'
import type { TabRole } from './types.js'
import type { Upstream } from './upstream.js'

export interface SourceEvents {
  /** This tab is to run the node; gives it started. */
  lead(): Promise<Upstream>
  /** Whatever `lead` gives from here on uses relayed paths only: another tab wants it so. */
  restrict(): void
  /** Stops what `lead` gave, without a word to the network. */
  stop(): void
  /** The node can be used. */
  up(upstream: Upstream, role: TabRole): void
  /** It is gone; another one comes. */
  down(why: string): void
  /** None can be had. */
  failed(error: OpenRedError): void
}

export interface Source {
  /** Gets a node. Doing so again changes nothing. */
  start(): void
  /** Lets go of it: the page is put away, and may start again. */
  stop(): void
  /** The page freezes. */
  freeze(): void
  /** The page goes for good, and has no time. */
  vanish(): void
  /** Takes back what this tab offers, then lets go. */
  leave(): Promise<void>
}

/** How long a farewell may take, in ms; the node takes a second itself to tell the network that it goes. */
const FAREWELL_MS = 1_500

/** Settles with `farewell`, whatever comes of it, and not late. */
export async function farewell(parting: Promise<unknown> | undefined): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, FAREWELL_MS)
  })
  await Promise.race([parting?.catch(() => {}), late])
  clearTimeout(timer)
}

/** A node that this tab has for itself. */
export class Alone implements Source {
  readonly #events: SourceEvents
  #life = 0
  #starting = false
  #node: Upstream | undefined

  constructor(events: SourceEvents) {
    this.#events = events
  }

  start(): void {
    if (this.#starting) return
    this.#starting = true
    const life = (this.#life += 1)
    this.#events.lead().then(
      (node) => {
        if (life !== this.#life) return
        this.#node = node
        this.#events.up(node, 'alone')
      },
      (error: OpenRedError) => {
        if (life === this.#life) this.#events.failed(error)
      },
    )
  }

  stop(): void {
    if (!this.#starting) return
    this.#starting = false
    this.#life += 1
    this.#node = undefined
    this.#events.stop()
  }

  /** Nobody waits for this node, and its connections may live through a short sleep. */
  freeze(): void {}

  vanish(): void {
    void this.leave()
  }

  async leave(): Promise<void> {
    const node = this.#node
    if (node && !node.calls.ended) await farewell(node.raw.close())
    this.stop()
  }
}
