/**
 * From options to a node that is in the network: code, identity, memory and relays are got side by side, then this tab gets its
 * node, which joins. Whatever fails, everything started is stopped again.
 */

import type { Binding, RawOptions } from './binding.js'
import { Calls } from './calls.js'
import { OpenRedError } from './errors.js'
import { EventHub } from './events.js'
import { aborted, asOpenRedError, crashed } from './failures.js'
import { takeIdentity, type Identity } from './identity.js'
import type { LastingNode } from './lasting/node.js'
import { DEFAULT_NETWORK, openMemory } from './memory.js'
import { checkJoin, type CheckedJoin } from './options.js'
import { browserPlatform, type Platform } from './platform.js'
import { bindingCrashed, loadBinding, onBindingCrash } from './raw.js'
import { defaultRelays, isNoRelay, isPublic, isSecure, pageUrl } from './relays.js'
import { Tab } from './tab.js'
import { JoinTimings } from './timings.js'
import type { JoinOptions, NodeEvent } from './types.js'

/** A relay answers sooner, so that nobody asks whether it is one; some hosts keep what they do not understand waiting. In ms. */
const DOUBT_MS = 500

/** A node that has joined, and what runs for it. */
export interface Joined {
  raw: LastingNode
  calls: Calls
  events: EventHub
  tab: Tab
  /** Resolves if the wasm code crashes; nothing of it answers from then on. */
  lost: Promise<void>
  /** Stops watching for a crash. */
  release(): void
}

export async function join(options: JoinOptions, platform: Platform = browserPlatform()): Promise<Joined> {
  const checked = checkJoin(options)
  if (checked.signal?.aborted) throw aborted(checked.signal)
  if (typeof WebSocket === 'undefined') {
    throw new OpenRedError('UNSUPPORTED', 'this platform has no WebSocket; a browser has, and Node.js from version 22 on')
  }
  const timings = new JoinTimings()
  const doubt = new Doubt()
  const events = new EventHub((event) => {
    timings.see(event)
    doubt.see(event)
    checked.onEvent?.(event)
  })
  const deadline = performance.now() + checked.timeout
  const prepared = await prepare(checked, platform, events, timings)
  const joining = start(prepared, checked, platform, events)
  try {
    const { raw, calls } = joining
    const ready = calls.run((op) => raw.ready(op, Math.max(1, Math.round(deadline - performance.now()))), { signal: checked.signal })
    const named = checked.relays !== undefined || checked.relayLists.length > 0
    await (named ? ready : Promise.race([ready, nowhere(doubt, prepared.relays, joining)]))
    return joining
  } catch (thrown) {
    const error = asOpenRedError(thrown)
    await stop(joining, error)
    throw error
  } finally {
    doubt.end()
  }
}

/** Whether the relay that is dialled is one: resolves when the dial has failed, or takes long. */
class Doubt {
  readonly begun: Promise<void>
  #begin = (): void => {}
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor() {
    this.begun = new Promise((resolve) => {
      this.#begin = resolve
    })
  }

  see(event: NodeEvent): void {
    if (event.type !== 'join') return
    if (event.step === 'dial') this.#timer ??= setTimeout(this.#begin, DOUBT_MS)
    if (event.step === 'failed') this.#begin()
  }

  end(): void {
    clearTimeout(this.#timer)
  }
}

/** Rejects if nobody named a relay, none is remembered, and the page's own origin turns out to be none. */
async function nowhere({ begun }: Doubt, [origin]: string[], { raw }: Joined): Promise<never> {
  await begun
  if (origin !== undefined && (await isNoRelay(origin)) && raw.stats().rememberedPeers === 0) {
    throw new OpenRedError('NO_RELAY', `this page's own origin is no relay (${origin}): pass relays: ['https://a-relay.example']`)
  }
  return new Promise(() => {})
}

/** Ends a node: calls pending or to come fail with `error`, its events end. */
export async function stop({ raw, calls, events, tab, lost, release }: Joined, error: OpenRedError): Promise<void> {
  const entered = calls.ended === undefined
  calls.end(error)
  events.end({ type: 'status', state: 'closed' })
  // The wasm side of a crashed node must not be entered again.
  if (entered) await Promise.race([raw.close().catch(() => {}), lost])
  await tab.settled()
  release()
}

interface Prepared {
  binding: Binding
  identity: Identity
  relays: string[]
  remembered: ReturnType<typeof openMemory>
}

/** Rejects at the caller's signal or at the timeout. */
function prepare(checked: CheckedJoin, platform: Platform, events: EventHub, timings: JoinTimings): Promise<Prepared> {
  return new Promise((resolve, reject) => {
    let settled = false
    const loading = loadBinding(checked.wasm).then((binding) => {
      if (!settled) events.emit({ type: 'join', step: 'loaded', relay: '' })
      return binding
    })
    const identityPlatform = { indexedDB: platform.indexedDB, canShare: platform.share !== undefined }
    const taking = takeIdentity(checked.identity, loading, identityPlatform).then((identity) => {
      if (!settled) timings.measure('openred:identity')
      return identity
    })
    const settle = (action: () => void): void => {
      if (settled) return
      settled = true
      clearTimeout(timer)
      checked.signal?.removeEventListener('abort', onAbort)
      action()
    }
    const fail = (thrown: unknown): void => settle(() => reject(asOpenRedError(thrown)))
    const onAbort = (): void => fail(aborted(checked.signal!))
    checked.signal?.addEventListener('abort', onAbort)
    const timer = setTimeout(
      () => fail(new OpenRedError('TIMEOUT', `the node's code and identity were not there within ${checked.timeout} ms`)),
      checked.timeout,
    )
    const remembered = openMemory(checked.memory, checked.network, (warning) => events.emit({ type: 'warning', ...warning }))
    const finding = checked.relays ?? defaultRelays(import.meta.url, pageUrl())
    Promise.all([loading, taking, finding]).then(
      ([binding, identity, relays]) => settle(() => resolve({ binding, identity, relays, remembered })),
      fail,
    )
  })
}

function start({ binding, identity, relays, remembered }: Prepared, checked: CheckedJoin, platform: Platform, events: EventHub): Joined {
  const { memory, network = DEFAULT_NETWORK } = checked
  const tell = (event: NodeEvent): void => events.emit(event)
  const options = rawOptions(checked, identity, relays)
  const tab = new Tab({ binding, identity, options, network, memory, remembered, platform: platform.share, tell })
  const raw = tab.node
  const calls = new Calls((op) => raw.cancel(op), (trap) => bindingCrashed(trap.message))
  let release = (): void => {}
  const lost = new Promise<void>((resolve) => {
    release = onBindingCrash((message) => {
      const error = crashed(message)
      tab.crashed(error)
      calls.end(error)
      events.end({ type: 'status', state: 'crashed', reason: error.message }, error)
      resolve()
    })
  })
  if (identity.warning) tell({ type: 'warning', ...identity.warning })
  return { raw, calls, events, tab, lost, release }
}

function rawOptions(checked: CheckedJoin, identity: Identity, relays: string[]): RawOptions {
  const page = pageUrl()
  const lists = checked.relayLists
  const options: RawOptions = {
    relays,
    lists,
    identity: identity.bytes,
    secure: isSecure(page),
    publicPage: isPublic(page),
    relayedOnly: checked.paths === 'relayed',
  }
  if (checked.network !== undefined) options.network = checked.network
  return options
}
