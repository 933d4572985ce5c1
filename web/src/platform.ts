/** What of the platform decides how a tab gets its node; tests hand in their own. */

import type { SharePlatform } from './tabs/share.js'

export interface Platform {
  indexedDB: IDBFactory | undefined
  /** What tabs of one origin agree with; undefined where Web Locks or BroadcastChannel are missing. */
  share: SharePlatform | undefined
}

export function browserPlatform(): Platform {
  const { indexedDB, navigator } = globalThis as { indexedDB?: IDBFactory; navigator?: { locks?: LockManager } }
  const locks = navigator?.locks
  const canTalk = typeof BroadcastChannel !== 'undefined'
  return { indexedDB, share: locks && canTalk ? { locks, channel: (name) => new BroadcastChannel(name) } : undefined }
}
