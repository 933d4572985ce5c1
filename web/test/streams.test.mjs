/** Streams: order and wholeness, back-pressure both ways, half-close, and every way to end early. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { fails, pair, readAll, settled } from './world.mjs'

/** A guest's stream and the host's end of it. */
async function ends () {
  let arrived
  const inbound = new Promise((resolve) => { arrived = resolve })
  const { guest, host } = await pair('tea', (stream) => arrived(stream))
  const here = await guest.open('tea')
  return { here, there: await inbound, close: () => Promise.all([guest.close(), host.close()]) }
}

test('bytes arrive whole and in order, large writes too, and each side ends by itself', async () => {
  const { here, there, close } = await ends()
  const sent = randomBytes(1_000_000)
  const writer = here.writable.getWriter()
  const writing = writer.write(sent).then(() => writer.close())
  const received = await readAll(there.readable)
  await writing
  assert.ok(received.equals(sent))

  const answer = there.writable.getWriter()
  await answer.write(new TextEncoder().encode('last words'))
  await answer.close()
  assert.equal((await readAll(here.readable)).toString(), 'last words')
  await close()
})

test('no chunk is larger than 64 KiB', async () => {
  const { here, there, close } = await ends()
  here.writable.getWriter().write(new Uint8Array(200_000))
  const reader = there.readable.getReader()
  for (let got = 0; got < 200_000;) {
    const { value } = await reader.read()
    assert.ok(value.length <= 65_536)
    got += value.length
  }
  await close()
})

test('a reader who does not read holds the writer back', async () => {
  const { here, there, close } = await ends()
  const writer = here.writable.getWriter()
  let taken = 0
  const writing = (async () => {
    for (let n = 0; n < 64; n++) {
      await writer.ready
      await writer.write(new Uint8Array(65_536))
      taken += 1
    }
    await writer.close()
  })()
  await settled()
  const stuck = taken
  await settled()
  assert.equal(taken, stuck)
  assert.ok(stuck <= 5, `${stuck} chunks went into a window of four`)
  assert.ok(writer.desiredSize <= 0)
  assert.equal((await readAll(there.readable)).length, 64 * 65_536)
  await writing
  await close()
})

test('abort, cancel and a refused chunk reset the stream for both sides', async () => {
  const enders = {
    'stream.abort': (stream) => stream.abort(new Error('enough')),
    'writable.abort': (stream) => stream.writable.abort(new Error('enough')),
    'readable.cancel': (stream) => stream.readable.cancel(new Error('enough')),
    'a chunk that is no bytes': (stream) => fails(() => stream.writable.getWriter().write('text'), 'INVALID_OPTION'),
  }
  for (const [name, end] of Object.entries(enders)) {
    const { here, there, close } = await ends()
    const reader = there.readable.getReader()
    const writer = there.writable.getWriter()
    await end(here)
    const read = await fails(() => reader.read(), 'STREAM_RESET')
    assert.equal(await fails(() => writer.write(new Uint8Array(1)), 'STREAM_RESET'), read, name)
    here.abort('again')
    await close()
  }
})

test('the aborting side sees ABORTED with its reason', async () => {
  const { here, close } = await ends()
  const reason = new Error('enough')
  const reading = fails(() => here.readable.getReader().read(), 'ABORTED')
  here.abort(reason)
  assert.equal((await reading).cause, reason)
  await fails(() => here.close(), 'ABORTED')
  await close()
})

test('an answer can be read although the other side left before taking everything', async () => {
  const { here, there, close } = await ends()
  await there.writable.getWriter().write(new TextEncoder().encode('no, thank you'))
  const { value } = await here.readable.getReader().read()
  assert.equal(new TextDecoder().decode(value), 'no, thank you')
  await close()
})

test('close() ends the writing after what is queued, whoever holds the lock', async () => {
  const { here, there, close } = await ends()
  const writer = here.writable.getWriter()
  const queued = [1, 2, 3].map((n) => writer.write(new Uint8Array(100_000).fill(n)))
  await Promise.all([here.close(), readAll(there.readable).then((bytes) => assert.equal(bytes.length, 300_000))])
  await Promise.all(queued)
  await fails(() => writer.write(new Uint8Array(1)), 'CLOSED')
  await here.close()
  await there.close()
  assert.equal((await readAll(here.readable)).length, 0)
  await close()
})

test('leaving the scope of a stream says goodbye and waits for the other side', async () => {
  const { here, there, close } = await ends()
  await here.writable.getWriter().write(new Uint8Array(3))
  const disposed = here[Symbol.asyncDispose]()
  assert.equal((await readAll(there.readable)).length, 3)
  await there.writable.getWriter().write(new Uint8Array(10))
  await there.close()
  await disposed
  await close()
})

test('closing the node ends its streams with CLOSED', async () => {
  const { here, close } = await ends()
  const reading = fails(() => here.readable.getReader().read(), 'CLOSED')
  const writing = fails(() => here.writable.getWriter().closed, 'CLOSED')
  await close()
  await Promise.all([reading, writing])
})
