/** What the tab that runs the node has: the node, its own view of it, and a server for each follower. */

import type { RawOffer } from '../binding.js'
import type { Upstream } from '../upstream.js'
import { Host, type View } from './host.js'
import { Link } from './link.js'
import { Server } from './server.js'
import type { SharePlatform } from './share.js'

/**
 * What a follower offered is taken back this long after it went, in ms. A tab that stood still hears of such ends and of the
 * loss of its own lock at the same time; what it still did as the node would undo what the next leading tab has done.
 */
const FAREWELL_MS = 100

/** Tabs that remain have made their offers again after this, in ms: the promise for a hand-over. */
const INHERITANCE_MS = 3_000

export class Leading {
  readonly host: Host
  readonly view: View
  readonly id = crypto.randomUUID()
  readonly #servers = new Map<string, { server: Server; view: View; link: Link; gone: AbortController }>()
  readonly #platform: SharePlatform
  /** What the node before offered, until it is clear who offers it again. */
  #inherited: RawOffer[]
  #ended = false

  constructor(node: Upstream, inherited: RawOffer[], platform: SharePlatform) {
    this.#platform = platform
    this.#inherited = inherited
    this.host = new Host(node, () => this.#changed())
    this.view = this.host.view()
    if (inherited.length > 0) setTimeout(() => void this.#disown(), INHERITANCE_MS)
  }

  get followers(): number {
    return this.#servers.size
  }

  /** Serves the follower on the channel `name`, until it or the lock of that name is gone. */
  welcome(name: string): void {
    if (this.#servers.has(name) || this.#ended) return
    const gone = new AbortController()
    const view = this.host.view()
    const receive: Server['receive'] = (message) => server.receive(message)
    const link = new Link(this.#platform.channel(name), { receive, ended: () => this.#farewell(name) })
    const offers = (): RawOffer[] => [...this.#inherited, ...this.host.offers.standing]
    const server = new Server(link, view, { leader: this.id, warm: this.host.warm, offers })
    this.#servers.set(name, { server, view, link, gone })
    this.#platform.locks.request(name, { signal: gone.signal }, () => this.#farewell(name)).catch(() => {})
  }

  /** The node goes to another tab. */
  end(): void {
    this.#ended = true
    for (const { link, gone, server } of this.#servers.values()) {
      server.tell()
      link.close()
      gone.abort()
      server.end()
    }
    this.#servers.clear()
  }

  #farewell(name: string): void {
    const known = this.#servers.get(name)
    if (!known) return
    this.#servers.delete(name)
    known.gone.abort()
    known.link.close()
    known.server.end()
    setTimeout(() => {
      if (!this.#ended) void known.view.close()
    }, FAREWELL_MS)
  }

  #changed(): void {
    for (const { server } of this.#servers.values()) server.changed()
  }

  /** What tabs offered that are no more. */
  async #disown(): Promise<void> {
    if (this.#ended) return
    const offered = new Set(this.host.offers.standing.map(({ name }) => name))
    const { calls, offers } = this.host
    const disown = (offer: RawOffer): Promise<RawOffer[]> => offers.disown(offer, (call) => calls.run(call)).then(() => [], () => [offer])
    const failed = await Promise.all(this.#inherited.filter(({ name }) => !offered.has(name)).map(disown))
    // Whoever leads next inherits what could not be taken back.
    this.#inherited = failed.flat()
  }
}
