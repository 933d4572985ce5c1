/**
 * From options to a node that is in the network: code, identity and relays are got side by side, then the wasm node
 * joins. Whatever fails, everything started is stopped again.
 */

import type { Binding, RawNode, RawOptions } from './binding.js'
import { Calls } from './calls.js'
import { OpenRedError } from './errors.js'
import { EventHub } from './events.js'
import { aborted, asOpenRedError, crashed } from './failures.js'
import { fetchBytes } from './fetch.js'
import { takeIdentity, type Identity } from './identity.js'
import { openMemory, type Memory } from './memory.js'
import { checkJoin, type CheckedJoin } from './options.js'
import { bindingCrashed, loadBinding, onBindingCrash } from './raw.js'
import { defaultRelays, isPublic, isSecure, pageUrl } from './relays.js'
import { JoinTimings } from './timings.js'
import type { JoinOptions } from './types.js'
import { onReturn } from './wake.js'

/** A node that has joined, and what runs for it. */
export interface Joined {
  raw: RawNode
  calls: Calls
  events: EventHub
  /** What is kept for the next visit. */
  memory: Memory
  /** Whether the node began with what an earlier visit had left. */
  warm: boolean
  /** Resolves if the wasm code crashes; nothing of it answers from then on. */
  lost: Promise<void>
  /** Gives back what was taken outside the wasm node. */
  release(): void
}

export async function join(options: JoinOptions): Promise<Joined> {
  const checked = checkJoin(options)
  if (checked.signal?.aborted) throw aborted(checked.signal)
  if (typeof WebSocket === 'undefined') {
    throw new OpenRedError('UNSUPPORTED', 'this platform has no WebSocket; a browser has, and Node.js from version 22 on')
  }
  const timings = new JoinTimings()
  const events = new EventHub((event) => {
    timings.see(event)
    checked.onEvent?.(event)
  })
  const deadline = performance.now() + checked.timeout
  const { binding, identity, relays, memory } = await prepare(checked, events, timings)
  let joining: Joined | undefined
  try {
    joining = start(binding, identity, memory, rawOptions(checked, identity, relays, memory), events)
    if (identity.warning) events.emit({ type: 'warning', ...identity.warning })
    if (memory.warning) events.emit({ type: 'warning', ...memory.warning })
    const { raw, calls } = joining
    await calls.run((op) => raw.ready(op, Math.max(1, Math.round(deadline - performance.now()))), { signal: checked.signal })
    return joining
  } catch (thrown) {
    const error = asOpenRedError(thrown)
    if (joining) await stop(joining, error)
    else identity.release()
    throw error
  }
}

/** Ends a node: calls pending or to come fail with `error`, its events end. */
export async function stop({ raw, calls, events, memory, lost, release }: Joined, error: OpenRedError): Promise<void> {
  const entered = calls.ended === undefined
  calls.end(error)
  events.end({ type: 'status', state: 'closed' })
  // The wasm side of a crashed node must not be entered again.
  if (entered) await Promise.race([raw.close().catch(() => {}), lost])
  await memory.settled()
  release()
}

interface Prepared {
  binding: Binding
  identity: Identity
  relays: string[]
  memory: Memory
}

/** Rejects at the caller's signal or at the timeout; an identity that comes later is given back. */
function prepare(checked: CheckedJoin, events: EventHub, timings: JoinTimings): Promise<Prepared> {
  return new Promise((resolve, reject) => {
    let settled = false
    const loading = loadBinding(checked.wasm).then((binding) => {
      if (!settled) events.emit({ type: 'join', step: 'loaded', relay: '' })
      return binding
    })
    const taking = takeIdentity(checked.identity, async () => (await loading).generateIdentity()).then((identity) => {
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
    const fail = (thrown: unknown): void =>
      settle(() => {
        taking.then((identity) => identity.release(), () => {})
        reject(asOpenRedError(thrown))
      })
    const onAbort = (): void => fail(aborted(checked.signal!))
    checked.signal?.addEventListener('abort', onAbort)
    const timer = setTimeout(
      () => fail(new OpenRedError('TIMEOUT', `the node's code and identity were not there within ${checked.timeout} ms`)),
      checked.timeout,
    )
    const remembering = openMemory(checked.memory, checked.network, (warning) => events.emit({ type: 'warning', ...warning }))
    const finding = checked.relays ?? defaultRelays(import.meta.url, pageUrl())
    Promise.all([loading, taking, finding, remembering]).then(
      ([binding, identity, relays, memory]) => settle(() => resolve({ binding, identity, relays, memory })),
      fail,
    )
  })
}

function rawOptions(checked: CheckedJoin, identity: Identity, relays: string[], memory: Memory): RawOptions {
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
  if (memory.bytes !== undefined) options.memory = memory.bytes
  return options
}

function start(binding: Binding, identity: Identity, memory: Memory, options: RawOptions, events: EventHub): Joined {
  const raw = construct(binding, identity, options, (bytes) => memory.keep(bytes))
  const calls = new Calls((op) => raw.cancel(op), (trap) => bindingCrashed(trap.message))
  let unwatch = (): void => {}
  const lost = new Promise<void>((resolve) => {
    unwatch = onBindingCrash((message) => {
      const error = crashed(message)
      calls.end(error)
      events.end({ type: 'status', state: 'crashed', reason: error.message }, error)
      resolve()
    })
  })
  void events.pump(() => calls.run(() => raw.nextEvent()))
  const stay = onReturn(() => void calls.run(() => raw.wake()).catch(() => {}))
  const release = (): void => {
    stay()
    unwatch()
    identity.release()
  }
  const warm = memory.bytes !== undefined
  return { raw, calls, events, memory, warm, lost, release }
}

function construct(binding: Binding, identity: Identity, options: RawOptions, remember: (memory: Uint8Array) => void): RawNode {
  try {
    return new binding.RawNode(options, fetchBytes, remember)
  } catch (thrown) {
    const error = asOpenRedError(thrown)
    if (!identity.stored || error.code !== 'INVALID_OPTION') throw error
    const message = "what this browser keeps as identity is damaged; delete the database 'openred' or join with identity 'ephemeral'"
    throw new OpenRedError('STORAGE', message, { cause: error })
  }
}
