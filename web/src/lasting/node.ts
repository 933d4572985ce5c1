/**
 * A raw node that lasts while what is behind it changes: the wasm node of this tab, that of another tab, none for a while.
 *
 * What the application has asked for stands here: when a node comes in the place of another, every offer is made and every
 * handler registered again, and calls without an answer are made again. Streams cannot be carried over; they end with
 * `STREAM_RESET`. `status` tells what goes on.
 */

import type { RawNode, RawOffer, RawStats, RawStream, RawTarget } from '../binding.js'
import { OpenRedError } from '../errors.js'
import { closed } from '../failures.js'
import type { Explanation, Found, NodeEvent, OfferPatch, PeerInfo, Status, TabRole } from '../types.js'
import { heldStream, lose, Ops, type Upstream } from '../upstream.js'
import { StandingHandlers } from './handlers.js'
import { StandingOffers } from './offers.js'
import { NOTHING } from './nothing.js'

/** How long a call without a time limit of its own waits for a node to be there, in ms. A hand-over takes far less than 3 s. */
const PATIENCE_MS = 10_000

/**
 * A node gives a call up itself when its time is over, and says why or gives what it has; one that does not within this much more
 * does not answer. Timers of hidden tabs go off once a second, and those of two tabs may be in between.
 */
const OVERDUE_MS = 2_000

/** Timers of a longer time go off at once: it is kept in 32 bits. */
const MAX_TIMER_MS = 2_147_483_647

export interface LastingParts {
  peerId: string
  identity: Uint8Array
  /** Throws if a service cannot have this name. */
  checkName: (name: string) => void
  /** Is told everything that happens. */
  tell: (event: NodeEvent) => void
  /** Lets go of whatever is behind it. */
  leave: () => Promise<void>
}

export class LastingNode implements Omit<RawNode, 'nextEvent' | 'tick'> {
  readonly #parts: LastingParts
  readonly #ops = new Ops()
  readonly #offers: StandingOffers
  readonly #handlers: StandingHandlers
  /** Calls that wait for a node. */
  readonly #awaiting = new Set<() => void>()
  #upstream: Upstream | undefined
  #role: TabRole | undefined
  #told: Status = { state: 'joining' }
  /** Why no node can be had. */
  #failure: OpenRedError | undefined

  constructor(parts: LastingParts) {
    this.#parts = parts
    const warn = (code: string, message: string): void => this.warn(code, message)
    this.#handlers = new StandingHandlers(parts.checkName, warn)
    this.#offers = new StandingOffers({
      run: (op, call, late) => this.#run(op, call, undefined, late),
      isPresent: (upstream) => upstream === this.#upstream,
      warn,
    })
  }

  get role(): TabRole {
    return this.#role ?? 'alone'
  }

  get warm(): boolean {
    return this.#upstream?.warm ?? false
  }

  /** A node is there. */
  up(upstream: Upstream, role: TabRole): void {
    this.#upstream = upstream
    this.#failure = undefined
    // Before anybody hears of it, so that what a listener offers or serves is not made twice.
    this.#handlers.restore(upstream)
    this.#offers.restore(upstream)
    if (role !== (this.#role ?? 'alone')) this.#parts.tell({ type: 'tab', role })
    this.#role = role
    this.#tell({ type: 'status', ...upstream.raw.status() })
    void this.#pump(upstream)
    this.#changed()
  }

  /** The node is gone. `status` says what state this is, and why. */
  down(status: Status): void {
    const gone = this.#upstream
    this.#upstream = undefined
    if (!gone) return
    lose(gone, status.reason ?? 'the node has gone')
    this.#tell({ type: 'status', ...status })
  }

  /** No node can be had; what waits for one ends. */
  failed(error: OpenRedError): void {
    this.#failure = error
    this.down({ state: 'offline', reason: error.message })
    this.#changed()
  }

  warn(code: string, message: string): void {
    this.#parts.tell({ type: 'warning', code, message })
  }

  peerId(): string {
    return this.#parts.peerId
  }

  exportIdentity(): Uint8Array {
    return this.#parts.identity.slice()
  }

  status(): Status {
    return this.#upstream ? this.#upstream.raw.status() : { ...this.#told }
  }

  peers(): PeerInfo[] {
    return this.#upstream?.raw.peers() ?? []
  }

  stats(): RawStats {
    return this.#upstream?.raw.stats() ?? NOTHING
  }

  explain(target: string): Promise<Explanation> {
    return this.#run(0, async ({ raw }) => raw.explain(target))
  }

  /** Where there is no node there is nothing to wake. */
  async wake(): Promise<void> {
    const upstream = this.#upstream
    await upstream?.calls.run(() => upstream.raw.wake())
  }

  async networkChanged(): Promise<void> {
    const upstream = this.#upstream
    await upstream?.calls.run(() => upstream.raw.networkChanged())
  }

  async networkGone(): Promise<void> {
    const upstream = this.#upstream
    await upstream?.calls.run(() => upstream.raw.networkGone())
  }

  ready(op: number, timeoutMs: number): Promise<void> {
    const left = remaining(timeoutMs)
    return this.#run(op, ({ raw }, op) => raw.ready(op, left()), left)
  }

  find(op: number, name: string, options: { limit?: number; timeout?: number; maxAge?: number }): Promise<Found> {
    const left = options.timeout === undefined ? undefined : remaining(options.timeout)
    return this.#run(op, ({ raw }, op) => raw.find(op, name, left ? { ...options, timeout: left() } : options), left)
  }

  provide(op: number, offer: RawOffer): Promise<number> {
    return this.#offers.provide(op, offer)
  }

  update(op: number, registration: number, patch: OfferPatch): Promise<void> {
    return this.#offers.update(op, registration, patch)
  }

  withdraw(op: number, registration: number): Promise<void> {
    return this.#offers.withdraw(op, registration)
  }

  handle(name: string): number {
    return this.#handlers.handle(name, this.#upstream)
  }

  accept(handler: number): Promise<RawStream | undefined> {
    return this.#handlers.accept(handler)
  }

  closeHandler(handler: number): void {
    this.#handlers.close(handler)
  }

  open(op: number, target: RawTarget, timeoutMs: number): Promise<RawStream> {
    const left = remaining(timeoutMs)
    const open = async ({ raw, calls }: Upstream, op: number): Promise<RawStream> => heldStream(await raw.open(op, target, left()), calls)
    return this.#run(op, open, left, (stream) => stream.reset())
  }

  cancel(op: number): void {
    this.#ops.cancel(op)
  }

  async close(): Promise<void> {
    await this.#parts.leave()
    this.abandon()
  }

  /** Whatever is under way or waits for a node ends. */
  abandon(): void {
    this.#failure = closed()
    this.#handlers.end()
    this.#offers.clear()
    if (this.#upstream) lose(this.#upstream, this.#failure.message)
    this.#changed()
  }

  /** Makes a call, and makes it again if its node goes before there is an answer. `left` is what remains of its time, in ms. */
  #run<T>(op: number, call: (upstream: Upstream, op: number) => Promise<T>, left?: () => number, late?: (value: T) => void): Promise<T> {
    return this.#ops.run(op, async (signal) => {
      const overdue = new OpenRedError('TIMEOUT', 'the node did not answer in time')
      let why: OpenRedError | undefined
      const giveUp = (): void => {
        why = overdue
        this.#ops.cancel(op)
      }
      const timer = left && setTimeout(giveUp, Math.min(left() + OVERDUE_MS, MAX_TIMER_MS))
      try {
        for (;;) {
          const upstream = this.#upstream ?? (await this.#node(left?.() ?? PATIENCE_MS, signal))
          try {
            return await upstream.calls.run((op) => call(upstream, op), { signal, ...(late && { late }) })
          } catch (thrown) {
            if (upstream === this.#upstream || signal.aborted) throw why ?? thrown
          }
        }
      } finally {
        clearTimeout(timer)
      }
    })
  }

  /** The node, as soon as there is one. */
  #node(patienceMs: number, signal: AbortSignal): Promise<Upstream> {
    if (this.#failure) return Promise.reject(this.#failure)
    return new Promise((resolve, reject) => {
      const settle = (error?: OpenRedError): void => {
        this.#awaiting.delete(settle)
        signal.removeEventListener('abort', onAbort)
        clearTimeout(timer)
        if (this.#upstream) resolve(this.#upstream)
        else reject(error ?? this.#failure)
      }
      const onAbort = (): void => settle(new OpenRedError('ABORTED', 'the call was aborted'))
      const late = new OpenRedError('TIMEOUT', `no node was there within ${patienceMs} ms`)
      const timer = setTimeout(() => settle(late), patienceMs)
      signal.addEventListener('abort', onAbort)
      this.#awaiting.add(settle)
    })
  }

  #changed(): void {
    for (const settle of [...this.#awaiting]) settle()
  }

  async #pump(upstream: Upstream): Promise<void> {
    for (;;) {
      const event = await upstream.calls.run(() => upstream.raw.nextEvent()).catch(() => undefined)
      if (!event || upstream !== this.#upstream) return
      this.#tell(event)
    }
  }

  /** The same status is not told twice. */
  #tell(event: NodeEvent): void {
    if (event.type === 'status') {
      const { type: _, ...status } = event
      if (status.state === this.#told.state && status.reason === this.#told.reason) return
      this.#told = status
    }
    this.#parts.tell(event)
  }
}

/** What is left of a time limit, in ms; at least one, so that who waits gives the error. */
function remaining(timeoutMs: number): () => number {
  const deadline = performance.now() + timeoutMs
  return () => Math.max(1, Math.round(deadline - performance.now()))
}
