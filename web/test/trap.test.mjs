/** A trap without a panic (out of memory, for one): the call that meets it speaks for all nodes of the page. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { fails, join } from './world.mjs'

test('a trap in one call crashes every node of the page', async () => {
  const [one, other] = await Promise.all([join(), join()])
  const pending = fails(() => other.find('never'), 'CRASHED')
  assert.match((await fails(() => one.find('trap'), 'CRASHED')).message, /unreachable/)
  await pending
  assert.deepEqual([one.status.state, other.status.state], ['crashed', 'crashed'])
  await fails(() => join(), 'CRASHED')
})
