/**
 * Two pages with a direct path between them: OpenRed's, js-libp2p's, and a bare RTCDataChannel. Each gives
 * `roundTrips(count, size)` (ms each) and `send(bytes)` (ms until the other side has said that it has them all), and its
 * pages as `sender` and `receiver`.
 */
import { jsHost } from './js-pages.mjs'
import { jsRoundTrips, roundTrips } from './round-trips.mjs'

/** How long a pair may take to be direct. */
const DIRECT_MS = 15_000

/** What is written at once. */
const CHUNK = 65_536

/** Two pages of OpenRed. */
export async function directPair (world, relay) {
  const receiver = await world.member([relay], { join: { memory: 'none' } })
  const name = 'direct'
  await receiver.evaluate(async (name) => {
    node.handle('echo', (stream) => stream.readable.pipeTo(stream.writable))
    node.handle('count', async (stream) => {
      let count = 0
      const reader = stream.readable.getReader()
      for (let part = await reader.read(); !part.done; part = await reader.read()) count += part.value.length
      const writer = stream.writable.getWriter()
      await writer.write(new TextEncoder().encode(String(count)))
      await writer.close()
    })
    node.handle(name, (stream) => stream.close())
    await node.provide({ name })
  }, name)
  const sender = await world.member([relay], { join: { memory: 'none' } })
  await sender.evaluate(async ({ name, ms }) => {
    const events = node.events()
    globalThis.peer = (await node.open(name)).remotePeer
    const isDirect = () => node.peers().find(({ peerId }) => peerId === peer)?.path === 'direct'
    const becomesDirect = async () => {
      for (;;) {
        if (isDirect()) return
        await events.next()
      }
    }
    await story.within(ms, becomesDirect(), 'a direct path')
    globalThis.open = async (name) => {
      const stream = await node.open({ peer, name })
      if (stream.path !== 'direct') throw new Error(`the stream is ${stream.path}`)
      return stream
    }
  }, { name, ms: DIRECT_MS })
  return {
    sender,
    receiver,
    roundTrips: (count, size) => sender.evaluate(roundTrips, { count, size }),
    send: (bytes) => sender.evaluate(async ({ bytes, chunk }) => {
      const stream = await open('count')
      const writer = stream.writable.getWriter()
      const part = new Uint8Array(chunk)
      const start = performance.now()
      for (let at = 0; at < bytes; at += chunk) {
        await writer.ready
        await writer.write(part)
      }
      await writer.close()
      const count = new TextDecoder().decode(await story.readAll(stream.readable))
      if (count !== String(bytes)) throw new Error(`${count} of ${bytes} bytes have come`)
      return performance.now() - start
    }, { bytes, chunk: CHUNK })
  }
}

/** Two pages of js-libp2p, with protocols of their own. */
export async function jsDirectPair (world, relay) {
  const receiver = await jsHost(world, relay)
  const address = await receiver.evaluate(async (relay) => {
    await js.serveProtocol(node, '/echo/1.0.0', async (stream) => {
      for await (const part of stream) if (!stream.send(part)) await stream.onDrain()
      await stream.close()
    })
    await js.serveProtocol(node, '/count/1.0.0', async (stream) => {
      let count = 0
      for await (const part of stream) count += part.byteLength
      stream.send(new TextEncoder().encode(String(count)))
      await stream.close()
    })
    return `${relay}/p2p-circuit/webrtc/p2p/${identity.id}`
  }, relay.webSocket)
  const sender = await jsHost(world, relay)
  await sender.evaluate(async (address) => {
    const { connection } = await js.dialAndIdentify(node, address)
    if (connection.limits !== undefined) throw new Error('the connection is relayed')
    globalThis.open = (protocol) => connection.newStream(protocol)
  }, address)
  return {
    sender,
    receiver,
    roundTrips: (count, size) => sender.evaluate(jsRoundTrips, { count, size }),
    send: (bytes) => sender.evaluate(async ({ bytes, chunk }) => {
      const stream = await open('/count/1.0.0')
      const part = new Uint8Array(chunk)
      const start = performance.now()
      for (let at = 0; at < bytes; at += chunk) if (!stream.send(part)) await stream.onDrain()
      await stream.close()
      const count = new TextDecoder().decode(await new js.StreamReader(stream).all())
      if (count !== String(bytes)) throw new Error(`${count} of ${bytes} bytes have come`)
      return performance.now() - start
    }, { bytes, chunk: CHUNK })
  }
}

/** Two blank pages with one ordered, reliable channel of messages of `size` bytes; this process carries the signals. */
export async function rawPair (world, size) {
  const [sender, receiver] = [await world.blankPage(), await world.blankPage()]
  const gathered = async () => {
    if (connection.iceGatheringState !== 'complete') {
      await new Promise((resolve) => {
        connection.onicegatheringstatechange = () => connection.iceGatheringState === 'complete' && resolve()
      })
    }
    return connection.localDescription.toJSON()
  }
  await sender.evaluate(() => {
    globalThis.connection = new RTCPeerConnection()
    globalThis.channel = connection.createDataChannel('bench')
    channel.binaryType = 'arraybuffer'
  })
  await receiver.evaluate(() => {
    globalThis.connection = new RTCPeerConnection()
    globalThis.count = 0
    connection.ondatachannel = ({ channel }) => {
      channel.binaryType = 'arraybuffer'
      // A text says what is wanted: the bytes that follow back, or how many there were.
      let echo = false
      channel.onmessage = ({ data }) => {
        if (data === 'echo' || data === 'count') {
          echo = data === 'echo'
          globalThis.count = 0
        } else if (data === 'all') {
          channel.send(String(globalThis.count))
        } else if (echo) {
          channel.send(data)
        } else {
          globalThis.count += data.byteLength
        }
      }
    }
  })
  await sender.evaluate(async () => connection.setLocalDescription())
  const offer = await sender.evaluate(gathered)
  await receiver.evaluate(async (offer) => {
    await connection.setRemoteDescription(offer)
    await connection.setLocalDescription()
  }, offer)
  const answer = await receiver.evaluate(gathered)
  await sender.evaluate(async (answer) => {
    await connection.setRemoteDescription(answer)
    if (channel.readyState !== 'open') await new Promise((resolve) => { channel.onopen = resolve })
    globalThis.heard = () => new Promise((resolve) => { channel.onmessage = ({ data }) => resolve(data) })
  }, answer)
  return {
    sender,
    receiver,
    roundTrips: (count, size) => sender.evaluate(async ({ count, size }) => {
      channel.send('echo')
      const times = []
      for (let i = 0; i < count; i++) {
        const start = performance.now()
        channel.send(new Uint8Array(size).fill(i))
        await heard()
        times.push(performance.now() - start)
      }
      return times
    }, { count, size }),
    send: (bytes) => sender.evaluate(async ({ bytes, size }) => {
      channel.send('count')
      const part = new Uint8Array(size)
      channel.bufferedAmountLowThreshold = 524_288
      const start = performance.now()
      for (let at = 0; at < bytes; at += size) {
        if (channel.bufferedAmount > 1_048_576) await new Promise((resolve) => { channel.onbufferedamountlow = resolve })
        channel.send(part)
      }
      channel.send('all')
      const count = await heard()
      if (count !== String(bytes)) throw new Error(`${count} of ${bytes} bytes have come`)
      return performance.now() - start
    }, { bytes, size })
  }
}
