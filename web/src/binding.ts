/**
 * The shape of the raw wasm binding, as `crates/wasm` exports it. Every rejection is a plain `{ code, message }`.
 * `op` is a number chosen by the caller; `cancel(op)` makes that call reject and frees what it held.
 */

import type { Explanation, Found, NodeEvent, OfferPatch, Path, PeerInfo, ServiceRecord, Stats, Status } from './types.js'

export interface RawOptions {
  relays: string[]
  /** URLs of lists of relays. */
  lists: string[]
  network?: string
  identity: Uint8Array
  /** What an earlier node handed to `remember`. */
  memory?: Uint8Array
  /** `host:port` means wss, not ws. */
  secure: boolean
  /** Private addresses of others are never dialled by themselves. */
  publicPage: boolean
  /** Peers are reached through relays only. */
  relayedOnly: boolean
}

export type RawStats = Omit<Stats, 'warm'>

export type RawOffer = OfferPatch & { name: string }

export type RawTarget = { target: string } | { peer: string; name: string } | { record: ServiceRecord }

export interface RawStream {
  readonly path: Path
  readonly remotePeer: string
  readonly name: string
  /** Undefined once the other side has finished. */
  read(max: number): Promise<Uint8Array | undefined>
  /** Resolves when the transport has taken the bytes. */
  write(bytes: Uint8Array): Promise<void>
  finish(): Promise<void>
  reset(): void
}

export interface RawNode {
  peerId(): string
  exportIdentity(): Uint8Array
  status(): Status
  ready(op: number, timeoutMs: number): Promise<void>
  provide(op: number, offer: RawOffer): Promise<number>
  update(op: number, registration: number, patch: OfferPatch): Promise<void>
  withdraw(op: number, registration: number): Promise<void>
  find(op: number, name: string, options: { limit?: number; timeout?: number; maxAge?: number }): Promise<Found>
  handle(name: string): number
  accept(handler: number): Promise<RawStream | undefined>
  closeHandler(handler: number): void
  open(op: number, target: RawTarget, timeoutMs: number): Promise<RawStream>
  nextEvent(): Promise<NodeEvent | undefined>
  peers(): PeerInfo[]
  stats(): RawStats
  /** Of a peer, or of the latest find of a service. */
  explain(target: string): Explanation | Promise<Explanation>
  /** Tries at once whatever waits for its turn, and makes sure that links live. */
  wake(): Promise<void>
  /** The same when the network is another one: no link is believed to have come along. */
  networkChanged(): Promise<void>
  /** The browser has no network; the node is offline until `wake`. */
  networkGone(): Promise<void>
  /** Does what is due by the clock: timers of a hidden page are late. */
  tick(): void
  cancel(op: number): void
  /** Takes all offers back and stops. */
  close(): Promise<void>
  /** Stops at once, connections included, and takes nothing back: another node goes on as this peer. */
  abandon(): void
}

/** A node that runs in this tab. */
export interface RawOwnNode extends RawNode {
  /** The page goes this very moment: connections whose end the other side would notice late are closed at once. */
  hangUp(): void
}

export interface Binding {
  /**
   * `fetch` gives the body of a URL's 200 answer, at most `limit` bytes, or rejects with a string. `remember` takes what
   * is to be kept for the next node; it must not call the node.
   */
  RawNode: new (
    options: RawOptions,
    fetch: (url: string, limit: number, signal: AbortSignal) => Promise<Uint8Array>,
    remember: (memory: Uint8Array) => void,
  ) => RawOwnNode
  generateIdentity(): Uint8Array
  /** Throws `INVALID_OPTION` if the bytes are no identity. */
  peerIdOf(identity: Uint8Array): string
  /** Throws `INVALID_NAME` if a service cannot have this name. */
  checkName(name: string): void
}
