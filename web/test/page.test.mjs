/** Parts of the page that decide something: hints for names, and the words of a chat room. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { mock, test } from 'node:test'
import { HostedRoom } from '../node_modules/.cache/unit/hosted.mjs'
import { VisitedRoom } from '../node_modules/.cache/unit/visited.mjs'
import { nameHint, targetHint } from '../node_modules/.cache/unit/names.mjs'
import { hear, isToGuest, isToHost, MAX_TEXT, Speaker } from '../node_modules/.cache/unit/wire.mjs'
import { fails, fake, join, pair, settled } from './world.mjs'
import { turns } from './origin.mjs'

/** The same vectors that the Rust side is held to. */
const { networks, services, targets } = JSON.parse(readFileSync(new URL('../../tests/vectors/names.json', import.meta.url), 'utf8'))

test('name hints agree with the network on what a name is', () => {
  for (const name of services.valid) assert.equal(nameHint(name), undefined, JSON.stringify(name))
  for (const { text } of services.invalid) assert.equal(typeof nameHint(text), 'string', JSON.stringify(text))
  for (const { text } of targets.valid) assert.equal(targetHint(text), undefined, text)
  for (const { text } of targets.invalid) assert.equal(typeof targetHint(text), 'string', text)
  assert.match(nameHint('Tea'), /lower case: tea/)
})

test('network names are checked by the same rule as in Rust', async () => {
  for (const network of networks.valid) await (await join({ network })).close()
  for (const { text, code } of networks.invalid) await fails(() => join({ network: text }), code)
})

test('chat words are checked before they are used', () => {
  assert.ok(isToHost({ text: 'hello' }))
  for (const words of [null, 1, 'x', {}, { text: 1 }, { text: '' }, { text: ' \n' }, { text: 'x'.repeat(MAX_TEXT + 1) }]) assert.ok(!isToHost(words))
  assert.ok(isToGuest({ kind: 'welcome', room: '1', members: 2 }))
  assert.ok(isToGuest({ kind: 'message', id: 1, from: 'a', text: 'x', at: 1 }))
  for (const words of [null, {}, { kind: 'other' }, { kind: 'welcome' }, { kind: 'members', members: 'x' }, { kind: 'message', id: 1, from: 'a', text: 1, at: 1 }]) {
    assert.ok(!isToGuest(words))
  }
})

test('words come out as they went in, however the bytes are cut', async () => {
  const bytes = new TextEncoder().encode('{"text":"thé"}\n{"text":"日本"}\n')
  const readable = new ReadableStream({
    start (controller) {
      for (const byte of bytes) controller.enqueue(new Uint8Array([byte]))
      controller.close()
    },
  })
  const heard = []
  for await (const words of hear(readable)) heard.push(words)
  assert.deepEqual(heard, [{ text: 'thé' }, { text: '日本' }])
})

test('a line without end, and one that is no JSON, end the hearing', async () => {
  for (const text of ['x'.repeat(20_000), 'no json\n', '\xff\xfe']) {
    const bytes = Buffer.from(text, 'latin1')
    await assert.rejects(hear(new Blob([bytes]).stream()).next(), JSON.stringify(text.slice(0, 10)))
  }
})

test('who does not listen is let go', async () => {
  let deaf
  const { guest, host } = await pair('room', (stream) => { deaf = stream })
  const stream = await guest.open('room')
  const speaker = new Speaker(stream)
  for (let n = 0; n < 200; n++) {
    speaker.say({ text: 'x'.repeat(10_000) })
    await settled()
  }
  await fails(() => deaf.readable.getReader().read(), 'STREAM_RESET')
  await Promise.all([guest.close(), host.close()])
})

test('a conversation says why it is relayed, and moves to a direct path without losing a word', async (t) => {
  mock.timers.enable({ apis: ['setInterval'] })
  t.after(() => {
    mock.timers.reset()
    fake.path = 'relayed'
  })
  const [host, guest] = await Promise.all([join(), join()])
  const hosted = await HostedRoom.open(host, 'tea-room')
  const room = await VisitedRoom.open(guest, 'tea-room')
  await turns()
  assert.deepEqual([room.path, room.why.code], ['relayed', 'TRYING'])
  room.say('one')
  await turns()
  hosted.say('two')
  await turns()
  fake.path = 'direct'
  mock.timers.tick(2_000)
  hosted.say('three')
  await turns()
  assert.deepEqual([room.path, room.why, room.state], ['direct', undefined, 'open'])
  room.say('four')
  await turns()
  hosted.say('five')
  await turns()
  for (const side of [room, hosted]) {
    const words = side.lines.filter(({ kind }) => kind === 'message').map(({ text }) => text)
    assert.deepEqual(words, ['one', 'two', 'three', 'four', 'five'])
  }
  assert.deepEqual([room.members, hosted.guests.length], [2, 1])
  const notes = () => hosted.lines.filter(({ kind }) => kind === 'note').map(({ text }) => text.split(' ').slice(1).join(' '))
  assert.deepEqual(notes(), ['room is open. Whoever finds its name can come in.', 'came in, relayed.', 'is connected directly from here on.'])
  await room.leave()
  await turns()
  assert.equal(notes().at(-1), 'left.')
  await Promise.all([host.close(), guest.close()])
})
