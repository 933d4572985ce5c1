/** Streams between pages through a relay: whole, half-closed, held back by a slow reader, aborted, refused. */
import assert from 'node:assert/strict'
import { echoPair } from '../lib/echo.mjs'
import { arrivesWhole, serveSlowly, writeUntilItWaits } from '../lib/slow.mjs'
import { EVERY_BROWSER, story } from '../lib/story.mjs'

story('a megabyte comes back whole through half-closed streams', async (world) => {
  const { guest, provider } = await echoPair(world)
  const echoed = await guest.evaluate(async () => {
    const sent = story.pattern(1_048_576)
    const stream = await node.open('echo')
    const writer = stream.writable.getWriter()
    const writing = (async () => {
      for (let at = 0; at < sent.length; at += 65_536) {
        await writer.ready
        await writer.write(sent.subarray(at, at + 65_536))
      }
      await writer.close()
    })()
    const [received] = await Promise.all([story.readAll(stream.readable), writing])
    return { same: await story.sha256(received) === await story.sha256(sent), length: received.length, path: stream.path, from: stream.remotePeer }
  })
  assert.deepEqual(echoed, { same: true, length: 1_048_576, path: 'relayed', from: await provider.evaluate(() => node.peerId) })

  const answered = await guest.evaluate(async () => {
    // The answer is given only after the question has ended: the reading half lives on.
    const stream = await node.open('echo')
    const writer = stream.writable.getWriter()
    await writer.write(new TextEncoder().encode('last words'))
    await writer.close()
    return new TextDecoder().decode(await story.readAll(stream.readable))
  })
  assert.equal(answered, 'last words')
}, { browsers: EVERY_BROWSER })

story('a handler learns who calls; many streams run side by side', async (world) => {
  const { guest, provider } = await echoPair(world)
  await provider.evaluate(() => {
    node.handle('who', async (stream, from) => {
      const writer = stream.writable.getWriter()
      await writer.write(new TextEncoder().encode(typeof from === 'string' ? from : JSON.stringify(from)))
      await writer.close()
    })
    return node.provide({ name: 'who' })
  })
  const heard = await guest.evaluate(async () => {
    const ask = async () => new TextDecoder().decode(await story.readAll((await node.open('who')).readable))
    return Promise.all(Array.from({ length: 20 }, ask))
  })
  const caller = await guest.evaluate(() => node.peerId)
  assert.deepEqual(heard, Array.from({ length: 20 }, () => caller))
})

story('a reader who does not read makes the writer wait, and loses nothing', async (world) => {
  const { guest, provider } = await echoPair(world)
  await serveSlowly(provider)
  const { taken } = await writeUntilItWaits(guest, 32 * 1_048_576)
  assert.ok(taken < 8 * 1_048_576, `${taken} bytes were taken for a reader who does not read`)
  assert.ok(await arrivesWhole(provider, guest))
}, { ms: 120_000, browsers: EVERY_BROWSER })

story('an aborted stream ends on the other side with STREAM_RESET', async (world) => {
  const { guest, provider } = await echoPair(world)
  await provider.evaluate(() => {
    globalThis.ends = []
    node.handle('fragile', async (stream) => {
      const reader = stream.readable.getReader()
      const first = await story.readText(reader)
      if (first === 'you abort') {
        await stream.writable.abort(new Error('I have had enough'))
        return
      }
      globalThis.ends.push(story.outcome(() => reader.read()))
    })
    return node.provide({ name: 'fragile' })
  })
  const byProvider = await guest.evaluate(async () => {
    const stream = await node.open('fragile')
    const writer = stream.writable.getWriter()
    await writer.write(new TextEncoder().encode('you abort'))
    const read = await story.within(5_000, story.outcome(() => stream.readable.getReader().read()), 'the end')
    const write = await story.within(5_000, story.outcome(async () => {
      for (let i = 0; i < 100; i++) await writer.write(new Uint8Array(65_536))
    }), 'the refusal')
    return { read, write }
  })
  assert.equal(byProvider.read.code, 'STREAM_RESET')
  assert.equal(byProvider.read.real, true)
  assert.equal(byProvider.write.code, 'STREAM_RESET')

  await guest.evaluate(async () => {
    const stream = await node.open('fragile')
    const writer = stream.writable.getWriter()
    await writer.write(new TextEncoder().encode('I abort'))
    // The provider has heard the first words before the abort: it answers nothing, so its own stream is looked at.
    await writer.abort(new Error('enough'))
  })
  const [end] = await provider.evaluate(async () => {
    await story.within(5_000, (async () => {
      while (globalThis.ends.length === 0) await new Promise((resolve) => setTimeout(resolve, 20))
    })(), 'the handler')
    return Promise.all(globalThis.ends)
  })
  assert.equal(end.code, 'STREAM_RESET')
}, { browsers: EVERY_BROWSER })

story('a handler that throws resets its stream and harms nothing else', async (world) => {
  const { guest, provider } = await echoPair(world)
  await provider.evaluate(() => {
    globalThis.calls = 0
    node.handle('clumsy', async (stream) => {
      globalThis.calls += 1
      if (globalThis.calls === 1) throw new Error('dropped the plates')
      await stream.readable.pipeTo(stream.writable)
    })
    return node.provide({ name: 'clumsy' })
  })
  const first = await guest.evaluate(() => story.within(5_000, story.outcome(async () => {
    const stream = await node.open('clumsy')
    return story.readAll(stream.readable)
  }), 'the end'))
  assert.equal(first.code, 'STREAM_RESET')
  const second = await guest.evaluate(async () => {
    const stream = await node.open('clumsy')
    const writer = stream.writable.getWriter()
    await writer.write(new TextEncoder().encode('again'))
    await writer.close()
    return new TextDecoder().decode(await story.readAll(stream.readable))
  })
  assert.equal(second, 'again')
})

story('a service without a handler, or with a closed one, is answered with a clear no', async (world) => {
  const { guest, provider } = await echoPair(world)
  const peer = await provider.evaluate(() => node.peerId)
  const never = await guest.evaluate((peer) => story.outcome(() => node.open({ peer, name: 'never-handled' })), peer)
  assert.ok(['REFUSED', 'NOT_FOUND'].includes(never.code), JSON.stringify(never))
  await provider.evaluate(() => globalThis.handler.close())
  const closed = await guest.evaluate((peer) => story.outcome(() => node.open({ peer, name: 'echo' })), peer)
  assert.equal(closed.code, never.code, JSON.stringify(closed))
})
