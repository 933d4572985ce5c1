/**
 * Who the node is.
 *
 * A persistent identity lives in IndexedDB, one for an origin. Two nodes must never run one identity, so a tab holds a
 * Web Lock while it uses it; a tab that does not get the lock runs under an identity of the moment and says so. Where
 * Web Locks are missing (pages that are not secure contexts) every tab does that. Where storage is denied (private
 * windows of some browsers, blocked cookies) joining fails with `STORAGE`: the caller asked to be somebody in particular.
 */

import { OpenRedError } from './errors.js'
import { read, write, type Place } from './storage.js'

const PLACE: Place = { database: 'openred', store: 'identity', key: 'default' }
const LOCK = 'openred:identity'

/** A page that is being reloaded gives its lock back within this time; another tab does not. A guess. */
const LOCK_PATIENCE_MS = 300

export interface Identity {
  bytes: Uint8Array
  /** Whether it came out of this browser's storage. */
  stored: boolean
  /** Why it is not the one that was asked for. */
  warning?: { code: string; message: string }
  /** Lets another tab run it. */
  release(): void
}

/** What of the platform a persistent identity needs; tests hand in their own. */
export interface IdentityPlatform {
  indexedDB?: IDBFactory | undefined
  locks?: LockManager | undefined
}

export async function takeIdentity(
  choice: 'ephemeral' | 'persistent' | Uint8Array,
  generate: () => Promise<Uint8Array>,
  platform: IdentityPlatform = browserPlatform(),
): Promise<Identity> {
  if (choice instanceof Uint8Array) return { bytes: choice.slice(), stored: false, release() {} }
  if (choice === 'ephemeral') return { bytes: await generate(), stored: false, release() {} }
  if (!platform.locks) {
    return momentary(generate, 'LOCKS_MISSING', 'this page is not a secure context, so the kept identity cannot be locked')
  }
  const release = await lock(platform.locks)
  if (!release) return momentary(generate, 'IDENTITY_IN_USE', 'another tab runs the kept identity')
  try {
    return { bytes: await keptIdentity(platform.indexedDB, generate), stored: true, release }
  } catch (thrown) {
    release()
    throw thrown
  }
}

async function momentary(generate: () => Promise<Uint8Array>, code: string, why: string): Promise<Identity> {
  const warning = { code, message: `${why}; this tab runs under an identity of the moment` }
  return { bytes: await generate(), stored: false, warning, release() {} }
}

function browserPlatform(): IdentityPlatform {
  return {
    indexedDB: (globalThis as { indexedDB?: IDBFactory }).indexedDB,
    locks: (globalThis as { navigator?: { locks?: LockManager } }).navigator?.locks,
  }
}

/** Gives the function that releases the lock, or undefined when somebody else holds it. */
function lock(locks: LockManager): Promise<(() => void) | undefined> {
  return new Promise((resolve, reject) => {
    const patience = new AbortController()
    const timer = setTimeout(() => patience.abort(), LOCK_PATIENCE_MS)
    const held = (): Promise<void> => {
      clearTimeout(timer)
      return new Promise((release) => resolve(release))
    }
    locks.request(LOCK, { signal: patience.signal }, held).catch((thrown: unknown) => {
      clearTimeout(timer)
      if (patience.signal.aborted) resolve(undefined)
      else reject(storage('the lock of the kept identity', thrown))
    })
  })
}

async function keptIdentity(factory: IDBFactory | undefined, generate: () => Promise<Uint8Array>): Promise<Uint8Array> {
  if (!factory) throw storage('IndexedDB', new Error('this platform has none'))
  try {
    const kept = await read(factory, PLACE)
    if (kept instanceof Uint8Array) return kept
    const bytes = await generate()
    await write(factory, PLACE, bytes)
    return bytes
  } catch (thrown) {
    if (thrown instanceof OpenRedError) throw thrown
    throw storage('IndexedDB', thrown)
  }
}

function storage(what: string, cause: unknown): OpenRedError {
  const text = cause instanceof Error ? cause.message : String(cause)
  return new OpenRedError('STORAGE', `${what} cannot be used: ${text}; join with identity 'ephemeral' or hand in its bytes`, { cause })
}
