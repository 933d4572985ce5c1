/** Direct paths between pages: relayed first, then direct, and back when the direct one breaks; told truthfully. */
import assert from 'node:assert/strict'
import { NETWORK_ERRORS } from '../lib/browser.mjs'
import { echoes, echoesWhole, echoPair } from '../lib/echo.mjs'
import { remember } from '../lib/made.mjs'
import { pathTo, reaches } from '../lib/paths.mjs'
import { arrivesWhole, serveSlowly, writeUntilItWaits } from '../lib/slow.mjs'
import { story } from '../lib/story.mjs'

/** Runs in a page before its own scripts: a browser without WebRTC. */
function switchOff () {
  delete globalThis.RTCPeerConnection
}

/** Runs in a page before its own scripts: a browser that reaches none of the addresses it is told. */
function hearNoCandidates () {
  RTCPeerConnection.prototype.addIceCandidate = async () => {}
}

story('relayed at once, direct soon, and the relayed stream goes on to its end', async (world) => {
  const { guest, provider } = await echoPair(world)
  const [own, peer] = await Promise.all([guest, provider].map((page) => page.evaluate(() => node.peerId)))
  await guest.evaluate(async () => {
    globalThis.told = []
    const events = node.events()
    globalThis.telling = (async () => {
      for await (const event of events) if (event.type === 'peer:path') told.push([event.peerId, event.path])
    })()
    globalThis.sent = story.pattern(1_048_576)
    globalThis.first = await node.open('echo')
    globalThis.writer = first.writable.getWriter()
    globalThis.echoed = story.readAll(first.readable)
    await writer.write(sent.subarray(0, 524_288))
  })
  assert.equal(await guest.evaluate(() => first.path), 'relayed')
  await reaches(guest, peer, 'direct')
  await reaches(provider, own, 'direct')
  assert.deepEqual(await pathTo(guest, peer), { path: 'direct', transport: 'webrtc' })
  assert.deepEqual(await pathTo(provider, own), { path: 'direct', transport: 'webrtc' })
  assert.deepEqual(await guest.evaluate(() => told), [[peer, 'direct']])
  assert.ok(await guest.evaluate(() => node.stats().peerConnections) >= 1)

  assert.deepEqual(await echoes(guest, 'the short way'), { path: 'direct', text: 'the short way' })

  const whole = await guest.evaluate(async () => {
    await writer.write(sent.subarray(524_288))
    await writer.close()
    return { same: await story.sha256(await echoed) === await story.sha256(sent), path: first.path }
  })
  assert.deepEqual(whole, { same: true, path: 'relayed' })
  assert.equal((await guest.evaluate((peer) => node.explain(peer), peer)).code, 'DIRECT')
})

story('a megabyte each way over the direct path, through half-closed streams', async (world) => {
  const { guest, provider } = await echoPair(world)
  const peer = await provider.evaluate(() => node.peerId)
  await echoes(guest, 'hello')
  await reaches(guest, peer, 'direct')
  assert.deepEqual(await echoesWhole(guest, 1_048_576), { path: 'direct', whole: true })
})

story('on the direct path too, a reader who does not read makes the writer wait, and loses nothing', async (world) => {
  const { guest, provider } = await echoPair(world)
  await serveSlowly(provider)
  await echoes(guest, 'hello')
  await reaches(guest, await provider.evaluate(() => node.peerId), 'direct')
  const { taken, path } = await writeUntilItWaits(guest, 32 * 1_048_576)
  assert.equal(path, 'direct')
  assert.ok(taken < 8 * 1_048_576, `${taken} bytes were taken for a reader who does not read`)
  // Others are not held back with it.
  assert.deepEqual(await echoes(guest, 'past the queue'), { path: 'direct', text: 'past the queue' })
  assert.ok(await arrivesWhole(provider, guest))
}, { ms: 120_000 })

story('a direct connection that breaks ends its streams with STREAM_RESET, and the next open works at once', async (world) => {
  const { guest, provider } = await echoPair(world, { init: remember })
  const peer = await provider.evaluate(() => node.peerId)
  await echoes(guest, 'hello')
  await reaches(guest, peer, 'direct')
  const broken = await guest.evaluate(async () => {
    const stream = await node.open('echo')
    const writer = stream.writable.getWriter()
    const reader = stream.readable.getReader()
    await writer.write(new TextEncoder().encode('are you there?'))
    await reader.read()
    for (const connection of made) connection.close()
    const read = await story.within(10_000, story.outcome(() => reader.read()), 'the end')
    const again = await story.within(10_000, story.outcome(async () => {
      const stream = await node.open('echo')
      const writer = stream.writable.getWriter()
      await writer.write(new TextEncoder().encode('back again'))
      await writer.close()
      return { path: stream.path, text: new TextDecoder().decode(await story.readAll(stream.readable)) }
    }), 'the next')
    return { path: stream.path, code: read.code, again }
  })
  assert.equal(broken.path, 'direct')
  assert.equal(broken.code, 'STREAM_RESET')
  assert.equal(broken.again.value?.text, 'back again', JSON.stringify(broken.again))
  assert.ok(broken.again.ms < 2_500, `the next stream took ${broken.again.ms} ms`)
})

/** Where WebRTC is switched off, and why the one who asks has no direct path then. */
const OFF = { guest: 'WEBRTC_OFF', provider: 'WEBRTC_OFF_THERE' }

for (const [who, code] of Object.entries(OFF)) {
  story(`WebRTC is switched off at the ${who}: everything works relayed, and it is said why`, async (world) => {
    const { guest, provider } = await echoPair(world, { [who]: { init: switchOff } })
    const peer = await provider.evaluate(() => node.peerId)
    assert.deepEqual(await echoes(guest, 'hello'), { path: 'relayed', text: 'hello' })
    const why = await guest.evaluate((peer) => node.explain(peer), peer)
    assert.deepEqual([why.code, why.notDirect?.code], ['RELAYED', code], JSON.stringify(why))
    assert.deepEqual(await echoes(guest, 'hello again'), { path: 'relayed', text: 'hello again' })
    assert.equal(await guest.evaluate(() => node.stats().peerConnections), 0)
    const { endpoints } = await guest.evaluate(async () => (await node.find('echo')).records[0])
    const announced = endpoints.some((endpoint) => endpoint.endsWith('/webrtc'))
    assert.equal(announced, who === 'guest', `${endpoints}`)
  })
}

story('no pair of addresses works: everything goes on relayed, and it is said why', async (world) => {
  const { guest, provider } = await echoPair(world, { init: hearNoCandidates })
  const peer = await provider.evaluate(() => node.peerId)
  assert.deepEqual(await echoes(guest, 'hello'), { path: 'relayed', text: 'hello' })
  // The attempt is given up after ten seconds.
  await guest.waitForFunction(
    async (peer) => (await node.explain(peer)).notDirect?.code === 'ICE_FAILED', peer, { timeout: 20_000, polling: 100 }
  )
  assert.deepEqual(await echoes(guest, 'hello again'), { path: 'relayed', text: 'hello again' })
  assert.equal(await guest.evaluate(() => node.stats().peerConnections), 1)
})

story('one who wants relayed paths only makes and takes no direct connection, and says so', async (world) => {
  const { guest, provider } = await echoPair(world, { provider: { join: { paths: 'relayed' } } })
  const [own, peer] = await Promise.all([guest, provider].map((page) => page.evaluate(() => node.peerId)))
  assert.deepEqual(await echoes(guest, 'hello'), { path: 'relayed', text: 'hello' })
  const { endpoints } = await guest.evaluate(async () => (await node.find('echo')).records[0])
  assert.ok(!endpoints.some((endpoint) => endpoint.endsWith('/webrtc')), `${endpoints}`)
  const [at, there] = await Promise.all([
    provider.evaluate((own) => node.explain(own), own), guest.evaluate((peer) => node.explain(peer), peer)
  ])
  assert.deepEqual([at.code, at.notDirect?.code], ['RELAYED', 'RELAYED_ONLY'], JSON.stringify(at))
  assert.deepEqual([there.code, there.notDirect?.code], ['RELAYED', 'WEBRTC_OFF_THERE'], JSON.stringify(there))
  for (const page of [guest, provider]) assert.equal(await page.evaluate(() => node.stats().peerConnections), 0)
})

story('two who open to each other at once end with one direct connection', async (world) => {
  const { guest, provider } = await echoPair(world)
  const pages = [guest, provider]
  const peers = await Promise.all(pages.map((page) => page.evaluate(() => node.peerId)))
  await guest.evaluate(async () => {
    node.handle('back', (stream) => stream.readable.pipeTo(stream.writable))
    await node.provide({ name: 'back' })
  })
  const open = (page, name) => page.evaluate(async (name) => {
    const stream = await node.open(name)
    await stream.writable.close()
    return story.readAll(stream.readable).then(({ length }) => length)
  }, name)
  assert.deepEqual(await Promise.all([open(guest, 'echo'), open(provider, 'back')]), [0, 0])
  await Promise.all([reaches(guest, peers[1], 'direct'), reaches(provider, peers[0], 'direct')])
  assert.deepEqual(await echoes(guest, 'found you'), { path: 'direct', text: 'found you' })
  for (const page of pages) {
    // Each of them may have tried once.
    assert.ok(await page.evaluate(() => node.stats().peerConnections) <= 2)
  }
})

story('a direct stream does not notice that the relays die', async (world) => {
  const { guest, provider, relays } = await echoPair(world, { tolerate: NETWORK_ERRORS })
  await echoes(guest, 'hello')
  await reaches(guest, await provider.evaluate(() => node.peerId), 'direct')
  await guest.evaluate(async () => {
    globalThis.stream = await node.open('echo')
    globalThis.writer = stream.writable.getWriter()
    globalThis.reader = stream.readable.getReader()
  })
  const say = (text) => guest.evaluate(async (text) => {
    await writer.write(new TextEncoder().encode(text))
    return story.readText(reader)
  }, text)
  assert.equal(await say('before'), 'before')
  await Promise.all(relays.map((relay) => relay.kill()))
  assert.equal(await say('after'), 'after')
  assert.equal(await guest.evaluate(() => stream.path), 'direct')
  await Promise.all(relays.map((relay) => relay.restart()))
  assert.equal(await say('and again'), 'and again')
})
