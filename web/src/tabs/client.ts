/**
 * The node of another tab, as this tab uses it: the raw node's methods as messages over a link.
 *
 * What has to be answered at once (status, peers, figures) is answered from the latest snapshot. The leading tab sends one
 * whenever a peer comes or goes; figures are asked for anew when somebody looks at them.
 *
 * The leading tab may be hidden, and browsers hold the timers of hidden tabs back to one a second or one a minute, but deliver
 * messages at once. So a tab that is seen and waits for an answer lends its clock: it tells the leading one to look what is due.
 */

import type { RawNode, RawOffer, RawStats, RawStream, RawTarget } from '../binding.js'
import type { Explanation, Found, NodeEvent, OfferPatch, PeerInfo, Status } from '../types.js'
import { isSeen } from '../life.js'
import type { Link } from './link.js'
import type { CallMessage, Failure, LinkMessage, Method, Methods, Snapshot, StreamInfo, StreamMessage } from './messages.js'
import { FarStream } from './stream.js'

/** A snapshot older than this is asked for anew when it is looked at, in ms. */
const FRESH_MS = 1_000

/**
 * Between two ticks of the clock that is lent, in ms. A find overtakes a layer that is late after some 60 ms; most answers are
 * there before the first tick.
 */
const TICK_MS = 50

/** Calls that may wait for hours and say nothing about the other tab's health. */
const PATIENT: readonly Method[] = ['accept', 'nextEvent']

interface Call {
  method: Method
  resolve(value: unknown): void
  reject(failure: Failure): void
}

export class RemoteNode implements RawNode {
  readonly #link: Link
  readonly #peerId: string
  readonly #identity: Uint8Array
  readonly #calls = new Map<number, Call>()
  /** Which call an `op` of the caller is. */
  readonly #ops = new Map<number, number>()
  readonly #streams = new Map<number, FarStream>()
  #ticking: ReturnType<typeof setInterval> | undefined
  #snapshot: Snapshot
  #snapshotAt = Date.now()
  #next = 0

  constructor(link: Link, identity: Uint8Array, peerId: string, snapshot: Snapshot) {
    this.#link = link
    this.#identity = identity
    this.#peerId = peerId
    this.#snapshot = snapshot
  }

  peerId(): string {
    return this.#peerId
  }

  exportIdentity(): Uint8Array {
    return this.#identity.slice()
  }

  status(): Status {
    return this.#snapshot.status
  }

  peers(): PeerInfo[] {
    return this.#fresh().peers
  }

  stats(): RawStats {
    return this.#fresh().stats
  }

  /** What the network sees offered by any tab. */
  get offers(): RawOffer[] {
    return this.#snapshot.offers
  }

  ready(op: number, timeoutMs: number): Promise<void> {
    return this.#call('ready', [timeoutMs], op)
  }

  provide(op: number, offer: RawOffer): Promise<number> {
    return this.#call('provide', [offer], op)
  }

  update(op: number, registration: number, patch: OfferPatch): Promise<void> {
    return this.#call('update', [registration, patch], op)
  }

  withdraw(op: number, registration: number): Promise<void> {
    return this.#call('withdraw', [registration], op)
  }

  find(op: number, name: string, options: { limit?: number; timeout?: number; maxAge?: number }): Promise<Found> {
    return this.#call('find', [name, options], op)
  }

  explain(target: string): Promise<Explanation> {
    return this.#call('explain', [target])
  }

  wake(): Promise<void> {
    return this.#call('wake', [])
  }

  networkChanged(): Promise<void> {
    return this.#call('networkChanged', [])
  }

  networkGone(): Promise<void> {
    return this.#call('networkGone', [])
  }

  /** What the leading tab has against it, `accept` rejects with. */
  handle(name: string): number {
    const handler = (this.#next += 1)
    this.#call('handle', [handler, name]).catch(() => {})
    return handler
  }

  async accept(handler: number): Promise<RawStream | undefined> {
    const info = await this.#call('accept', [handler])
    return info && this.#stream(info)
  }

  closeHandler(handler: number): void {
    this.#link.send({ kind: 'closeHandler', handler })
  }

  async open(op: number, target: RawTarget, timeoutMs: number): Promise<RawStream> {
    return this.#stream(await this.#call('open', [target, timeoutMs], op))
  }

  async nextEvent(): Promise<NodeEvent | undefined> {
    const event = await this.#call('nextEvent', [])
    if (event?.type === 'status') {
      const { type: _, ...status } = event
      this.#snapshot = { ...this.#snapshot, status }
    }
    return event
  }

  tick(): void {
    this.#link.send({ kind: 'tick' })
  }

  cancel(op: number): void {
    const call = this.#ops.get(op)
    if (call !== undefined) this.#link.send({ kind: 'cancel', call })
  }

  /** What this tab offers and serves is taken back; the node goes on for the others. */
  async close(): Promise<void> {
    await this.#call('close', [])
    this.abandon()
  }

  abandon(): void {
    this.#link.close()
    this.lost('the node was closed')
  }

  receive(message: LinkMessage): void {
    if ('stream' in message) return this.#streams.get(message.stream)?.receive(message)
    if (message.kind === 'answer') return this.#answered(message)
    if (message.kind !== 'snapshot') return
    this.#snapshot = message.snapshot
    this.#snapshotAt = Date.now()
  }

  /** The link has ended: streams and calls end too. */
  lost(why: string): void {
    const failure: Failure = { code: 'STREAM_RESET', message: why }
    for (const stream of [...this.#streams.values()]) stream.lose(failure)
    for (const { reject } of this.#calls.values()) reject(failure)
    this.#calls.clear()
    this.#ops.clear()
    this.#lend()
  }

  #call<M extends Method>(method: M, args: Methods[M]['args'], op?: number): Promise<Methods[M]['gives']> {
    if (this.#link.over) return Promise.reject({ code: 'STREAM_RESET', message: 'the tab that ran the node has gone' })
    const call = (this.#next += 1)
    if (op !== undefined) this.#ops.set(op, call)
    const answered = new Promise<unknown>((resolve, reject) => this.#calls.set(call, { method, resolve, reject })).finally(() => {
      if (op !== undefined) this.#ops.delete(op)
    })
    try {
      this.#link.send({ kind: 'call', call, method, args })
    } catch (thrown) {
      const message = `what was handed in cannot go to the tab that runs the node: ${String(thrown)}`
      this.#answered({ kind: 'answer', call, failure: { code: 'INVALID_OPTION', message } })
    }
    this.#watch()
    return answered as Promise<Methods[M]['gives']>
  }

  #answered({ call, value, failure }: CallMessage & { kind: 'answer' }): void {
    const waiting = this.#calls.get(call)
    this.#calls.delete(call)
    if (failure) waiting?.reject(failure)
    else waiting?.resolve(value)
  }

  #stream(info: StreamInfo): FarStream {
    const stream = new FarStream(info, (message: StreamMessage) => this.#link.send(message), () => this.#streams.delete(info.stream))
    this.#streams.set(info.stream, stream)
    this.#watch()
    return stream
  }

  get #waits(): boolean {
    return [...this.#calls.values()].some(({ method }) => !PATIENT.includes(method))
  }

  #watch(): void {
    this.#link.watch(() => this.#streams.size > 0 || this.#waits)
    this.#lend()
  }

  #lend(): void {
    if (this.#waits) {
      this.#ticking ??= setInterval(() => {
        if (!this.#waits) this.#lend()
        else if (isSeen()) this.tick()
      }, TICK_MS)
    } else {
      clearInterval(this.#ticking)
      this.#ticking = undefined
    }
  }

  #fresh(): Snapshot {
    if (Date.now() - this.#snapshotAt >= FRESH_MS) {
      this.#snapshotAt = Date.now()
      this.#link.send({ kind: 'refresh' })
    }
    return this.#snapshot
  }
}
