/** Serves one follower: its messages become calls of its view of the node. */

import type { RawNode, RawOffer, RawStream } from '../binding.js'
import type { ErrorCode } from '../errors.js'
import { asOpenRedError } from '../failures.js'
import type { Link } from './link.js'
import type { CallMessage, LinkMessage, Method, Methods, Snapshot, StreamInfo } from './messages.js'
import { carry, type Carrier } from './stream.js'

/** Snapshots sent because peers came or went follow each other by at least this, in ms. */
const PACE_MS = 200

type Answers = { [M in Method]: (op: number, ...args: Methods[M]['args']) => Promise<Methods[M]['gives']> }

/** What a follower is told of the leading tab. */
export interface Lead {
  leader: string
  warm: boolean
  offers: () => RawOffer[]
}

export class Server {
  readonly #link: Link
  readonly #view: RawNode
  readonly #lead: Lead
  readonly #streams = new Map<number, Carrier>()
  /** The follower's numbers of handlers, and the view's. */
  readonly #handlers = new Map<number, { id: number } | { refused: unknown }>()
  readonly #answers: Answers
  #nextStream = 0
  #pacing: ReturnType<typeof setTimeout> | undefined
  #ended = false

  constructor(link: Link, view: RawNode, lead: Lead) {
    this.#link = link
    this.#view = view
    this.#lead = lead
    this.#answers = {
      ready: (op, timeoutMs) => view.ready(op, timeoutMs),
      provide: (op, offer) => view.provide(op, offer),
      update: (op, registration, patch) => view.update(op, registration, patch),
      withdraw: (op, registration) => view.withdraw(op, registration),
      find: (op, name, options) => view.find(op, name, options),
      handle: async (_, handler, name) => this.#handle(handler, name),
      accept: (_, handler) => this.#accept(handler),
      open: async (op, target, timeoutMs) => this.#stream(await view.open(op, target, timeoutMs)),
      nextEvent: () => view.nextEvent(),
      explain: async (_, target) => view.explain(target),
      wake: () => view.wake(),
      networkChanged: () => view.networkChanged(),
      networkGone: () => view.networkGone(),
      close: () => view.close(),
    }
    link.send({ kind: 'welcome', leader: lead.leader, peerId: view.peerId(), warm: lead.warm, snapshot: this.#snapshot() })
  }

  receive(message: LinkMessage): void {
    if ('stream' in message) return this.#streams.get(message.stream)?.receive(message)
    if (message.kind === 'call') return void this.#answer(message)
    if (message.kind === 'cancel') return this.#view.cancel(message.call)
    if (message.kind === 'closeHandler') return this.#closeHandler(message.handler)
    if (message.kind === 'tick') return this.#view.tick()
    if (message.kind === 'refresh') this.tell()
  }

  /** Peers or the status have changed. */
  changed(): void {
    this.#pacing ??= setTimeout(() => {
      this.#pacing = undefined
      this.tell()
    }, PACE_MS)
  }

  /** The link is gone, and streams with it; what the follower offers and serves is the view's. */
  end(): void {
    if (this.#ended) return
    this.#ended = true
    clearTimeout(this.#pacing)
    for (const stream of [...this.#streams.values()]) stream.drop()
  }

  async #answer({ call, method, args }: CallMessage & { kind: 'call' }): Promise<void> {
    try {
      const answer = this.#answers[method] as (op: number, ...args: unknown[]) => Promise<unknown>
      const value = await answer(call, ...args)
      this.#link.send({ kind: 'answer', call, value })
    } catch (thrown) {
      const { code, message }: { code: ErrorCode; message: string } = asOpenRedError(thrown)
      this.#link.send({ kind: 'answer', call, failure: { code, message } })
    }
  }

  #handle(handler: number, name: string): void {
    try {
      this.#handlers.set(handler, { id: this.#view.handle(name) })
    } catch (refused) {
      this.#handlers.set(handler, { refused })
    }
  }

  async #accept(handler: number): Promise<StreamInfo | undefined> {
    const known = this.#handlers.get(handler)
    if (!known) return undefined
    if ('refused' in known) throw known.refused
    const raw = await this.#view.accept(known.id)
    return raw && this.#stream(raw)
  }

  #closeHandler(handler: number): void {
    const known = this.#handlers.get(handler)
    this.#handlers.delete(handler)
    if (known && 'id' in known) this.#view.closeHandler(known.id)
  }

  #stream(raw: RawStream): StreamInfo {
    const { name, remotePeer, path } = raw
    if (this.#ended) raw.reset()
    const stream = (this.#nextStream += 1)
    const carrier = carry(stream, raw, (message) => this.#link.send(message), () => this.#streams.delete(stream))
    this.#streams.set(stream, carrier)
    this.#link.watch(() => this.#streams.size > 0)
    return { stream, name, remotePeer, path }
  }

  #snapshot(): Snapshot {
    return { status: this.#view.status(), peers: this.#view.peers(), stats: this.#view.stats(), offers: this.#lead.offers() }
  }

  /** Sends what there is to know. */
  tell(): void {
    try {
      this.#link.send({ kind: 'snapshot', snapshot: this.#snapshot() })
    } catch {
      // The node has ended; its link is about to.
    }
  }
}
