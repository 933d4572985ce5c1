/**
 * One node, used by several tabs.
 *
 * Each tab, the leading one too, has a view: a raw node of its own, with its own numbers for calls, offers and handlers. What
 * a tab has goes with its view.
 */

import type { RawNode, RawOffer, RawStats, RawStream, RawTarget } from '../binding.js'
import type { Calls } from '../calls.js'
import { OpenRedError } from '../errors.js'
import { EventQueue } from '../queue.js'
import type { Explanation, Found, NodeEvent, OfferPatch, PeerInfo, Status } from '../types.js'
import { heldStream, Ops, type Upstream } from '../upstream.js'
import { Handlers, type Handler } from './handlers.js'
import { Offers, type Offered, type Start } from './offers.js'

export class Host {
  readonly raw: RawNode
  readonly calls: Calls
  readonly warm: boolean
  readonly offers: Offers
  readonly handlers: Handlers
  readonly #views = new Set<View>()
  readonly #changed: () => void

  /** `changed` is called when peers, status or offers are not as they were. */
  constructor(node: Upstream, changed: () => void) {
    this.raw = node.raw
    this.calls = node.calls
    this.warm = node.warm
    this.#changed = changed
    this.offers = new Offers(node.raw, (call) => node.calls.run(call), changed)
    this.handlers = new Handlers(node.raw, (handler) => node.calls.run(() => node.raw.accept(handler)))
    void this.#pump()
  }

  view(): View {
    const view: View = new View(this, () => this.#views.delete(view))
    this.#views.add(view)
    return view
  }

  async #pump(): Promise<void> {
    for (;;) {
      const event = await this.calls.run(() => this.raw.nextEvent()).catch(() => undefined)
      if (!event) break
      for (const view of this.#views) view.tell(event)
      if (event.type === 'status' || event.type.startsWith('peer:')) this.#changed()
    }
    for (const view of this.#views) view.end()
  }
}

/** The node as one tab has it. */
export class View implements RawNode {
  readonly #host: Host
  readonly #leave: () => void
  readonly #ops = new Ops()
  readonly #events = new EventQueue()
  readonly #offers = new Map<number, Offered>()
  /** Names that this tab offers, or is about to. */
  readonly #names = new Set<string>()
  readonly #handlers = new Map<number, Handler>()
  #next = 0
  #closing: Promise<void> | undefined

  constructor(host: Host, leave: () => void) {
    this.#host = host
    this.#leave = leave
  }

  peerId(): string {
    return this.#host.calls.now(() => this.#host.raw.peerId())
  }

  exportIdentity(): Uint8Array {
    return this.#host.calls.now(() => this.#host.raw.exportIdentity())
  }

  status(): Status {
    return this.#host.calls.now(() => this.#host.raw.status())
  }

  peers(): PeerInfo[] {
    return this.#host.calls.now(() => this.#host.raw.peers())
  }

  stats(): RawStats {
    return this.#host.calls.now(() => this.#host.raw.stats())
  }

  async explain(target: string): Promise<Explanation> {
    return this.#host.calls.now(() => this.#host.raw.explain(target))
  }

  wake(): Promise<void> {
    return this.#host.calls.run(() => this.#host.raw.wake())
  }

  networkChanged(): Promise<void> {
    return this.#host.calls.run(() => this.#host.raw.networkChanged())
  }

  networkGone(): Promise<void> {
    return this.#host.calls.run(() => this.#host.raw.networkGone())
  }

  ready(op: number, timeoutMs: number): Promise<void> {
    return this.#run(op, (start) => start((op) => this.#host.raw.ready(op, timeoutMs)))
  }

  find(op: number, name: string, options: { limit?: number; timeout?: number; maxAge?: number }): Promise<Found> {
    return this.#run(op, (start) => start((op) => this.#host.raw.find(op, name, options)))
  }

  async provide(op: number, offer: RawOffer): Promise<number> {
    const { name } = offer
    if (this.#names.has(name)) {
      throw new OpenRedError('INVALID_OPTION', `this tab offers "${name}" already; update or withdraw that registration`)
    }
    this.#names.add(name)
    try {
      const offered = await this.#run(op, (start) => this.#host.offers.provide(offer, start))
      const id = (this.#next += 1)
      this.#offers.set(id, offered)
      if (this.#closing) void this.#release(offered)
      return id
    } catch (thrown) {
      this.#names.delete(name)
      throw thrown
    }
  }

  update(op: number, registration: number, patch: OfferPatch): Promise<void> {
    return this.#run(op, (start) => this.#host.offers.update(this.#offered(registration), patch, start))
  }

  withdraw(op: number, registration: number): Promise<void> {
    return this.#run(op, (start) => {
      const offered = this.#offered(registration)
      this.#offers.delete(registration)
      this.#names.delete(offered.offer.name)
      return this.#host.offers.withdraw(offered, start)
    })
  }

  handle(name: string): number {
    const handler = this.#host.calls.now(() => this.#host.handlers.handle(name))
    const id = (this.#next += 1)
    this.#handlers.set(id, handler)
    return id
  }

  accept(handler: number): Promise<RawStream | undefined> {
    return this.#handlers.get(handler)?.accept().then((raw) => raw && heldStream(raw, this.#host.calls)) ?? Promise.resolve(undefined)
  }

  closeHandler(handler: number): void {
    if (!this.#host.calls.ended) this.#handlers.get(handler)?.close()
    this.#handlers.delete(handler)
  }

  async open(op: number, target: RawTarget, timeoutMs: number): Promise<RawStream> {
    const { raw, calls } = this.#host
    const open = (signal: AbortSignal): Promise<RawStream> =>
      calls.run((op) => raw.open(op, target, timeoutMs), { signal, late: (stream) => stream.reset() })
    return heldStream(await this.#ops.run(op, open), calls)
  }

  nextEvent(): Promise<NodeEvent | undefined> {
    return this.#events.next()
  }

  tick(): void {
    const { calls, raw } = this.#host
    if (!calls.ended) calls.now(() => raw.tick())
  }

  cancel(op: number): void {
    this.#ops.cancel(op)
  }

  /** Takes back what this tab offers and serves; the node goes on. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  abandon(): void {
    void this.close()
  }

  tell(event: NodeEvent): void {
    this.#events.put(event)
  }

  end(): void {
    this.#events.end()
  }

  async #close(): Promise<void> {
    this.#leave()
    this.end()
    for (const handler of [...this.#handlers.keys()]) this.closeHandler(handler)
    await Promise.all([...this.#offers.values()].map((offered) => this.#release(offered)))
    this.#offers.clear()
  }

  #release(offered: Offered): Promise<void> {
    return this.#host.offers.withdraw(offered, (call) => this.#host.calls.run(call)).catch(() => {})
  }

  #offered(registration: number): Offered {
    const offered = this.#offers.get(registration)
    if (!offered) throw new OpenRedError('NOT_FOUND', 'this offer was withdrawn')
    return offered
  }

  #run<T>(op: number, action: (start: Start) => Promise<T>): Promise<T> {
    return this.#ops.run(op, (signal) => action((call) => this.#host.calls.run(call, { signal })))
  }
}
