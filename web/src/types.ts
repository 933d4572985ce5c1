/// <reference lib="esnext.disposable" preserve="true" />
/**
 * The public shapes of the package. Everything is a plain object in camelCase; peer ids are base58 strings, times are
 * milliseconds since the epoch, durations are milliseconds, bytes are `Uint8Array`.
 */

/**
 * Where a node stands. `reason` says why it is offline or crashed, or why it joins again. It comes back by itself from all but
 * `crashed` and `closed`: after sleep, after the network, and when the tab that ran the node has gone.
 */
export interface Status {
  state: 'joining' | 'ready' | 'offline' | 'crashed' | 'closed'
  reason?: string
}

/** Whether a tab runs its node for itself, for other tabs of its origin too, or uses that of another tab. */
export type TabRole = 'alone' | 'leading' | 'following'

/** Who gave a find result: the node itself, its cache, the DHT, a super-node or a relay's directory. */
export type Layer = 'own' | 'cache' | 'dht' | 'super-node' | 'directory'

/** What health probing believes of a provider. */
export type Verdict = 'up' | 'suspect' | 'down' | 'unknown'

/** Whether bytes flow straight to the other side or through a relay. Both are encrypted end to end. */
export type Path = 'direct' | 'relayed'

/**
 * The signed statement "this provider offers this service". Names are not owned: anybody may offer any name, and only
 * `provider` is proof of who answers.
 */
export interface ServiceRecord {
  name: string
  type: string
  /** Peer id of who offers it. */
  provider: string
  /** Multiaddrs at which the provider can be reached. */
  endpoints: string[]
  metadata: { [key: string]: string }
  region: string
  clusters: string[]
  /** Grows with each version of the record. */
  sequence: number
  /** When the provider signed it, in ms since the epoch. */
  issuedAt: number
  /** How long it holds from `issuedAt`, in ms. */
  ttl: number
}

/** A record with what `find` knows about it. */
export interface FoundRecord extends ServiceRecord {
  layer: Layer
  /** Now minus `issuedAt`, in ms. */
  ageMs: number
  verdict: Verdict
}

export interface Found {
  /** Empty when nobody offers the name. */
  records: FoundRecord[]
  /** The first layer that answered with a record; undefined when none did. */
  layer: Layer | undefined
  elapsedMs: number
  /** What each layer did, in the order in which layers are asked. */
  layers: LayerReport[]
}

/** What one layer did in a find. */
export interface LayerReport {
  layer: Layer
  /**
   * `answered`: it gave records. `empty`: it answered that it knows nobody. `failed`: it could not answer. `overtaken`: it was
   * asked, and others were faster. `not-asked`: there was no need or no way. `absent`: this version does not have it.
   */
  outcome: 'answered' | 'empty' | 'failed' | 'overtaken' | 'not-asked' | 'absent'
  /** When it was asked, in ms since the find began. */
  startedMs: number
  /** How long it took, in ms. */
  tookMs: number
  /** How many records it gave. */
  records: number
  /** Why, where the outcome alone does not say it. */
  reason?: string
}

/** Accepted by every long call. The call rejects at once with `ABORTED`, `cause` being the signal's reason. */
export interface CallOptions {
  signal?: AbortSignal | undefined
}

export interface JoinOptions extends CallOptions {
  /**
   * Relays to enter through: URLs, multiaddrs or `host:port`. By default the origin that served this module if it
   * answers as a relay, else the page's origin; if that is none and nothing else is known, joining fails at once with
   * `NO_RELAY`.
   */
  relays?: readonly string[] | undefined
  /** Network to join, `[a-z0-9-]{1,32}`. Default `main`. */
  network?: string | undefined
  /**
   * Who to be. `'ephemeral'` (default): a new identity. `'persistent'`: one kept in this browser's IndexedDB for this
   * origin. Bytes: an identity from `exportIdentity()`.
   *
   * Tabs of one origin that join the same network under the same identity are one node: one of them runs it and the others
   * use it, see `OpenRed.tab`. Where tabs cannot agree (no Web Locks or BroadcastChannel: pages that are not secure
   * contexts), `'persistent'` gives an identity of the moment and a `warning` event with code `LOCKS_MISSING`; so does one
   * that a newer version of this package has kept (`IDENTITY_NEWER`). Bytes are used there all the same, with that warning, and
   * it is for the caller to see that no two nodes run under them at a time. A kept one that cannot be read is set aside
   * and replaced, with a warning (`IDENTITY_DAMAGED`). Where storage is denied, full or does not answer, joining
   * fails with `STORAGE`.
   */
  identity?: 'ephemeral' | 'persistent' | Uint8Array | undefined
  /**
   * URLs of lists of further relays, for when those in `relays` do not answer: text, one relay a line with its region in
   * front (`eu https://relay.example.org`), `*` or nothing for everybody. The host must allow requests from this page.
   */
  relayLists?: readonly string[] | undefined
  /**
   * What the node learned on earlier visits. `'kept'` (default): it is kept in this browser's IndexedDB for this origin and
   * network, so that the next visit joins and finds faster, also when the relays it is told of are gone. `'none'`: nothing
   * is read or kept. Of several tabs with one node, that of the tab which runs it counts, as with `relays`.
   */
  memory?: 'kept' | 'none' | undefined
  /**
   * How peers are reached. `'best'` (default): through a relay at first, and directly (WebRTC) as soon as that works; each side
   * of a direct connection learns the other's network address. `'relayed'`: through relays only, so that peers do not learn this
   * node's address; relays and DHT servers do. One of several tabs with one node that wants it so is enough for all.
   */
  paths?: 'best' | 'relayed' | undefined
  /** How long joining may take in all, in ms. Default 10 000. */
  timeout?: number | undefined
  /** Called with every event of the node's life from its first moment on, also before `join` resolves. */
  onEvent?: ((event: NodeEvent) => void) | undefined
  /**
   * Where the wasm code comes from, when it is not `openred_bg.wasm` beside this module. Only the first join of a page
   * loads it.
   */
  wasm?: string | URL | Response | BufferSource | WebAssembly.Module | undefined
}

/** What to offer. */
export interface Offer {
  /** 1 to 128 bytes of UTF-8, NFC, lower case, no white space, no control character, none of `@ / ? #`. */
  name: string
  /** What kind of service it is, for instance `chat`. */
  type?: string | undefined
  /** At most 1 KiB in all. */
  metadata?: { readonly [key: string]: string } | undefined
  /** How long the record holds, in ms: 1 min to 48 h, default 1 h. It is renewed by itself. */
  ttl?: number | undefined
  region?: string | undefined
  clusters?: readonly string[] | undefined
}

/** What of an offer can change while it stands. What is left out stays. */
export type OfferPatch = Omit<Offer, 'name'>

/** A standing offer. It ends with `withdraw()` or with the node. */
export interface Registration {
  readonly name: string
  update(patch: OfferPatch & CallOptions, options?: CallOptions): Promise<void>
  /** Tells the network that the offer is gone. Doing so again gives the same outcome. */
  withdraw(options?: CallOptions): Promise<void>
}

export interface FindOptions extends CallOptions {
  /** At most so many records. */
  limit?: number | undefined
  /** At most so long, in ms. */
  timeout?: number | undefined
  /**
   * How old an answer may be that is given from the cache at once, in ms since the network confirmed it. Default 10 000; 0
   * asks the network.
   */
  maxAge?: number | undefined
}

/** Whom to open a stream to: a name, `name@<peer id>`, a record from `find`, or a peer and a name. */
export type Target = string | ServiceRecord | { readonly peer: string; readonly name: string }

export interface OpenOptions extends CallOptions {
  /** How long opening may take, in ms. Default 10 000. `signal` and `timeout` end with the opening. */
  timeout?: number | undefined
}

/**
 * A stream of bytes between two nodes. Each side ends its own writing (half-close); what is not read holds the writer
 * back.
 */
export interface ServiceStream {
  /** Name of the service. */
  readonly name: string
  /** Peer id of the other side, proven by the connection. */
  readonly remotePeer: string
  readonly path: Path
  /** Ends when the other side ends its writing. Cancelling it resets the stream. */
  readonly readable: ReadableStream<Uint8Array>
  /** Closing it ends this side's writing; reading goes on. Aborting it resets the stream. */
  readonly writable: WritableStream<Uint8Array>
  /** Ends this side's writing after what was written so far, also while a writer holds the lock. Reading goes on. */
  close(): Promise<void>
  /** Ends both directions at once. Both sides see an error; here it is `ABORTED` with `cause` = `reason`. */
  abort(reason?: unknown): void
  /** `close()`, then discards what still comes in; after 5 s without an end it resets the stream. */
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Serves one inbound stream. Returning leaves the stream open; throwing resets it and gives a `warning` event.
 * `from` is the peer id of the opener.
 */
export type ServiceHandler = (stream: ServiceStream, from: string) => void | Promise<void>

export interface HandlerRegistration {
  readonly name: string
  /** New streams are refused from here on; those already open live on. */
  close(): void
}

export interface EventsOptions extends CallOptions {
  /** How many events wait for a slow reader before the oldest are dropped and told as `lagged`. Default 256. */
  buffer?: number | undefined
}

/** A step of joining through one relay, as it happens. */
export interface JoinEvent {
  type: 'join'
  /**
   * `loaded`: the wasm code runs. `dial`: a relay is called. `connected`: it answered. `identified`: it is a relay of
   * this network. `dht`: its DHT answers. `reserved`: others can reach this node through it. `failed`: this attempt
   * failed with `code` and `reason`, the next one comes in `retryInMs`.
   */
  step: 'loaded' | 'dial' | 'connected' | 'identified' | 'dht' | 'reserved' | 'failed'
  /** The relay as it was given; empty for `loaded`. */
  relay: string
  peerId?: string
  code?: string
  reason?: string
  retryInMs?: number
}

export type NodeEvent =
  | ({ type: 'status' } & Status)
  /** Who runs the node from here on: this tab for itself, this tab for others too, or another tab. */
  | { type: 'tab'; role: TabRole }
  | { type: 'peer:connect' | 'peer:disconnect'; peerId: string; path?: Path; address?: string }
  | { type: 'peer:path'; peerId: string; path: Path }
  | { type: 'record:found'; record: ServiceRecord }
  | { type: 'record:gone'; name: string; provider: string }
  | { type: 'warning'; code: string; message: string }
  | { type: 'lagged'; missed: number }
  | JoinEvent

/** A peer this node is connected to. */
export interface PeerInfo {
  peerId: string
  /** For instance `relay`. */
  roles: string[]
  path: Path
  /** For instance `websocket`. */
  transport: string
  address: string
  /** Last measured round trip, in ms; undefined before the first. */
  rttMs: number | undefined
  /** When the connection was made, in ms since the epoch. */
  since: number
}

export interface Stats {
  uptimeMs: number
  peers: number
  relays: number
  reservations: number
  bytesIn: number
  bytesOut: number
  finds: number
  /** Mean time of a find, in ms. */
  findMs: number
  /** WebRTC connections made in this tab's life; browsers limit them. */
  peerConnections: number
  /** Finds that found something, by the layer that answered first. */
  findsByLayer: { [layer in Layer]: number }
  /** Finds answered from the cache without asking the network. */
  cacheHits: number
  /** Names in the cache. */
  cachedServices: number
  /** Relays and DHT servers that are remembered for the next visit. */
  rememberedPeers: number
  /** DHT servers this node knows. */
  routingTable: number
  /** Whether it began with what an earlier visit had learned. */
  warm: boolean
}

/** Why a peer is, or is not, reachable; or what the latest find of a service did. */
export interface Explanation {
  /**
   * Of a peer: `SELF`, `DIRECT`, `RELAYED`, `KNOWN` (not connected, addresses are known) or `UNKNOWN`. Of a service: `FOUND`,
   * `NOBODY` (the network answered that nobody offers it), `UNANSWERED` (nobody could be asked) or `UNKNOWN` (it was not
   * looked for lately).
   */
  code: string
  /** The same in a sentence. */
  reason: string
  /** Of a peer that is reached through a relay, or could not be reached lately: why not directly. */
  notDirect?: NotDirect
  /** Of a service: what each layer did. */
  layers?: LayerReport[]
}

/** Why there is no direct path to a peer. */
export interface NotDirect {
  /**
   * `RELAYED_ONLY`: this node has chosen relayed paths only. `WEBRTC_OFF`: there is no WebRTC here. `WEBRTC_OFF_THERE`: the peer
   * does not take direct connections. `UNUSED`: no stream runs to it. `TRYING`: one of the two is trying. `QUOTA`: the page has
   * no WebRTC connections left for it. `ICE_FAILED`: no pair of addresses worked. `UDP_BLOCKED`: UDP does not leave this place.
   * `REFUSED`: the peer said no. `GONE`: the relayed connection ended meanwhile, or no relay leads to the peer any more. `LOST`: a
   * direct connection stood and was lost. `BUSY`: too many attempts are under way here. `TIMEOUT`: it took too long.
   * `FAILED`: anything else. `NO_COMMON_RELAY`: the peer's relays cannot be dialled from here.
   */
  code: string
  /** The same in a sentence. */
  reason: string
}
