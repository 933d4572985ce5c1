/**
 * Two pages that meet through one relay, each running OpenRed or js-libp2p: the guest joins anew for every meeting, opens an
 * echo of the host over the relay, and waits for a direct path.
 */
import { jsHost, jsPage } from './js-pages.mjs'

/** The kinds of pairs: who asks, and who is asked. */
export const PAIRS = {
  'OpenRed': { guest: 'openred', host: 'openred' },
  'js-libp2p': { guest: 'jsLibp2p', host: 'jsLibp2p' },
  'OpenRed to js-libp2p': { guest: 'openred', host: 'jsLibp2p' },
  'js-libp2p to OpenRed': { guest: 'jsLibp2p', host: 'openred' }
}

/** How long after the relayed stream a pair may take to be direct. */
export const END_MS = 10_000

/** What a meeting may take in all, the joining included. */
const MEETING_MS = 30_000

/** The protocol of services, and the name under which hosts echo. */
const SERVICE = '/openred/main/stream/1.0.0'
let names = 0

export class Pair {
  #pages
  #meet

  constructor (pages, meet) {
    this.#pages = pages
    this.#meet = meet
  }

  /** Opens both pages; the host offers its echo. */
  static async of (world, relay, { guest, host }) {
    const name = `echo-${names++}`
    const [hosting, asking] = [await openHost[host](world, relay, name), await openPage[guest](world, relay)]
    const arguments_ = { name, peer: hosting.peer, relay: relay.webSocket, url: relay.url, module: relay.module, service: SERVICE, endMs: END_MS }
    return new Pair([hosting.page, asking], () => asking.evaluate(meeting[guest], arguments_))
  }

  /** One meeting: `{ relayedMs, upgradeMs }`, or `{ reason }` in the place of what did not come about. */
  async meet () {
    const late = new Promise((resolve) => setTimeout(resolve, MEETING_MS, { reason: 'the meeting took too long' }).unref())
    return Promise.race([this.#meet(), late])
  }

  /** Closes both pages. */
  async part () {
    await Promise.all(this.#pages.map((page) => page.end()))
  }
}

const openPage = {
  openred: (world) => world.blankPage(),
  jsLibp2p: (world) => jsPage(world)
}

const openHost = {
  async openred (world, relay, name) {
    const page = await world.member([relay], { join: { memory: 'none' } })
    const peer = await page.evaluate(async (name) => {
      node.handle(name, (stream) => stream.readable.pipeTo(stream.writable))
      await node.provide({ name })
      return node.peerId
    }, name)
    return { page, peer }
  },

  async jsLibp2p (world, relay, name) {
    const page = await jsHost(world, relay)
    const peer = await page.evaluate(async ({ name, relay }) => {
      await js.serveServices(node, async ({ stream, reader }) => {
        for (let bytes = await reader.next(); bytes !== undefined; bytes = await reader.next()) stream.send(bytes)
        await stream.close()
      })
      await js.knowsPeers(node, 1)
      const endpoints = [circuit, `${relay}/p2p-circuit/webrtc/p2p/${identity.id}`]
      const record = await js.signedRecord(identity, { name, endpoints })
      for await (const event of node.services.dht.put(js.serviceKey(name), js.bundle(record))) {
        if (event.name === 'QUERY_ERROR') throw event.error
      }
      return identity.id
    }, { name, relay: relay.webSocket })
    return { page, peer }
  }
}

/** Run in the guest's page. */
const meeting = {
  async openred ({ name, peer, url, module, endMs }) {
    globalThis.OpenRed ??= (await import(module)).OpenRed
    const node = await OpenRed.join({ relays: [url], memory: 'none' })
    const speak = async () => {
      const stream = await node.open(name)
      const writer = stream.writable.getWriter()
      await writer.write(new Uint8Array([1]))
      await writer.close()
      await story.readAll(stream.readable)
      return stream.path
    }
    const isDirect = () => node.peers().find(({ peerId }) => peerId === peer)?.path === 'direct'
    const becomesDirect = async () => {
      const events = node.events()
      if (isDirect()) return
      for await (const event of events) if (event.type === 'peer:path' && event.peerId === peer && event.path === 'direct') return
    }
    try {
      const start = performance.now()
      await speak()
      const relayedMs = performance.now() - start
      const { message } = await story.outcome(() => story.within(endMs, becomesDirect(), 'direct'))
      if (message !== undefined) {
        const { code, reason, notDirect = { code, reason } } = await node.explain(peer)
        return { relayedMs, reason: `${notDirect.code}: ${notDirect.reason}` }
      }
      const upgradeMs = performance.now() - start - relayedMs
      const path = await speak()
      const { transport } = node.peers().find(({ peerId }) => peerId === peer)
      if (path !== 'direct' || transport !== 'webrtc') return { relayedMs, reason: `a new stream is ${path}, over ${transport}` }
      return { relayedMs, upgradeMs }
    } catch (error) {
      return { reason: error.message }
    } finally {
      await node.close()
    }
  },

  async jsLibp2p ({ name, peer, relay, service, endMs }) {
    const transports = [js.webRTC({ rtcConfiguration: { iceServers: [] } })]
    const node = await js.createNode({ transports })
    const speak = async (address) => {
      const { stream, reader, status } = await js.openService(node, address, name)
      if (status !== 0) throw new Error(`the provider answered with status ${status}`)
      stream.send(new Uint8Array([1]))
      await stream.close()
      await reader.all()
    }
    try {
      await js.dialAndIdentify(node, relay)
      const start = performance.now()
      await speak(`${relay}/p2p-circuit/p2p/${peer}`)
      const relayedMs = performance.now() - start
      const { value, message } = await story.outcome(() => js.dialAndIdentify(node, `${relay}/p2p-circuit/webrtc/p2p/${peer}`, AbortSignal.timeout(endMs)))
      if (message !== undefined) return { relayedMs, reason: message }
      if (value.connection.limits !== undefined) return { relayedMs, reason: 'the connection is relayed' }
      const stream = await value.connection.newStream(service)
      stream.abort(new Error('enough'))
      return { relayedMs, upgradeMs: value.dialMs }
    } catch (error) {
      return { reason: error.message }
    } finally {
      await node.stop()
    }
  }
}
