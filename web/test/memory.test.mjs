/** What is kept from one visit to the next, and what happens where storage is denied, slow or damaged. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openMemory } from '../node_modules/.cache/unit/memory.mjs'
import { fake, join } from './world.mjs'
import { Database } from './database.mjs'

test('what one visit leaves the next one finds, each network by itself', async () => {
  const database = new Database()
  const first = await openMemory('kept', undefined, undefined, database)
  assert.equal(first.bytes, undefined)
  assert.equal(first.warning, undefined)
  for (let number = 1; number <= 9; number += 1) first.keep(new Uint8Array([number]))
  await first.settled()
  assert.equal(database.puts, 2, 'what is overtaken while another is written is not written')
  assert.deepEqual([...(await openMemory('kept', 'main', undefined, database)).bytes], [9])
  assert.equal((await openMemory('kept', 'other', undefined, database)).bytes, undefined)
})

test('who wants none neither reads nor writes', async () => {
  const database = new Database()
  database.kept.set('main', new Uint8Array([1]))
  const memory = await openMemory('none', undefined, undefined, database)
  memory.keep(new Uint8Array([2]))
  await memory.settled()
  assert.deepEqual([memory.bytes, memory.warning, database.puts], [undefined, undefined, 0])
})

test('storage that is denied, silent or damaged costs the memory and one warning', async () => {
  const denied = new Database()
  denied.failure = new Error('private window')
  const memory = await openMemory('kept', undefined, undefined, denied)
  assert.equal(memory.bytes, undefined)
  assert.equal(memory.warning.code, 'STORAGE')
  assert.match(memory.warning.message, /private window/)
  memory.keep(new Uint8Array([1]))
  await memory.settled()
  assert.equal(denied.puts, 0)

  const silent = new Database()
  silent.silent = true
  assert.match((await openMemory('kept', undefined, undefined, silent)).warning.message, /did not answer/)

  const damaged = new Database()
  damaged.kept.set('main', { not: 'bytes' })
  const aside = await openMemory('kept', undefined, undefined, damaged)
  assert.equal(aside.bytes, undefined)
  assert.match(aside.warning.message, /damaged/)
  aside.keep(new Uint8Array([5]))
  await aside.settled()
  assert.deepEqual([...damaged.kept.get('main')], [5], 'the next memory takes its place')

  const full = new Database()
  const warnings = []
  const later = await openMemory('kept', undefined, (warning) => warnings.push(warning.message), full)
  full.failure = new Error('quota exceeded')
  for (const number of [1, 2, 3]) {
    later.keep(new Uint8Array([number]))
    await later.settled()
  }
  assert.equal(warnings.length, 1, warnings.join())
  assert.match(warnings[0], /quota exceeded/)
})

test('what is accepted and then not committed is not kept, and told', async () => {
  const full = new Database()
  const warnings = []
  const memory = await openMemory('kept', undefined, (warning) => warnings.push(warning.message), full)
  full.abort = new Error('quota exceeded')
  memory.keep(new Uint8Array([1]))
  await memory.settled()
  assert.equal(full.kept.size, 0)
  assert.match(warnings.join(), /cannot be kept: quota exceeded/)
})

test('a node is given what is kept, and what it leaves is kept before close resolves', async () => {
  const database = new Database()
  globalThis.indexedDB = database
  try {
    const first = await join()
    assert.equal(first.stats().warm, false)
    fake.nodes.at(-1).remember(new Uint8Array([1, 2, 3]))
    await first.close()
    assert.deepEqual([...database.kept.get('main')], [1, 2, 3])
    const second = await join({ relayLists: ['https://lists.example/relays'] })
    assert.deepEqual([...fake.nodes.at(-1).options.memory], [1, 2, 3])
    assert.deepEqual(fake.nodes.at(-1).options.lists, ['https://lists.example/relays'])
    assert.equal(second.stats().warm, true)
    await second.close()

    database.failure = new Error('denied')
    const warnings = []
    const third = await join({ onEvent: (event) => event.type === 'warning' && warnings.push(event.code) })
    assert.deepEqual(warnings, ['STORAGE'])
    assert.equal(third.stats().warm, false)
    await third.close()
  } finally {
    delete globalThis.indexedDB
  }
})
