/**
 * What tabs of one origin say to each other, and where.
 *
 * Tabs that mean the same node (same identity, same network) meet on one channel, the *hall*, whose only messages say that
 * somebody leads or looks for who does. What a follower and the leading tab have to say goes over a channel of their own,
 * so that no other tab is woken by it.
 *
 * A tab may run for days while the site is deployed anew, so the hall's messages name the version of this protocol, and
 * tabs of different versions share the lock but nothing else.
 */

import type { ErrorCode } from '../errors.js'
import type { Explanation, Found, NodeEvent, OfferPatch, Path, PeerInfo, Status } from '../types.js'
import type { RawOffer, RawStats, RawTarget } from '../binding.js'

/** Grows when tabs of an older version would not understand. */
export const VERSION = 1

/** Bytes of a stream that may be under way from one tab to the other: four chunks, so that neither waits for each. */
export const WINDOW_BYTES = 256 * 1024

/** Said in the hall. */
export type HallMessage =
  /** `leader` tells one lead from another. */
  | { version: number; kind: 'leading'; leader: string }
  /**
   * `link` names the channel on which the follower waits, and the lock that it holds while it lives. One tab that wants relayed
   * paths only is enough for all: the node is the same, and its address is either told or not.
   */
  | { version: number; kind: 'hello'; link: string; relayedOnly: boolean }
  /** The leading tab cannot serve this link: it speaks another version. */
  | { version: number; kind: 'foreign'; link: string }

/** Calls of a follower that have one answer. */
export interface Methods {
  ready: { args: [timeoutMs: number]; gives: void }
  provide: { args: [offer: RawOffer]; gives: number }
  update: { args: [registration: number, patch: OfferPatch]; gives: void }
  withdraw: { args: [registration: number]; gives: void }
  find: { args: [name: string, options: { limit?: number; timeout?: number; maxAge?: number }]; gives: Found }
  handle: { args: [handler: number, name: string]; gives: void }
  accept: { args: [handler: number]; gives: StreamInfo | undefined }
  open: { args: [target: RawTarget, timeoutMs: number]; gives: StreamInfo }
  nextEvent: { args: []; gives: NodeEvent | undefined }
  explain: { args: [target: string]; gives: Explanation }
  wake: { args: []; gives: void }
  networkChanged: { args: []; gives: void }
  networkGone: { args: []; gives: void }
  close: { args: []; gives: void }
}

export type Method = keyof Methods

export interface StreamInfo {
  stream: number
  name: string
  remotePeer: string
  path: Path
}

/** The leading node as it was when this was sent. */
export interface Snapshot {
  status: Status
  peers: PeerInfo[]
  stats: RawStats
  /** What the network sees offered by any tab. A tab that takes over takes back what no tab offers any more. */
  offers: RawOffer[]
}

export interface Failure {
  code: ErrorCode
  message: string
}

/** Calls and their answers. `bye` ends a link at once. */
export type CallMessage =
  | { kind: 'call'; call: number; method: Method; args: unknown[] }
  | { kind: 'cancel'; call: number }
  | { kind: 'answer'; call: number; value?: unknown; failure?: Failure }
  | { kind: 'closeHandler'; handler: number }
  | { kind: 'refresh' }
  /** A tab that is seen waits for an answer: what is due is done, however late the timers of the leading tab are. */
  | { kind: 'tick' }
  | { kind: 'welcome'; leader: string; peerId: string; warm: boolean; snapshot: Snapshot }
  | { kind: 'snapshot'; snapshot: Snapshot }
  | { kind: 'ping' | 'pong' | 'bye' }

/** Streams, in both directions alike. `taken` gives the window back. */
export type StreamMessage =
  | { kind: 'data'; stream: number; bytes: Uint8Array }
  | { kind: 'taken'; stream: number; count: number }
  | { kind: 'finish' | 'finished'; stream: number }
  /** Reading has failed: the stream is gone. */
  | { kind: 'reset'; stream: number; failure?: Failure }
  /** Writing has failed; what the remote has sent can still be read. */
  | { kind: 'deaf'; stream: number; failure: Failure }

export type LinkMessage = CallMessage | StreamMessage
