/** A panic of the wasm code: everything that waits ends with CRASHED, nothing enters the code again. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fails, fake, join, pair } from './world.mjs'

test('a crash rejects what is pending, ends streams and events, and stays', async () => {
  const { guest, host } = await pair('tea', () => {})
  const stream = await guest.open('tea')
  const reader = stream.readable.getReader()
  const writer = stream.writable.getWriter()
  const pending = [
    fails(() => guest.find('never'), 'CRASHED'),
    fails(() => reader.read(), 'CRASHED'),
    fails(() => writer.closed, 'CRASHED'),
    fails(() => join({ relays: ['silent.test:1'], timeout: 500 }), 'CRASHED'),
  ]
  const seen = []
  const events = fails(async () => { for await (const event of guest.events()) seen.push(event) }, 'CRASHED')
  await new Promise((resolve) => setTimeout(resolve, 5))
  fake.crash('index out of bounds')
  await Promise.all([...pending, events])
  assert.equal(seen.at(-1).state, 'crashed')
  assert.equal(guest.status.state, 'crashed')
  assert.match(guest.status.reason, /index out of bounds/)

  await fails(() => host.find('tea'), 'CRASHED')
  await fails(() => host.handle('milk', () => {}), 'CRASHED')
  await fails(() => join(), 'CRASHED')
  const raws = fake.nodes.slice(0, 2)
  await guest.close()
  await host.close()
  assert.deepEqual(raws.map((raw) => raw.closed), [false, false], 'crashed code is not entered again')
  assert.equal(guest.status.state, 'closed')
  await fails(() => guest.find('tea'), 'CLOSED')
})
