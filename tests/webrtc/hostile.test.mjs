/** Peers that speak of a connection and mean something else: every one gets a reason, and nobody else is disturbed. */
import assert from 'node:assert/strict'
import { story } from '../lib/story.mjs'
import { jsPage, listen, noted, rigPage } from './pages.mjs'

/** What passes for a description of data channels until a browser reads it. */
const UNREADABLE = 'v=0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=fingerprint:sha-256 hello\r\n'

/** Our page, which can be dialled, and one of js-libp2p whose signalling is the story's. */
async function oursAndTheirs (world, options = {}) {
  const relay = await world.relay()
  const ours = await rigPage(world, options)
  const { address, circuit, peer } = await listen(ours, relay)
  const theirs = await jsPage(world, { byHand: true, listen: [`${relay.address('webrtc-direct')}/p2p-circuit`] })
  return { relay, ours, theirs, address, circuit, peer }
}

/** Our page is reached as ever. */
async function assertReachable (world, { address, peer }) {
  const other = await rigPage(world)
  assert.equal(await other.evaluate((address) => node.dial(address), address), peer)
}

story('descriptions that a browser cannot read', async (world) => {
  const pages = await oursAndTheirs(world)
  const { relay, ours, theirs, circuit } = pages
  await theirs.evaluate(async ({ circuit, sdp }) => {
    const conversation = await js.converse(node, circuit)
    conversation.say('offer', sdp)
  }, { circuit, sdp: UNREADABLE })
  await noted(ours, 'failed: browser')

  const peer = await theirs.evaluate(async (sdp) => {
    await js.answerConversations(node, async (conversation) => {
      await conversation.hear()
      conversation.say('answer', sdp)
    })
    await js.reservation(node)
    return node.peerId.toString()
  }, UNREADABLE)
  const address = `${relay.address('webrtc-direct')}/p2p-circuit/webrtc/p2p/${peer}`
  const outcome = await ours.evaluate((address) => story.outcome(() => node.dial(address)), address)
  assert.match(outcome.message, /the browser refused the remote's description/)
  await assertReachable(world, pages)
})

story('candidates that make no sense cost nothing but themselves', async (world) => {
  const { ours, theirs, circuit } = await oursAndTheirs(world)
  await theirs.evaluate(async (circuit) => {
    const { connection, sdp } = await js.newOffer()
    globalThis.connection = connection
    const conversation = await js.converse(node, circuit)
    conversation.say('offer', sdp)
    const answer = await conversation.hear()
    await connection.setRemoteDescription({ type: 'answer', sdp: answer.data })
    const nonsense = [
      '{', '17', 'true', '[]', '"text"', '{"candidate":7}', '{"candidate":"x","sdpMid":"0"}', '[[[[[[[[[[', '{"candidate":{}}',
      '{"candidate":"candidate:1 1 udp 1 nobody.invalid 9 typ host","sdpMid":"0","sdpMLineIndex":0}',
      '{"candidate":"candidate:1 1 udp 1 0.0.0.0 0 typ host","sdpMid":"0","sdpMLineIndex":0}',
      '{"candidate":"candidate:1 1 udp 1 127.0.0.1 9 typ host","sdpMid":"9","sdpMLineIndex":7}'
    ]
    for (const candidate of nonsense) conversation.say('candidate', candidate)
    connection.onicecandidate = ({ candidate }) => conversation.say('candidate', JSON.stringify(candidate))
    for (let message = await conversation.hear(); message?.kind === 'candidate'; message = await conversation.hear()) {
      await connection.addIceCandidate(JSON.parse(message.data) ?? undefined)
      if (connection.connectionState === 'connected') break
    }
  }, circuit)
  await noted(ours, `connected ${await theirs.evaluate(() => node.peerId.toString())} /webrtc`)
})

story('candidates without end', async (world) => {
  const pages = await oursAndTheirs(world)
  await pages.theirs.evaluate(async (circuit) => {
    const conversation = await js.converse(node, circuit)
    conversation.say('offer', (await js.newOffer()).sdp)
    for (let n = 0; n < 100; n++) {
      conversation.say('candidate', `{"candidate":"candidate:1 1 udp 1 192.0.2.1 ${n + 1} typ host","sdpMid":"0"}`)
    }
  }, pages.circuit)
  await noted(pages.ours, 'failed: too-many-candidates')
  await assertReachable(world, pages)
})

/** Where the caller goes away, and what it comes to at the other end if no connection has come of it before. */
const LEAVINGS = {
  'with its offer': { after: 'offer', failed: /failed: (no-path|timeout)/ },
  'once it is answered': { after: 'answer', failed: /failed: (no-path|lost|timeout)/ },
  'once the two have found each other': { after: 'connected', failed: /failed: (no-path|lost)/ }
}

for (const [title, { after, failed }] of Object.entries(LEAVINGS)) {
  for (const stream of ['stays', 'breaks']) {
    story(`a caller that goes away ${title}, while its stream ${stream}`, async (world) => {
      const pages = await oursAndTheirs(world, { timeout: 2_000 })
      const { ours, theirs, circuit } = pages
      await theirs.evaluate(async ({ circuit, after, breaks }) => {
        const { connection, sdp } = await js.newOffer()
        const conversation = await js.converse(node, circuit)
        connection.onicecandidate = ({ candidate }) => conversation.say('candidate', JSON.stringify(candidate))
        const found = new Promise((resolve) => {
          connection.onconnectionstatechange = () => { if (connection.connectionState === 'connected') resolve() }
        })
        conversation.say('offer', sdp)
        if (after !== 'offer') {
          const answer = await conversation.hear()
          await connection.setRemoteDescription({ type: 'answer', sdp: answer.data })
        }
        if (after === 'connected') {
          const listen = async () => {
            for (let message = await conversation.hear(); message !== undefined; message = await conversation.hear()) {
              await connection.addIceCandidate(JSON.parse(message.data) ?? undefined).catch(() => {})
            }
          }
          listen().catch(() => {})
          await found
        }
        connection.onicecandidate = null
        connection.close()
        if (breaks) conversation.stream.abort(new Error('gone'))
      }, { circuit, after, breaks: stream === 'breaks' })
      const own = await theirs.evaluate(() => node.peerId.toString())
      await ours.waitForFunction(({ own, failed }) => {
        const about = node.notes().filter((note) => note.includes(own))
        const stood = about.includes(`connected ${own} /webrtc`) && !node.connections().includes(`${own} /webrtc`)
        return stood || about.some((note) => new RegExp(failed).test(note))
      }, { own, failed: failed.source }, { polling: 20 })
      await assertReachable(world, pages)
    })
  }
}

story('an answer from nobody', async (world) => {
  const { relay, ours, theirs } = await oursAndTheirs(world, { timeout: 2_000 })
  const peer = await theirs.evaluate(async () => {
    await js.answerConversations(node, async (conversation) => {
      const offer = await conversation.hear()
      const connection = new RTCPeerConnection()
      await connection.setRemoteDescription({ type: 'offer', sdp: offer.data })
      await connection.setLocalDescription()
      conversation.say('answer', connection.localDescription.sdp)
      connection.close()
    })
    await js.reservation(node)
    return node.peerId.toString()
  })
  const address = `${relay.address('webrtc-direct')}/p2p-circuit/webrtc/p2p/${peer}`
  const outcome = await ours.evaluate((address) => story.outcome(() => node.dial(address)), address)
  assert.match(outcome.message, /no direct path works/)
})

story('offers of a crowd leave room for what the page itself wants', async (world) => {
  const { relay, ours, theirs, circuit } = await oursAndTheirs(world)
  // Two of each peer are looked at, eight of all.
  await theirs.evaluate(async (circuit) => {
    globalThis.crowd = []
    for (let n = 0; n < 5; n++) {
      const one = await js.createNode({ transports: [js.webRTCDirect()] })
      crowd.push(one, await js.converse(one, circuit), await js.converse(one, circuit))
    }
  }, circuit)
  await noted(ours, 'failed: busy')
  const other = await rigPage(world)
  const { address, peer } = await listen(other, relay)
  assert.equal(await ours.evaluate((address) => node.dial(address), address), peer)
})

/** Has one js-libp2p node after another offer `sdp` to our page, or nothing at all; each is waited for. */
async function offersOfCrowd ({ ours, theirs, circuit }, count, sdp) {
  for (let n = 0; n < count; n++) {
    const peer = await theirs.evaluate(async ({ circuit, sdp }) => {
      const one = await js.createNode({ transports: [js.webRTCDirect()] })
      const conversation = await js.converse(one, circuit)
      if (sdp === undefined) conversation.stream.abort(new Error('changed my mind'))
      else try { conversation.say('offer', sdp) } catch {} // it is refused before it is made
      return one.peerId.toString()
    }, { circuit, sdp })
    await noted(ours, `incoming from ${peer} failed`)
  }
}

story('streams on which nobody offers anything cost no peer connection', async (world) => {
  const pages = await oursAndTheirs(world)
  const before = await pages.ours.evaluate(() => made.length)
  await offersOfCrowd(pages, 5)
  assert.equal(await pages.ours.evaluate(() => made.length), before)
  await assertReachable(world, pages)
})

story('offers of others do not use up what the page wants for itself', async (world) => {
  const pages = await oursAndTheirs(world, { offers: 2 })
  await offersOfCrowd(pages, 3, UNREADABLE)
  await noted(pages.ours, 'failed: spent')
  const other = await rigPage(world)
  const { address, peer } = await listen(other, pages.relay)
  assert.equal(await pages.ours.evaluate((address) => node.dial(address), address), peer)
})

story('a peer whose offer failed is not listened to for a while', async (world) => {
  const pages = await oursAndTheirs(world)
  const { ours, theirs, circuit } = pages
  const offer = () => theirs.evaluate(async ({ circuit, sdp }) => {
    const conversation = await js.converse(node, circuit)
    try {
      conversation.say('offer', sdp)
      return await conversation.hear()
    } catch {
      return undefined
    }
  }, { circuit, sdp: UNREADABLE })
  await offer()
  await noted(ours, 'failed: browser')
  const before = await ours.evaluate(() => made.length)
  assert.equal(await offer(), undefined)
  assert.equal(await ours.evaluate(() => made.length), before)
  await assertReachable(world, pages)
})
