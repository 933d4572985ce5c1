/** Browser to browser: two pages find a direct path with the help of one relay. */
import assert from 'node:assert/strict'
import { story } from '../lib/story.mjs'
import { listen, noted, rigPage, rigPages } from './pages.mjs'

const MEGABYTE = 1024 * 1024

/** Two pages with a direct connection and no other. */
async function connected (world) {
  const pages = await rigPages(world)
  const { caller, listener, address, peer } = pages
  const { ms } = await caller.evaluate(async (address) => story.outcome(() => node.dial(address)), address)
  const own = await caller.evaluate(() => node.peerId)
  await noted(listener, `connected ${own} /webrtc`)
  await caller.evaluate((peer) => node.closeConnections(peer, true), peer)
  await noted(caller, `closed ${peer} by us`)
  const connections = await caller.evaluate((peer) => node.connections().filter((line) => line.startsWith(peer)), peer)
  assert.deepEqual(connections, [`${peer} ${address}`])
  return { ...pages, own, ms }
}

/** Runs in a page before its own scripts: the first answer to an offer waits until `goOn()` is called. */
function slowAnswer () {
  const { createAnswer } = RTCPeerConnection.prototype
  RTCPeerConnection.prototype.createAnswer = async function (...options) {
    RTCPeerConnection.prototype.createAnswer = createAnswer
    globalThis.answering = true
    await new Promise((resolve) => { globalThis.goOn = resolve })
    return createAnswer.apply(this, options)
  }
}

/** The same for a caller: the answer of a page, which is its second after the relay's, is applied once `goOn()` is called. */
function slowAcceptance () {
  const { setRemoteDescription } = RTCPeerConnection.prototype
  let answers = 0
  RTCPeerConnection.prototype.setRemoteDescription = async function (description) {
    answers += 1
    if (answers === 2) {
      globalThis.accepting = true
      await new Promise((resolve) => { globalThis.goOn = resolve })
    }
    return setRemoteDescription.call(this, description)
  }
}

story('two pages connect, and the circuit is not needed any more', async (world) => {
  const { caller, listener, own, ms } = await connected(world)
  console.log(`dial with circuit ${ms.toFixed(0)} ms`)
  const made = await Promise.all([caller, listener].map((page) => page.evaluate(() => rig.peerConnections())))
  // One to the relay, one to the other.
  assert.deepEqual(made, [2, 2])
  assert.deepEqual(await listener.evaluate((own) => node.connections().filter((line) => line.startsWith(own)), own), [`${own} /webrtc`])
})

story('a megabyte there and back, both ways', async (world) => {
  const { caller, listener, own, peer } = await connected(world)
  for (const [page, other] of [[caller, peer], [listener, own]]) {
    for (const protocol of ['/rig/echo', '/rig/all']) {
      const { ms, same } = await page.evaluate(async ({ other, protocol, length }) => {
        const stream = await node.open(other, protocol)
        const bytes = story.pattern(length)
        const { value, ms, message } = await story.outcome(() => stream.exchange(bytes))
        return { ms, same: message ?? (await story.sha256(value) === await story.sha256(bytes)) }
      }, { other, protocol, length: MEGABYTE })
      assert.equal(same, true)
      console.log(`${protocol} ${ms.toFixed(0)} ms`)
    }
  }
})

story('halves end one by one', async (world) => {
  const { caller, listener, peer } = await connected(world)
  const answer = await caller.evaluate(async (peer) => {
    const stream = await node.open(peer, '/rig/all')
    await stream.write(new TextEncoder().encode('one '))
    await stream.write(new TextEncoder().encode('by one'))
    await stream.close()
    return new TextDecoder().decode(await stream.read())
  }, peer)
  assert.equal(answer, 'one by one')
  await noted(listener, '/rig/all ended after 10 bytes')
})

story('a stream that is dropped is a reset at the other end, not an end', async (world) => {
  const { caller, listener, peer } = await connected(world)
  await caller.evaluate(async (peer) => {
    const stream = await node.open(peer, '/rig/note')
    await stream.write(new Uint8Array(1000))
    stream.drop()
  }, peer)
  await noted(listener, '/rig/note broke: ConnectionReset')
  await caller.evaluate(async (peer) => {
    const stream = await node.open(peer, '/rig/note')
    await stream.write(new Uint8Array(1000))
    await stream.close()
    stream.drop()
  }, peer)
  await noted(listener, '/rig/note ended after 1000 bytes')
})

story('five hundred streams, one after the other, leave no channel behind', async (world) => {
  const { caller, listener, peer } = await connected(world)
  const bytes = await caller.evaluate(async (peer) => {
    let bytes = 0
    for (let n = 0; n < 500; n++) {
      const stream = await node.open(peer, '/rig/all')
      bytes += (await stream.exchange(new Uint8Array(10))).length
      stream.drop()
    }
    return bytes
  }, peer)
  assert.equal(bytes, 5000)
  for (const page of [caller, listener]) {
    // Those of pings and of identify at most.
    await page.waitForFunction(() => rig.openChannels() < 10, undefined, { timeout: 5_000, polling: 50 })
  }
})

story('a peer that opens a thousand channels gets no more than there may be', async (world) => {
  const { caller, listener, peer, own } = await connected(world)
  const refused = await caller.evaluate(async () => {
    const connection = made.at(-1)
    const channels = []
    for (let n = 0; n < 1000; n++) {
      try {
        channels.push(connection.createDataChannel(''))
      } catch {
        break
      }
    }
    await Promise.all(channels.map((channel) => new Promise((resolve) => {
      if (channel.readyState === 'open') resolve()
      channel.onopen = channel.onclose = channel.onerror = resolve
    })))
    globalThis.flood = channels
    await new Promise((resolve) => {
      let closed = 0
      const count = () => { if (++closed >= channels.length - 256) resolve() }
      for (const channel of channels) {
        if (channel.readyState === 'closed') count()
        else channel.onclose = count
      }
    })
    return channels.length
  })
  assert.ok(refused > 500, `${refused} channels`)
  for (const state of ['flooded', 'after']) {
    // The swarm gives streams that negotiate nothing ten seconds.
    if (state === 'after') {
      await caller.evaluate(() => flood.forEach((channel) => channel.close()))
      const answer = await caller.evaluate(async (peer) => {
        const stream = await node.open(peer, '/rig/all')
        return (await stream.exchange(new Uint8Array(10))).length
      }, peer)
      assert.equal(answer, 10)
    }
    assert.equal(await listener.evaluate((own) => node.connections().some((line) => line.startsWith(own)), own), true, state)
  }
})

story('text on a channel costs the channel and nothing else', async (world) => {
  const { caller, peer } = await connected(world)
  await caller.evaluate(async () => {
    const channel = made.at(-1).createDataChannel('')
    await new Promise((resolve) => { channel.onopen = resolve })
    const closed = new Promise((resolve) => { channel.onclose = resolve })
    channel.send('hello')
    await closed
  })
  const answer = await caller.evaluate(async (peer) => {
    const stream = await node.open(peer, '/rig/all')
    return (await stream.exchange(new Uint8Array(10))).length
  }, peer)
  assert.equal(answer, 10)
})

story('a connection that the other closes is noticed at once', async (world) => {
  const { caller, listener, own } = await connected(world)
  await caller.evaluate(() => made.at(-1).close())
  await noted(listener, `closed ${own}`, 2_000)
})

story('a page that goes away is noticed', async (world) => {
  const { caller, listener, own } = await connected(world)
  await caller.goto('about:blank')
  await noted(listener, `closed ${own}`, 15_000)
})

story('a stream that is not read holds its writer back, and no other', async (world) => {
  const { caller, peer } = await connected(world)
  const sent = await caller.evaluate(async (peer) => {
    globalThis.deaf = await node.open(peer, '/rig/deaf')
    let sent = 0
    const writing = async () => { while (sent < 32) { await deaf.write(new Uint8Array(1024 * 1024)); sent++ } }
    writing().catch((error) => { sent = String(error) })
    // It stands still: nothing was taken for a whole second.
    for (let before = -1; before !== sent;) {
      before = sent
      await new Promise((resolve) => setTimeout(resolve, 1_000))
    }
    return sent
  }, peer)
  assert.ok(sent < 4, `${sent} megabytes for a peer that reads nothing`)
  const answer = await caller.evaluate(async (peer) => {
    const stream = await node.open(peer, '/rig/all')
    return (await stream.exchange(new Uint8Array(10))).length
  }, peer)
  assert.equal(answer, 10)
})

story('a relay that dies while two pages are talking about their connection', async (world) => {
  const relay = await world.relay()
  const caller = await rigPage(world)
  const listener = await rigPage(world, { init: slowAnswer })
  const { address, peer } = await listen(listener, relay)
  const own = await caller.evaluate(() => node.peerId)
  const dialled = caller.evaluate((address) => story.outcome(() => node.dial(address)), address)
  await listener.waitForFunction(() => globalThis.answering === true, undefined, { polling: 20 })
  await relay.kill()
  await listener.evaluate(() => globalThis.goOn())
  // Each sees the relay go in its own time.
  const outcome = await dialled
  assert.match(outcome.message, /does not answer|not connected in time|Timeout|no signalling|no relayed connection/)
  await noted(listener, `incoming from ${own} failed`, 40_000)
  await relay.restart()
  const again = await listen(listener, relay)
  // Whose offer came to nothing has to pause; anybody else is heard at once.
  const other = await rigPage(world)
  assert.equal(await other.evaluate((address) => node.dial(address), again.address), peer)
}, { ms: 90_000 })

story('a negotiation outlives its circuit', async (world) => {
  const relay = await world.relay()
  const caller = await rigPage(world, { init: slowAcceptance })
  const listener = await rigPage(world)
  const { address, peer } = await listen(listener, relay)
  const dialled = caller.evaluate((address) => story.outcome(() => node.dial(address)), address)
  await caller.waitForFunction(() => globalThis.accepting === true, undefined, { polling: 20 })
  await caller.evaluate((peer) => node.closeConnections(peer, true), peer)
  await noted(caller, `closed ${peer} by us`)
  await caller.evaluate(() => globalThis.goOn())
  assert.equal((await dialled).value, peer)
})

story('a page that goes away while it connects', async (world) => {
  const relay = await world.relay()
  const listener = await rigPage(world, { init: slowAnswer, timeout: 2_000 })
  const { address, peer } = await listen(listener, relay)
  const caller = await rigPage(world)
  caller.evaluate((address) => node.dial(address), address).catch(() => {})
  await listener.waitForFunction(() => globalThis.answering === true, undefined, { polling: 20 })
  await caller.goto('about:blank')
  await listener.evaluate(() => globalThis.goOn())
  await noted(listener, 'failed: no-path')
  const other = await rigPage(world)
  assert.equal(await other.evaluate((address) => node.dial(address), address), peer)
})

story('dials of the same page at once, in both directions', async (world) => {
  const { relay, caller, listener, address, peer } = await rigPages(world)
  const own = await caller.evaluate(() => node.peerId)
  const circuit = await caller.evaluate((relay) => node.reserve(relay), relay.address('webrtc-direct'))
  const back = circuit.replace('/p2p-circuit/', '/p2p-circuit/webrtc/')
  const dials = [[caller, address], [caller, address], [listener, back]]
  const peers = await Promise.all(dials.map(([page, address]) => page.evaluate((address) => node.dial(address), address)))
  assert.deepEqual(peers, [peer, peer, own])
})

story('a peer that is not there', async (world) => {
  const { caller, address, peer } = await rigPages(world)
  const nobody = address.replace(`/p2p/${peer}`, `/p2p/${await caller.evaluate(() => new rig.Rig().peerId)}`)
  const outcome = await caller.evaluate((nobody) => story.outcome(() => node.dial(nobody)), nobody)
  assert.match(outcome.message, /no relayed connection to the peer/)
})
