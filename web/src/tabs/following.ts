/** What a follower has: its link to the leading tab, and the node at the other end. */

import type { RawOffer } from '../binding.js'
import { upstreamOf, type Upstream } from '../upstream.js'
import { RemoteNode } from './client.js'
import { Link } from './link.js'
import type { LinkMessage } from './messages.js'
import type { SharePlatform } from './share.js'

/** A leading tab welcomes within some ms; if not, it is called again after this. */
const CALL_AGAIN_MS = 1_000

/** Calls in vain after which the tab that has the lock counts as standing still. A guess, longer than a busy page is busy. */
const MOST_CALLS = 3

export interface FollowingEvents {
  /** Say hello in the hall. */
  call(): void
  welcomed(upstream: Upstream): void
  ended(why: string): void
  /** Nobody leads although somebody has the lock. */
  unanswered(): void
}

export class Following {
  /** Of its channel, and of the lock that tells the leading tab of this one's end. */
  readonly name: string
  /** Who welcomed it. */
  leader: string | undefined
  readonly #identity: Uint8Array
  readonly #events: FollowingEvents
  readonly #link: Link
  #node: RemoteNode | undefined
  #calling: ReturnType<typeof setInterval> | undefined
  #release: (() => void) | undefined
  #ended = false

  constructor(name: string, identity: Uint8Array, platform: SharePlatform, events: FollowingEvents) {
    this.name = name
    this.#identity = identity
    this.#events = events
    this.#link = new Link(platform.channel(name), {
      receive: (message) => this.#receive(message),
      ended: (why) => {
        this.end()
        events.ended(why)
      },
    })
    const held = (): Promise<void> | undefined => {
      if (this.#ended) return undefined
      this.#call()
      return new Promise((release) => {
        this.#release = release
      })
    }
    platform.locks.request(name, held).catch(() => {})
  }

  /** What the leading tab offered for all tabs, as far as it is known. */
  get offers(): RawOffer[] {
    return this.#node?.offers ?? []
  }

  /** Ends it from this side. */
  end(): void {
    if (this.#ended) return
    this.#ended = true
    clearInterval(this.#calling)
    this.#link.close()
    this.#node?.lost('the tab that ran the node has gone')
    this.#release?.()
  }

  /** Takes back what this tab offers and serves. */
  async leave(): Promise<void> {
    await this.#node?.close()
  }

  #call(): void {
    let calls = 1
    this.#events.call()
    this.#calling = setInterval(() => {
      calls += 1
      if (calls > MOST_CALLS) this.#events.unanswered()
      this.#events.call()
    }, CALL_AGAIN_MS)
  }

  #receive(message: LinkMessage): void {
    if (message.kind !== 'welcome') return this.#node?.receive(message)
    clearInterval(this.#calling)
    this.leader = message.leader
    this.#node = new RemoteNode(this.#link, this.#identity, message.peerId, message.snapshot)
    this.#events.welcomed(upstreamOf(this.#node, message.warm))
  }
}
