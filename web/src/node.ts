/** A node of the network, as callers see it. */

import type { LastingNode } from './lasting/node.js'
import type { Calls } from './calls.js'
import { asyncDispose } from './dispose.js'
import { OpenRedError } from './errors.js'
import type { EventHub } from './events.js'
import { aborted, closed } from './failures.js'
import { join, stop, type Joined } from './join.js'
import { checkEvents, checkFind, checkName, checkOffer, checkOpen, checkPatch, checkSignal, checkTarget } from './options.js'
import { foundFrom } from './records.js'
import { serviceStream } from './streams.js'
import type {
  CallOptions,
  EventsOptions,
  Explanation,
  FindOptions,
  Found,
  HandlerRegistration,
  JoinOptions,
  NodeEvent,
  Offer,
  OpenOptions,
  PeerInfo,
  Registration,
  ServiceHandler,
  ServiceStream,
  Stats,
  Status,
  TabRole,
  Target,
} from './types.js'

export class OpenRed {
  /** This node's identity, base58. Stays readable after `close()`. */
  readonly peerId: string
  readonly #joined: Joined
  readonly #raw: LastingNode
  readonly #calls: Calls
  readonly #events: EventHub
  #closing: Promise<void> | undefined

  private constructor(joined: Joined) {
    this.#joined = joined
    this.#raw = joined.raw
    this.#calls = joined.calls
    this.#events = joined.events
    this.peerId = this.#calls.now(() => this.#raw.peerId())
  }

  /**
   * Makes this page a node. Resolves when one relay is identified on the network and the DHT answers. Rejects with
   * `NO_RELAY`, `WRONG_NETWORK`, `TIMEOUT`, `ABORTED`, `INVALID_OPTION`, `INVALID_ADDRESS`, `STORAGE`, `UNSUPPORTED`,
   * `UNREACHABLE` (the wasm code could not be loaded) or `CRASHED`.
   */
  static async join(options: JoinOptions = {}): Promise<OpenRed> {
    return new OpenRed(await join(options))
  }

  get status(): Status {
    if (this.#closing) return { state: 'closed' }
    const { ended } = this.#calls
    if (ended) return { state: 'crashed', reason: ended.message }
    return this.#calls.now(() => this.#raw.status())
  }

  /**
   * Whether this tab runs the node: `'alone'`, `'leading'` (other tabs use it too, as soon as there are any) or `'following'`
   * (it uses that of another tab). When the leading tab goes, another one takes over: offers and handlers of the tabs that
   * remain stand again, calls without an answer are made again, streams end with `STREAM_RESET`; `status` is `joining`
   * meanwhile. The event `tab` tells of changes.
   */
  get tab(): TabRole {
    return this.#raw.role
  }

  /** The identity with its secret key, for `join({ identity })`. Who has these bytes is this node. */
  exportIdentity(): Uint8Array {
    return this.#calls.now(() => this.#raw.exportIdentity())
  }

  /**
   * Offers a service. Resolves once this node can be reached and a write quorum of the DHT holds the record. Rejects
   * with `INVALID_NAME`, `INVALID_OPTION`, `RECORD_TOO_LARGE`, `UNREACHABLE`, `TIMEOUT`, `QUOTA`.
   */
  async provide(offer: Offer & CallOptions, options: CallOptions = {}): Promise<Registration> {
    const checked = checkOffer(offer)
    const signal = signalOf(offer, options)
    const id = await this.#calls.run((op) => this.#raw.provide(op, checked), { signal, late: (id) => this.#drop(id) })
    return this.#registration(checked.name, id)
  }

  /**
   * Looks a name (or `name@<peer id>`) up, this node's own services included. A name nobody offers gives no records;
   * it rejects only when the node cannot ask.
   */
  async find(name: string, options: FindOptions = {}): Promise<Found> {
    const checked = checkFind(options)
    const wanted = checkName(name)
    return foundFrom(await this.#calls.run((op) => this.#raw.find(op, wanted, checked), { signal: signalOf(options) }))
  }

  /**
   * Serves streams that others open under `name`. Others find the name only once it is offered with `provide`.
   * A handler that throws costs its own stream, and is told as a `warning` event with code `HANDLER_FAILED`. Of several tabs
   * that serve a name with one node, the one that began last gets the streams; when it goes, the one before does again.
   */
  handle(name: string, handler: ServiceHandler): HandlerRegistration {
    const served = checkName(name)
    if (typeof handler !== 'function') throw new OpenRedError('INVALID_OPTION', 'handler must be a function (stream, from) => {}')
    const id = this.#calls.now(() => this.#raw.handle(served))
    void this.#serve(id, served, handler)
    const close = (): void => {
      if (!this.#calls.ended) this.#raw.closeHandler(id)
    }
    return { name: served, close }
  }

  /**
   * Opens a stream to a provider. Rejects with `NOT_FOUND`, `UNREACHABLE`, `REFUSED`, `TIMEOUT`, `INVALID_NAME`,
   * `INVALID_OPTION`.
   */
  async open(target: Target, options: OpenOptions = {}): Promise<ServiceStream> {
    const wanted = checkTarget(target)
    const timeout = checkOpen(options)
    const raw = await this.#calls.run((op) => this.#raw.open(op, wanted, timeout), {
      signal: signalOf(options),
      late: (raw) => raw.reset(),
    })
    return serviceStream(raw, this.#calls)
  }

  /**
   * What happens from the moment of this call on, until the node is closed or the loop is left. Throws `CRASHED` from
   * the loop when the node crashes.
   */
  events(options: EventsOptions = {}): AsyncIterableIterator<NodeEvent> {
    const buffer = checkEvents(options)
    const signal = signalOf(options)
    if (signal?.aborted) throw aborted(signal)
    return this.#calls.now(() => this.#events.read(buffer, signal))
  }

  /** The peers this node is connected to, at this moment. */
  peers(): PeerInfo[] {
    return this.#calls.now(() => this.#raw.peers())
  }

  /** Counters since the node was made. */
  stats(): Stats {
    return { ...this.#calls.now(() => this.#raw.stats()), warm: this.#raw.warm }
  }

  /**
   * Why a peer is, or is not, reachable; or, given a service name (or `name@<peer id>`), what each layer did in the latest
   * find of it.
   */
  async explain(target: string): Promise<Explanation> {
    if (typeof target !== 'string') throw new OpenRedError('INVALID_OPTION', 'what to explain must be a string: a peer id or a service name')
    return this.#calls.run(() => this.#raw.explain(target))
  }

  /**
   * Leaves the network: offers are withdrawn, streams and pending calls end with `CLOSED`. Every later call gives
   * `CLOSED`; closing again does not.
   */
  close(): Promise<void> {
    this.#closing ??= stop(this.#joined, closed())
    return this.#closing
  }

  [asyncDispose](): Promise<void> {
    return this.close()
  }

  #registration(name: string, id: number): Registration {
    // Changes of one offer go one after the other, each on top of the last.
    let turn: Promise<unknown> = Promise.resolve()
    let withdrawn: Promise<void> | undefined
    const inTurn = (signal: AbortSignal | undefined, start: (op: number) => Promise<void>): Promise<void> =>
      this.#calls.run(
        (op) => {
          const mine = turn.then(() => (signal?.aborted || this.#calls.ended ? undefined : start(op)))
          turn = mine.catch(() => {})
          return mine
        },
        { signal },
      )
    return {
      name,
      update: async (patch, options = {}) => {
        const checked = checkPatch(patch)
        if (withdrawn && !this.#calls.ended) throw new OpenRedError('NOT_FOUND', `the offer of ${name} was withdrawn`)
        return inTurn(signalOf(patch, options), (op) => this.#raw.update(op, id, checked))
      },
      withdraw: async (options = {}) => {
        const signal = signalOf(options)
        if (this.#calls.ended) throw this.#calls.ended
        // Whoever waits no more has said it all the same.
        const ending = (withdrawn ??= inTurn(undefined, (op) => this.#raw.withdraw(op, id)))
        ending.catch(() => {})
        return this.#calls.run(() => ending, { signal })
      },
    }
  }

  /** Withdraws what nobody holds a registration of. */
  #drop(id: number): void {
    this.#calls.run((op) => this.#raw.withdraw(op, id)).catch(() => {})
  }

  async #serve(id: number, name: string, handler: ServiceHandler): Promise<void> {
    for (;;) {
      const raw = await this.#calls.run(() => this.#raw.accept(id)).catch(() => undefined)
      if (!raw) return
      const stream = serviceStream(raw, this.#calls)
      Promise.resolve()
        .then(() => handler(stream, stream.remotePeer))
        .catch((thrown: unknown) => {
          stream.abort(thrown)
          const text = thrown instanceof Error ? thrown.message : String(thrown)
          const message = `the handler of ${name} failed with a stream from ${stream.remotePeer}: ${text}`
          this.#events.emit({ type: 'warning', code: 'HANDLER_FAILED', message })
        })
    }
  }
}

/** The signal may stand beside the offer or in the options after it. */
function signalOf(...places: CallOptions[]): AbortSignal | undefined {
  const place = places.find((options) => options.signal !== undefined)
  return checkSignal(place?.signal)
}
