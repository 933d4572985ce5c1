/**
 * A stand-in for the wasm binding: nodes of one page in one small network in memory.
 *
 * It keeps the rules of the raw binding that the TypeScript relies on: plain `{ code, message }` rejections, `cancel`,
 * back-pressure by a window of bytes, one `accept` and one `nextEvent` at a time. What a relay's address contains says
 * how that relay behaves: `malformed`, `dead`, `foreign`, `silent`; any other one works.
 */

const WINDOW_BYTES = 256 * 1024
const BASE58 = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'

/** What tests look at and turn. */
export const fake = {
  /** Every node made so far. */
  nodes: [],
  /** Peer ids that two nodes had at the same time. */
  clashes: [],
  /** How nodes reach each other from here on. */
  path: 'relayed',
  /** How many relays nodes remember. */
  remembered: 3,
  /** Modules handed to `init`. */
  inits: [],
  /** Milliseconds between the steps of joining, so that people see them; in tests, microtasks. */
  pace: typeof document === 'undefined' ? 0 : 150,
  crash: (message) => crashed(message),
}

let crashed = () => {}
const peers = new Map()

export default async function init ({ module_or_path: module }) {
  fake.inits.push(module)
}

export function onCrash (callback) {
  crashed = callback
}

export function generateIdentity () {
  return crypto.getRandomValues(new Uint8Array(68))
}

export function peerIdOf (identity) {
  if (identity.length !== 68) throw { code: 'INVALID_OPTION', message: 'identity is no Ed25519 key' }
  return `12D3KooW${Array.from(identity.slice(0, 44), (byte) => BASE58[byte % 58]).join('')}`
}

export class RawNode {
  canceled = []
  closed = false
  #options
  #events = new Channel()
  #pending = new Map()
  #handlers = new Map()
  #registrations = new Map()
  #streams = []
  #next = 1
  #state = { state: 'joining' }
  #joined

  constructor (options, fetch, remember) {
    this.fetch = fetch
    this.remember = remember
    for (const relay of options.relays) {
      if (relay === '' || relay.includes('malformed')) throw { code: 'INVALID_ADDRESS', message: `${relay} is no address` }
    }
    this.id = peerIdOf(options.identity)
    this.options = options
    this.#options = options
    if (peers.has(this.id)) fake.clashes.push(this.id)
    this.#joined = this.#join()
    this.#joined.catch(() => {})
    peers.set(this.id, this)
    fake.nodes.push(this)
  }

  peerId () { return this.id }
  exportIdentity () { return this.#options.identity.slice() }
  status () { return { ...this.#state } }

  async #join () {
    const pause = () => (fake.pace > 0 ? new Promise((resolve) => setTimeout(resolve, fake.pace * (0.4 + Math.random()))) : Promise.resolve())
    const failures = []
    for (const relay of this.#options.relays) {
      this.emit({ type: 'join', step: 'dial', relay })
      await pause()
      const [code, reason] = relay.includes('dead')
        ? ['NO_RELAY', 'connection refused']
        : relay.includes('foreign') ? ['WRONG_NETWORK', 'it serves the network elsewhere'] : []
      if (relay.includes('silent')) return new Promise(() => {})
      if (code) {
        this.emit({ type: 'join', step: 'failed', relay, code, reason, retryInMs: 2_000 })
        failures.push({ code, text: `${relay}: ${reason}` })
        continue
      }
      const peerId = `12D3KooWRelay${relay.replace(/[^a-z0-9]/gi, '').slice(-12)}`
      for (const step of ['connected', 'identified', 'dht']) {
        this.emit({ type: 'join', step, relay, peerId })
        await pause()
      }
      this.#state = { state: 'ready' }
      this.emit({ type: 'status', state: 'ready' })
      this.emit({ type: 'peer:connect', peerId, path: 'direct', address: relay })
      this.relay = { peerId, roles: ['relay'], path: 'direct', transport: 'websocket', address: relay, rttMs: 1.4, since: Date.now() }
      pause().then(() => this.emit({ type: 'join', step: 'reserved', relay, peerId }))
      return
    }
    this.#state = { state: 'offline', reason: failures.map(({ text }) => text).join('; ') }
    throw { code: failures[0].code, message: `no relay serves: ${this.#state.reason}` }
  }

  ready (op, timeoutMs) {
    let timer
    const late = new Promise((resolve, reject) => {
      timer = setTimeout(() => reject({ code: 'TIMEOUT', message: `not ready within ${timeoutMs} ms` }), timeoutMs)
    })
    return this.#call(op, () => Promise.race([this.#joined, late])).finally(() => clearTimeout(timer))
  }

  provide (op, offer) {
    return this.#call(op, async (cancelled) => {
      checkName(offer.name)
      if ([...this.#registrations.values()].some(({ name }) => name === offer.name)) {
        throw { code: 'INVALID_OPTION', message: `this node offers ${offer.name} already` }
      }
      await Promise.resolve()
      if (cancelled()) return
      const id = this.#next++
      const record = {
        type: '', metadata: {}, region: '', clusters: [], ttl: 3_600_000, ...offer,
        provider: this.id, endpoints: [`/dns4/relay/tcp/443/tls/ws/p2p-circuit/p2p/${this.id}`], sequence: Date.now(), issuedAt: Date.now(),
      }
      this.#registrations.set(id, record)
      return id
    })
  }

  update (op, registration, patch) {
    return this.#call(op, async () => {
      if (this.updating) throw { code: 'NOT_FOUND', message: 'two updates of one registration at a time' }
      this.updating = true
      await Promise.resolve()
      this.updating = false
      const record = this.#registrations.get(registration)
      if (!record) throw { code: 'NOT_FOUND', message: 'it was withdrawn' }
      Object.assign(record, patch, { sequence: record.sequence + 1, issuedAt: Date.now() })
    })
  }

  withdraw (op, registration) {
    return this.#call(op, async () => { this.#registrations.delete(registration) })
  }

  find (op, wanted, { limit = Infinity, maxAge = 10_000 } = {}) {
    return this.#call(op, async () => {
      const [name, peer] = wanted.split('@')
      checkName(name)
      if (name.startsWith('never')) await new Promise(() => {})
      if (name === 'trap') throw new WebAssembly.RuntimeError('unreachable')
      const records = this.records(name)
        .filter((record) => peer === undefined || record.provider === peer)
        .slice(0, limit)
        .map((record) => ({
          ...record,
          layer: record.provider === this.id ? 'own' : 'dht',
          ageMs: Date.now() - record.issuedAt,
          verdict: 'unknown',
        }))
      for (const record of records) this.emit({ type: 'record:found', record })
      const asked = { layer: 'dht', outcome: records.length > 0 ? 'answered' : 'empty', startedMs: 0, tookMs: 12.5, records: records.length }
      const cache = { layer: 'cache', outcome: 'not-asked', startedMs: 0, tookMs: 0, records: 0, reason: `older than ${maxAge} ms` }
      return { records, layer: records[0]?.layer, elapsedMs: 12.5, layers: [cache, asked] }
    })
  }

  records (name) {
    return [...peers.values()].flatMap((node) => [...node.#registrations.values()]).filter((record) => record.name === name)
  }

  handle (name) {
    checkName(name)
    if ([...this.#handlers.values()].some((handler) => handler.name === name)) throw { code: 'INVALID_OPTION', message: `${name} has a handler` }
    const id = this.#next++
    this.#handlers.set(id, { name, streams: new Channel() })
    return id
  }

  accept (handler) {
    return this.#handlers.get(handler)?.streams.take() ?? Promise.resolve(undefined)
  }

  closeHandler (handler) {
    this.#handlers.get(handler)?.streams.end()
    this.#handlers.delete(handler)
  }

  open (op, target) {
    return this.#call(op, async () => {
      const { name, provider } = this.#resolve(target)
      if (name.startsWith('never')) await new Promise(() => {})
      const peer = peers.get(provider)
      if (!peer || peer.closed) throw { code: 'UNREACHABLE', message: `${provider} cannot be reached` }
      const handler = [...peer.#handlers.values()].find((handler) => handler.name === name)
      if (!handler) throw { code: 'REFUSED', message: `${provider} does not serve ${name}` }
      const [here, there] = streamPair(name, this.id, provider)
      handler.streams.put(there)
      this.#streams.push(here)
      peer.#streams.push(there)
      for (const [node, id] of [[this, provider], [peer, this.id]]) node.emit({ type: 'peer:connect', peerId: id, path: fake.path })
      return here
    })
  }

  #resolve (target) {
    if (target.record) return { name: target.record.name, provider: target.record.provider }
    if (target.peer) return { name: target.name, provider: target.peer }
    const [name, peer] = target.target.split('@')
    checkName(name)
    const provider = peer ?? this.records(name)[0]?.provider
    if (!provider && !name.startsWith('never')) throw { code: 'NOT_FOUND', message: `nobody offers ${name}` }
    return { name, provider }
  }

  emit (event) { this.#events.put(event) }
  nextEvent () { return this.#events.take() }

  peers () {
    const others = [...peers.values()].filter((node) => node !== this && !node.closed)
    return [
      ...(this.relay ? [this.relay] : []),
      ...others.map((node) => ({ peerId: node.id, roles: [], path: fake.path, transport: 'websocket', address: `/p2p-circuit/p2p/${node.id}`, rttMs: undefined, since: Date.now() })),
    ]
  }

  stats () {
    return { uptimeMs: 1, peers: 1, relays: 1, reservations: 1, bytesIn: 1, bytesOut: 1, finds: 0, findMs: 0, peerConnections: 0, findsByLayer: {}, cacheHits: 0, cachedServices: 0, rememberedPeers: fake.remembered, routingTable: 4 }
  }

  async networkChanged () { this.changed = (this.changed ?? 0) + 1 }
  async networkGone () { this.gone = (this.gone ?? 0) + 1 }
  async wake () { this.woken = (this.woken ?? 0) + 1 }
  tick () { this.ticked = (this.ticked ?? 0) + 1 }

  explain (peerId) {
    if (!/[A-Z]/.test(peerId)) return { code: 'NOBODY', reason: `nobody offers ${peerId}`, layers: [] }
    return peers.has(peerId) ? { code: 'RELAYED', reason: 'it is connected through a relay', notDirect: { code: 'TRYING', reason: 'a direct path is being tried' } } : { code: 'UNKNOWN', reason: 'nobody knows it' }
  }

  cancel (op) {
    this.canceled.push(op)
    this.#pending.get(op)?.({ code: 'ABORTED', message: 'cancelled' })
  }

  async close () {
    this.#registrations.clear()
    this.abandon()
  }

  hangUp () { this.hungUp = true }

  abandon () {
    if (this.closed) return
    this.closed = true
    for (const stream of this.#streams) stream.reset()
    for (const id of [...this.#handlers.keys()]) this.closeHandler(id)
    for (const reject of this.#pending.values()) reject({ code: 'CLOSED', message: 'the node is closed' })
    this.#events.end()
    if (peers.get(this.id) === this) peers.delete(this.id)
  }

  #call (op, action) {
    return new Promise((resolve, reject) => {
      this.#pending.set(op, reject)
      // A node that is `stuck` answers nothing.
      if (this.stuck) return
      action(() => this.canceled.includes(op)).then(resolve, reject).finally(() => this.#pending.delete(op))
    })
  }
}

export function checkName (name) {
  const bytes = new TextEncoder().encode(name).length
  if (bytes === 0 || bytes > 128 || /[\s@/?#\p{Lu}]/u.test(name)) throw { code: 'INVALID_NAME', message: `${JSON.stringify(name)} is no service name` }
}

/** What was put in comes out in order; `take` waits. */
class Channel {
  #items = []
  #takers = []
  #ended = false

  put (item) {
    if (this.#ended) return
    const taker = this.#takers.shift()
    if (taker) taker(item)
    else this.#items.push(item)
  }

  take () {
    if (this.#items.length > 0) return Promise.resolve(this.#items.shift())
    if (this.#ended) return Promise.resolve(undefined)
    return new Promise((resolve) => this.#takers.push(resolve))
  }

  end () {
    this.#ended = true
    for (const taker of this.#takers.splice(0)) taker(undefined)
  }
}

/** One direction: bytes in a bounded window. */
class Pipe {
  bytes = 0
  reset = false
  #chunks = []
  #finished = false
  #changed = []

  async write (chunk) {
    while (this.bytes >= WINDOW_BYTES && !this.reset) await this.#change()
    if (this.reset) throw { code: 'STREAM_RESET', message: 'the stream was reset' }
    this.#chunks.push(chunk.slice())
    this.bytes += chunk.length
    this.#wake()
  }

  async read (max) {
    while (this.#chunks.length === 0 && !this.#finished && !this.reset) await this.#change()
    if (this.reset) throw { code: 'STREAM_RESET', message: 'the stream was reset' }
    const chunk = this.#chunks.shift()
    if (!chunk) return undefined
    if (chunk.length > max) this.#chunks.unshift(chunk.subarray(max))
    const taken = chunk.subarray(0, max)
    this.bytes -= taken.length
    this.#wake()
    return taken
  }

  finish () {
    this.#finished = true
    this.#wake()
  }

  cut () {
    this.reset = true
    this.#wake()
  }

  #change () { return new Promise((resolve) => this.#changed.push(resolve)) }
  #wake () { for (const resolve of this.#changed.splice(0)) resolve() }
}

function streamPair (name, opener, provider) {
  const [there, back] = [new Pipe(), new Pipe()]
  return [rawStream(name, provider, back, there), rawStream(name, opener, there, back)]
}

function rawStream (name, remotePeer, incoming, outgoing) {
  return {
    name,
    remotePeer,
    path: fake.path,
    read: (max) => incoming.read(max),
    write: (bytes) => outgoing.write(bytes),
    finish: async () => outgoing.finish(),
    reset () {
      incoming.cut()
      outgoing.cut()
    },
    /** Bytes under way to the other side, for tests of back-pressure. */
    get underWay () { return outgoing.bytes },
  }
}
