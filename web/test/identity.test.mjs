/** Identities: of the moment, handed in, kept; and what happens to a kept one that is damaged, newer, or out of reach. */
import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import { takeIdentity } from '../node_modules/.cache/unit/identity.mjs'
import { generateIdentity, peerIdOf } from '../node_modules/.cache/unit/fake.mjs'
import { Database } from './database.mjs'

const makers = Promise.resolve({ generateIdentity, peerIdOf })
const take = (choice, indexedDB, canShare = true) => takeIdentity(choice, makers, { indexedDB, canShare })

/** A database with this under the key of the kept identity. */
function keeping (value) {
  const database = new Database()
  database.kept.set('default', value)
  return database
}

test('ephemeral is new each time; bytes are taken as a copy and may be those of other tabs', async () => {
  const [one, two] = [await take('ephemeral'), await take('ephemeral')]
  assert.notEqual(one.peerId, two.peerId)
  assert.equal(one.shared, false)
  const bytes = generateIdentity()
  const given = await take(bytes)
  assert.deepEqual([given.peerId, given.shared], [peerIdOf(bytes), true])
  bytes.fill(0)
  assert.equal(peerIdOf(given.bytes), given.peerId)
  await assert.rejects(take(new Uint8Array(3)), { code: 'INVALID_OPTION' })
})

test('persistent is the same one for every tab, also for two that are first at once', async () => {
  const database = new Database()
  const [first, second] = await Promise.all([take('persistent', database), take('persistent', database)])
  assert.equal(first.peerId, second.peerId)
  assert.deepEqual([first.shared, first.warning], [true, undefined])
  assert.equal(database.puts, 1)
  assert.equal((await take('persistent', database)).peerId, first.peerId)
  const { version, identity, since } = database.kept.get('default')
  assert.deepEqual([version, identity, typeof since], [2, first.bytes, 'number'])
})

test('an identity that an older version has kept is the same one', async () => {
  const bytes = generateIdentity()
  const database = keeping(bytes)
  const kept = await take('persistent', database)
  assert.deepEqual([kept.peerId, kept.warning, database.puts], [peerIdOf(bytes), undefined, 0])
})

test('a damaged identity is set aside with a warning, and another one kept', async () => {
  for (const damaged of [new Uint8Array(3), new Uint8Array(), 'text', { version: 2 }, { version: 2, identity: new Uint8Array(67) }, { since: 1 }, null, 7]) {
    const database = keeping(damaged)
    const [first, second] = await Promise.all([take('persistent', database), take('persistent', database)])
    assert.equal(first.peerId, second.peerId, 'two tabs that find it so agree')
    const [warning, ...others] = [first, second].flatMap(({ warning }) => warning ?? [])
    assert.deepEqual(others, [], 'who found it so says it')
    assert.equal(warning.code, 'IDENTITY_DAMAGED')
    const [, aside] = /set aside under "([^"]+)"/.exec(warning.message)
    assert.deepEqual(database.kept.get(aside), damaged)
    assert.equal((await take('persistent', database)).peerId, first.peerId)
  }
})

test('what a newer version has kept is left as it is', async () => {
  const newer = { version: 3, keys: ['something else'] }
  const database = keeping(newer)
  const { warning, shared } = await take('persistent', database)
  assert.deepEqual([warning.code, shared, database.puts], ['IDENTITY_NEWER', false, 0])
  assert.deepEqual(database.kept.get('default'), newer)
})

test('where tabs cannot agree it is an identity of the moment, or the one handed in, and says why', async () => {
  const { warning, shared } = await take('persistent', new Database(), false)
  assert.deepEqual([warning.code, shared], ['LOCKS_MISSING', false])

  const bytes = generateIdentity()
  const given = await take(bytes, undefined, false)
  assert.deepEqual([given.peerId, given.shared, given.warning?.code], [peerIdOf(bytes), false, 'LOCKS_MISSING'], 'two may run it')
  assert.equal((await take(bytes)).warning, undefined)
})

test('storage that is denied, full or silent is STORAGE with the reason', async () => {
  const denied = new Database()
  denied.failure = new Error('denied in this window')
  await assert.rejects(take('persistent', denied), { code: 'STORAGE', message: /denied in this window.*'ephemeral'/ })
  await assert.rejects(take('persistent', undefined), { code: 'STORAGE', message: /no IndexedDB/ })

  const full = new Database()
  full.abort = new DOMException('no space left', 'QuotaExceededError')
  await assert.rejects(take('persistent', full), { code: 'STORAGE', message: /no space left/ })
  const lasting = keeping({ version: 2, identity: generateIdentity(), since: 1 })
  lasting.abort = full.abort
  assert.equal((await take('persistent', lasting)).warning, undefined, 'what is kept can be read where nothing can be written')

  const torn = new Database()
  torn.unreadable = new Error('the file is torn')
  // Whatever rejects unhandled fails this test.
  await assert.rejects(take('persistent', torn), { code: 'STORAGE', message: /the file is torn/ })

  mock.timers.enable({ apis: ['setTimeout'] })
  const silent = new Database()
  silent.silent = true
  const taking = assert.rejects(take('persistent', silent), { code: 'STORAGE', message: /did not answer within 5000 ms/ })
  mock.timers.tick(5_000)
  await taking
  mock.timers.reset()
})
