/**
 * Checks what callers hand in: its shape, so that nothing of the wrong kind reaches the wasm side. Rules of the network
 * itself (what a name may be, how long a record may live) stand in `core` alone and come back as its errors.
 *
 * Every refusal names the option, the value given and what would be right.
 */

import type { RawOffer, RawTarget } from './binding.js'
import { OpenRedError } from './errors.js'
import { MAX_WAITING_EVENTS } from './queue.js'
import { bareRecord } from './records.js'
import type { EventsOptions, FindOptions, JoinOptions, Offer, OfferPatch, OpenOptions, Target } from './types.js'

/** From the npm contract. */
export const DEFAULT_TIMEOUT_MS = 10_000

/** Timers overflow beyond it (2^31 - 1 ms, 24 days). */
const MAX_TIMEOUT_MS = 2_147_483_647

export interface CheckedJoin {
  relays: string[] | undefined
  relayLists: string[]
  memory: 'kept' | 'none'
  paths: 'best' | 'relayed'
  network: string | undefined
  identity: 'ephemeral' | 'persistent' | Uint8Array
  timeout: number
  signal: AbortSignal | undefined
  onEvent: JoinOptions['onEvent']
  wasm: JoinOptions['wasm']
}

export function checkJoin(options: JoinOptions): CheckedJoin {
  known('join', options, ['relays', 'relayLists', 'network', 'identity', 'memory', 'paths', 'timeout', 'signal', 'onEvent', 'wasm'])
  const { relays, relayLists = [], network, identity = 'ephemeral', memory = 'kept', paths = 'best', onEvent } = options
  if (relays !== undefined) {
    strings('relays', relays)
    if (relays.length === 0) throw invalid('relays', relays, 'at least one address, or nothing at all for the default')
  }
  const wrong = strings('relayLists', relayLists).find((url) => !/^https?:\/\/[^/]/.test(url))
  if (wrong !== undefined) throw invalid('relayLists', wrong, 'an array of http or https URLs')
  if (memory !== 'kept' && memory !== 'none') throw invalid('memory', memory, "'kept' or 'none'")
  if (paths !== 'best' && paths !== 'relayed') throw invalid('paths', paths, "'best' or 'relayed'")
  if (network !== undefined && !(typeof network === 'string' && /^[a-z0-9-]{1,32}$/.test(network))) {
    throw invalid('network', network, '1 to 32 of the characters a-z, 0-9 and -')
  }
  if (identity !== 'ephemeral' && identity !== 'persistent' && !(identity instanceof Uint8Array)) {
    throw invalid('identity', identity, "'ephemeral', 'persistent' or the Uint8Array of exportIdentity()")
  }
  if (onEvent !== undefined && typeof onEvent !== 'function') throw invalid('onEvent', onEvent, 'a function')
  return {
    relays: relays && [...relays],
    relayLists: [...relayLists],
    memory,
    paths,
    network,
    identity,
    timeout: duration('timeout', options.timeout) ?? DEFAULT_TIMEOUT_MS,
    signal: checkSignal(options.signal),
    onEvent,
    wasm: options.wasm,
  }
}

export function checkOffer(offer: Offer): RawOffer {
  known('provide', offer, ['name', ...PATCH_OPTIONS])
  return { name: checkName(offer.name), ...checkPatch(offer) }
}

const PATCH_OPTIONS = ['type', 'metadata', 'ttl', 'region', 'clusters', 'signal']

/** Leaves out what is undefined: to the wasm side that means "as it is". */
export function checkPatch(patch: OfferPatch): OfferPatch {
  known('update', patch, ['name', ...PATCH_OPTIONS])
  const checked: OfferPatch = {}
  if (patch.type !== undefined) checked.type = string('type', patch.type)
  if (patch.region !== undefined) checked.region = string('region', patch.region)
  if (patch.clusters !== undefined) checked.clusters = [...strings('clusters', patch.clusters)]
  const ttl = duration('ttl', patch.ttl)
  if (ttl !== undefined) checked.ttl = ttl
  if (patch.metadata !== undefined) checked.metadata = metadata(patch.metadata)
  return checked
}

export function checkName(name: unknown): string {
  if (typeof name === 'string') return name
  throw new OpenRedError('INVALID_NAME', `a service name must be a string, not ${show(name)}`)
}

export function checkFind(options: FindOptions): { limit?: number; timeout?: number; maxAge?: number } {
  known('find', options, ['limit', 'timeout', 'maxAge', 'signal'])
  const checked: { limit?: number; timeout?: number; maxAge?: number } = {}
  if (options.limit !== undefined) checked.limit = whole('limit', options.limit)
  const timeout = duration('timeout', options.timeout)
  if (timeout !== undefined) checked.timeout = timeout
  const maxAge = duration('maxAge', options.maxAge, 0)
  if (maxAge !== undefined) checked.maxAge = maxAge
  return checked
}

export function checkTarget(target: Target): RawTarget {
  if (typeof target === 'string') return { target }
  if (typeof target === 'object' && target !== null) {
    if ('provider' in target) return { record: bareRecord(target) }
    if ('peer' in target) return { peer: string('target.peer', target.peer), name: checkName(target.name) }
  }
  throw invalid('target', target, "a name, 'name@<peer id>', a record from find(), or { peer, name }")
}

export function checkOpen(options: OpenOptions): number {
  known('open', options, ['timeout', 'signal'])
  return duration('timeout', options.timeout) ?? DEFAULT_TIMEOUT_MS
}

export function checkEvents(options: EventsOptions): number {
  known('events', options, ['buffer', 'signal'])
  return options.buffer === undefined ? MAX_WAITING_EVENTS : whole('buffer', options.buffer)
}

export function checkSignal(signal: unknown): AbortSignal | undefined {
  if (signal === undefined) return undefined
  if (typeof signal === 'object' && signal !== null && 'aborted' in signal && 'addEventListener' in signal) {
    return signal as AbortSignal
  }
  throw invalid('signal', signal, 'an AbortSignal')
}

function known(call: string, options: unknown, names: readonly string[]): void {
  if (typeof options !== 'object' || options === null) throw invalid('options', options, `an object for ${call}()`)
  const unknown = Object.keys(options).find((key) => !names.includes(key))
  if (unknown === undefined) return
  throw new OpenRedError('INVALID_OPTION', `${call}() has no option ${JSON.stringify(unknown)}; it takes ${names.join(', ')}`)
}

function duration(option: string, value: unknown, least = 1): number | undefined {
  if (value === undefined) return undefined
  if (Number.isInteger(value) && (value as number) >= least && (value as number) <= MAX_TIMEOUT_MS) return value as number
  throw invalid(option, value, `a whole number of milliseconds from ${least} to ${MAX_TIMEOUT_MS}`)
}

function whole(option: string, value: unknown): number {
  if (Number.isInteger(value) && (value as number) > 0 && (value as number) <= 0xffff_ffff) return value as number
  throw invalid(option, value, 'a whole number from 1 on')
}

function string(option: string, value: unknown): string {
  if (typeof value === 'string') return value
  throw invalid(option, value, 'a string')
}

function strings(option: string, value: unknown): readonly string[] {
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value
  throw invalid(option, value, 'an array of strings')
}

function metadata(value: unknown): { [key: string]: string } {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    const wrong = Object.entries(value).find(([, item]) => typeof item !== 'string')
    if (!wrong) return { ...value }
    throw invalid(`metadata.${wrong[0]}`, wrong[1], 'a string')
  }
  throw invalid('metadata', value, 'an object of strings')
}

function invalid(option: string, value: unknown, right: string): OpenRedError {
  return new OpenRedError('INVALID_OPTION', `${option} is ${show(value)}; it must be ${right}`)
}

/** A value as a reader of an error message would write it, cut to a line. */
function show(value: unknown): string {
  let text: string | undefined
  try {
    text = typeof value === 'bigint' ? `${value}n` : JSON.stringify(value)
  } catch {
    // A cycle, or a toJSON that throws: what it is a kind of has to do.
  }
  text ??= typeof value === 'function' ? 'a function' : String(value)
  if (typeof value === 'number') text = String(value)
  return text.length > 80 ? `${text.slice(0, 77)}...` : text
}
