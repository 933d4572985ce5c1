/** Identities: of the moment, kept, and never run by two tabs at once. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { takeIdentity } from '../node_modules/.cache/unit/identity.mjs'
import { Database } from './database.mjs'

let made = 0
const generate = async () => new Uint8Array([++made])

/** Web Locks of one origin, as far as one exclusive lock goes. */
class Locks {
  held = false
  async request (name, { signal }, callback) {
    while (this.held) {
      await new Promise((resolve, reject) => {
        this.wake = resolve
        signal.addEventListener('abort', () => reject(signal.reason))
      })
    }
    this.held = true
    await callback({ name })
    this.held = false
    this.wake?.()
  }
}

test('ephemeral is new each time; bytes are taken as a copy', async () => {
  const [one, two] = [await takeIdentity('ephemeral', generate), await takeIdentity('ephemeral', generate)]
  assert.notDeepEqual(one.bytes, two.bytes)
  const bytes = new Uint8Array([7])
  const given = await takeIdentity(bytes, generate)
  bytes[0] = 8
  assert.deepEqual([...given.bytes], [7])
})

test('persistent is the same one for the next tab, but only one tab at a time runs it', async () => {
  const platform = { indexedDB: new Database(), locks: new Locks() }
  const first = await takeIdentity('persistent', generate, platform)
  assert.equal(first.stored, true)
  assert.equal(first.warning, undefined)

  const second = await takeIdentity('persistent', generate, platform)
  assert.equal(second.warning.code, 'IDENTITY_IN_USE')
  assert.equal(second.stored, false)
  assert.notDeepEqual(second.bytes, first.bytes)

  const third = takeIdentity('persistent', generate, platform)
  first.release()
  assert.deepEqual((await third).bytes, first.bytes, 'a tab that goes in time hands over')
})

test('without locks it is an identity of the moment, and says why', async () => {
  const { warning, stored } = await takeIdentity('persistent', generate, { indexedDB: new Database() })
  assert.equal(warning.code, 'LOCKS_MISSING')
  assert.equal(stored, false)
})

test('denied storage is STORAGE, and the lock is given back', async () => {
  const locks = new Locks()
  const indexedDB = new Database()
  indexedDB.failure = new Error('denied')
  for (const platform of [{ indexedDB, locks }, { locks }]) {
    await assert.rejects(takeIdentity('persistent', generate, platform), { code: 'STORAGE' })
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(locks.held, false)
  }
})
