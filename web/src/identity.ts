/**
 * Who the node is.
 *
 * A persistent identity lives in IndexedDB, one for an origin. Two nodes must never run one identity, so where it is known who
 * else might, the tabs of the origin share one node (`tabs/`). That needs Web Locks and BroadcastChannel: where they are
 * missing (pages that are not secure contexts) a tab that wants the kept identity gets one of the moment, and one that was handed
 * its identity runs a node of its own under it; both get a warning.
 *
 * What is kept is `{ version: 2, identity, since }`; version 1 was the bare bytes. What cannot be read is set aside in the same
 * store, never overwritten; what a newer version of this package has kept is left as it is. Where storage is denied (private
 * windows of some browsers, blocked cookies), full or silent, joining fails with `STORAGE`: the caller asked to be somebody
 * in particular.
 */

import type { Binding } from './binding.js'
import { OpenRedError } from './errors.js'
import { change, read, within, type Place, type Put } from './storage.js'

const PLACE: Place = { database: 'openred', store: 'identity', key: 'default' }

/** How what is kept is written. */
const VERSION = 2

/** Storage answers within some ms. Longer than that something holds it up that does not end by itself; a guess. */
const PATIENCE_MS = 5_000

const UNGUARDED =
  'tabs cannot agree here on who runs this identity (only secure contexts of browsers have Web Locks and BroadcastChannel); join under it once at a time'

export interface Warning {
  code: string
  message: string
}

export interface Identity {
  bytes: Uint8Array
  peerId: string
  /** Whether other tabs may mean the same node. */
  shared: boolean
  /** What about it is not as it was asked for. */
  warning?: Warning
}

/** What of the platform identities need; tests hand in their own. */
export interface IdentityPlatform {
  indexedDB?: IDBFactory | undefined
  /** Whether tabs can agree on who runs a node. */
  canShare: boolean
}

type Makers = Pick<Binding, 'generateIdentity' | 'peerIdOf'>

/** Gives the identity that was chosen, or one of the moment with a warning. Rejects with `STORAGE` or `INVALID_OPTION`. */
export async function takeIdentity(
  choice: 'ephemeral' | 'persistent' | Uint8Array,
  makers: Promise<Makers>,
  platform: IdentityPlatform,
): Promise<Identity> {
  if (choice === 'persistent' && platform.canShare) return kept(platform.indexedDB, makers)
  const { generateIdentity, peerIdOf } = await makers
  if (choice instanceof Uint8Array) {
    const given = { bytes: choice.slice(), peerId: peerIdOf(choice), shared: platform.canShare }
    return platform.canShare ? given : { ...given, warning: { code: 'LOCKS_MISSING', message: UNGUARDED } }
  }
  const bytes = generateIdentity()
  const momentary = { bytes, peerId: peerIdOf(bytes), shared: false }
  if (choice === 'ephemeral') return momentary
  return { ...momentary, warning: ofTheMoment('LOCKS_MISSING', 'this page is not a secure context, so its tabs cannot agree on who runs the kept identity') }
}

async function kept(factory: IDBFactory | undefined, making: Promise<Makers>): Promise<Identity> {
  if (!factory) throw denied(new Error('this platform has no IndexedDB'))
  try {
    const reading = within(PATIENCE_MS, read(factory, PLACE))
    const [makers, first] = await Promise.all([making, reading])
    const known = understand(first, makers)
    if ('peerId' in known) return { ...known, shared: true }
    const step = (value: unknown, put: Put): Identity => replace(value, put, makers)
    return await within(PATIENCE_MS, change(factory, PLACE, step))
  } catch (thrown) {
    throw thrown instanceof OpenRedError ? thrown : denied(thrown)
  }
}

/** Puts a new identity in the place of what is no identity, unless another tab was first. */
function replace(value: unknown, put: Put, makers: Makers): Identity {
  const known = understand(value, makers)
  if ('peerId' in known) return { ...known, shared: true }
  const bytes = makers.generateIdentity()
  const identity = { bytes, peerId: makers.peerIdOf(bytes) }
  if (known.trouble === 'newer') {
    const why = 'a newer version of this package has kept an identity here'
    return { ...identity, shared: false, warning: ofTheMoment('IDENTITY_NEWER', why) }
  }
  const since = Date.now()
  put({ version: VERSION, identity: bytes, since })
  if (known.trouble === 'none') return { ...identity, shared: true }
  const aside = `${PLACE.key} damaged ${since}`
  put(value, aside)
  const message = `what was kept as identity is damaged (${known.why}); it is set aside under "${aside}", and a new one is kept`
  return { ...identity, shared: true, warning: { code: 'IDENTITY_DAMAGED', message } }
}

type Understood = { bytes: Uint8Array; peerId: string } | { trouble: 'none' } | { trouble: 'newer' } | { trouble: 'damaged'; why: string }

function understand(value: unknown, { peerIdOf }: Makers): Understood {
  if (value === undefined) return { trouble: 'none' }
  const { version, identity } = value instanceof Uint8Array ? { version: 1, identity: value } : fields(value)
  if (typeof version === 'number' && version > VERSION) return { trouble: 'newer' }
  if (!(identity instanceof Uint8Array)) return { trouble: 'damaged', why: 'it has no bytes' }
  try {
    return { bytes: identity, peerId: peerIdOf(identity) }
  } catch (thrown) {
    return { trouble: 'damaged', why: reasonOf(thrown) }
  }
}

function fields(value: unknown): { version?: unknown; identity?: unknown } {
  return typeof value === 'object' && value !== null ? value : {}
}

function ofTheMoment(code: string, why: string): Warning {
  return { code, message: `${why}; this tab runs under an identity of the moment` }
}

function denied(cause: unknown): OpenRedError {
  const message = `the kept identity cannot be used, since storage fails: ${reasonOf(cause)}; join with identity 'ephemeral' or hand in its bytes`
  return new OpenRedError('STORAGE', message, { cause })
}

function reasonOf(thrown: unknown): string {
  return typeof thrown === 'object' && thrown !== null && 'message' in thrown ? String(thrown.message) : String(thrown)
}
