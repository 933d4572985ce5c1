/**
 * Tabs of one origin that mean the same node: one of them runs it, the others use it.
 *
 * A Web Lock says who. Every tab waits for it; the one that gets it leads until it closes, crashes, freezes or is put away,
 * and then the next in the queue does. A follower holds a lock of its own for as long as it lives, for which the leading tab
 * waits in turn: so each learns of the other's end without asking. A tab that stands still while it holds the lock is noticed
 * by its silence, and the lock is taken from it; it learns so when it runs again, and follows.
 *
 * So at most one tab runs the node at a time, with one exception that nobody can exclude: a tab that stood still goes on for
 * some ms until it learns that it has lost the lock.
 */

import type { RawOffer } from '../binding.js'
import { OpenRedError } from '../errors.js'
import { asOpenRedError } from '../failures.js'
import { farewell, type Source, type SourceEvents } from '../source.js'
import { upstreamOf } from '../upstream.js'
import { Following } from './following.js'
import { Leading } from './leading.js'
import type { Channel } from './link.js'
import { VERSION, type HallMessage } from './messages.js'

/** How long one tab keeps others from taking the lock as well, in ms: a node has started by then. */
const THEFT_MS = 3_000

export interface SharePlatform {
  locks: LockManager
  channel: (name: string) => Channel
}

/** What tabs share. */
export interface Shared {
  /** Names the node among all of this origin: whoever says the same shares it. */
  scope: string
  identity: Uint8Array
  /** Whether this tab wants relayed paths only. */
  relayedOnly: boolean
}

export class Share implements Source {
  readonly #scope: string
  readonly #identity: Uint8Array
  readonly #platform: SharePlatform
  readonly #events: SourceEvents
  #relayedOnly: boolean
  #hall: Channel | undefined
  /** Ends this tab's place in the queue. */
  #queue = new AbortController()
  /** Gives the lock back. */
  #letGo: (() => void) | undefined
  #leading: Leading | undefined
  #following: Following | undefined
  #inherited: RawOffer[] = []
  /** Grows when everything starts over, so that what was under way knows. */
  #life = 0

  constructor({ scope, identity, relayedOnly }: Shared, platform: SharePlatform, events: SourceEvents) {
    this.#scope = scope
    this.#identity = identity
    this.#relayedOnly = relayedOnly
    this.#platform = platform
    this.#events = events
  }

  start(): void {
    if (this.#hall) return
    this.#life += 1
    this.#hall = this.#platform.channel(this.#scope)
    this.#hall.onmessage = ({ data }) => this.#heard(data)
    this.#enqueue(false)
    this.#follow()
  }

  stop(): void {
    if (!this.#hall) return
    this.#life += 1
    this.#hall.onmessage = null
    this.#hall.close()
    this.#hall = undefined
    this.#queue.abort()
    this.#unfollow()
    this.#leading?.end()
    this.#leading = undefined
    if (!this.#letGo) return
    this.#events.stop()
    this.#letGo()
    this.#letGo = undefined
  }

  /** A page that is frozen with the lock would keep all others from the network. */
  freeze(): void {
    this.stop()
    this.#events.down('the page was frozen')
  }

  vanish(): void {
    if (this.#leading?.followers === 0) void this.leave()
    else this.stop()
  }

  async leave(): Promise<void> {
    // Whoever comes from here on waits for the next leading tab: this node is about to be closed.
    if (this.#hall) this.#hall.onmessage = null
    const { followers, host, view } = this.#leading ?? {}
    if (!host?.calls.ended) {
      // With nobody else there the node itself ends, and says so to the network.
      await farewell(followers === 0 ? host?.raw.close() : (view?.close() ?? this.#following?.leave()))
    }
    this.stop()
  }

  #enqueue(steal: boolean): void {
    const life = this.#life
    this.#queue = new AbortController()
    const held = (): Promise<void> | undefined => {
      if (life !== this.#life) return undefined
      return new Promise((resolve) => {
        this.#letGo = resolve
        void this.#lead()
      })
    }
    this.#platform.locks.request(this.#scope, steal ? { steal } : { signal: this.#queue.signal }, held).catch((thrown: unknown) => {
      if (life !== this.#life) return
      if (this.#letGo) return this.#deposed()
      const message = `this page cannot take part in the locks of its origin: ${String(thrown)}`
      this.#events.failed(new OpenRedError('STORAGE', message, { cause: thrown }))
    })
  }

  async #lead(): Promise<void> {
    const life = this.#life
    this.#unfollow()
    const inherited = this.#inherited
    this.#inherited = []
    this.#events.down('the tab that ran the node has gone, and this one takes over')
    try {
      const node = await this.#events.lead()
      if (life !== this.#life) return
      this.#leading = new Leading(node, inherited, this.#platform)
      this.#events.up(upstreamOf(this.#leading.view, node.warm), 'leading')
      this.#say({ kind: 'leading', leader: this.#leading.id })
    } catch (thrown) {
      if (life === this.#life) this.#events.failed(asOpenRedError(thrown))
    }
  }

  /** The lock was taken from this tab, which stood still: from here on it follows. */
  #deposed(): void {
    this.stop()
    this.#events.down('this tab stood still, and another one runs the node')
    this.start()
  }

  #follow(): void {
    if (this.#following || this.#letGo) return
    const name = `${this.#scope}:${crypto.randomUUID()}`
    const following = new Following(name, this.#identity, this.#platform, {
      call: () => this.#say({ kind: 'hello', link: name, relayedOnly: this.#relayedOnly }),
      welcomed: (upstream) => this.#events.up(upstream, 'following'),
      ended: (why) => {
        this.#following = undefined
        this.#inherit(following)
        if (following.leader) this.#events.down(why)
        this.#follow()
      },
      // Without locks there is nothing to take.
      unanswered: () => void this.#steal().catch(() => {}),
    })
    this.#following = following
  }

  /** Whoever leads next has to know what was offered before. */
  #inherit({ leader, offers }: Following): void {
    if (leader) this.#inherited = offers
  }

  #unfollow(): void {
    if (!this.#following) return
    this.#inherit(this.#following)
    this.#following.end()
    this.#following = undefined
  }

  /** One tab at a time may take the lock from one that stands still. */
  async #steal(): Promise<void> {
    const life = this.#life
    await this.#platform.locks.request(`${this.#scope}:thief`, { ifAvailable: true }, async (lock) => {
      if (!lock || life !== this.#life || this.#letGo || this.#following?.leader) return
      this.#queue.abort()
      this.#life += 1
      this.#enqueue(true)
      await new Promise((resolve) => setTimeout(resolve, THEFT_MS))
    })
  }

  #heard(data: unknown): void {
    if (!isHallMessage(data)) return
    if (data.kind === 'leading') {
      if (this.#leading || this.#following?.leader === data.leader) return
      if (this.#following?.leader) this.#events.down('another tab runs the node')
      this.#unfollow()
      this.#follow()
    } else if (data.kind === 'hello') {
      if (data.relayedOnly) this.#restrict()
      if (data.version === VERSION) this.#leading?.welcome(data.link)
      else if (this.#leading) this.#say({ kind: 'foreign', link: data.link })
    } else if (data.link === this.#following?.name) {
      const message = `another tab runs this identity with another version of this package (${data.version}, here ${VERSION})`
      this.#events.failed(new OpenRedError('UNSUPPORTED', `${message}; close or reload that tab`))
    }
  }

  /** A node that has told its address to peers is given up. */
  #restrict(): void {
    if (this.#relayedOnly) return
    this.#relayedOnly = true
    this.#events.restrict()
    if (!this.#letGo) return
    this.stop()
    this.#events.down('another tab wants relayed paths only')
    this.start()
  }

  #say(message: Said): void {
    this.#hall?.postMessage({ version: VERSION, ...message })
  }
}

type Said = { [K in HallMessage['kind']]: Omit<HallMessage & { kind: K }, 'version'> }[HallMessage['kind']]

function isHallMessage(data: unknown): data is HallMessage {
  return typeof data === 'object' && data !== null && 'version' in data && 'kind' in data
}
