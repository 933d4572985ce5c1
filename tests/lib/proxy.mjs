/**
 * A TCP proxy on loopback, the road to a relay: it makes the road long, and it can lose what travels on it without a word,
 * as a sleeping machine or a network that was left does.
 */
import { once } from 'node:events'
import { connect, createServer } from 'node:net'

export class Proxy {
  #server
  #delayMs
  /** @type {Set<Road>} */ #roads = new Set()
  #target
  #silent = false

  /** @param {{ delayMs?: number }} [options] `delayMs`: how much later everything arrives, in each direction */
  static async start ({ delayMs = 0 } = {}) {
    const proxy = new Proxy()
    proxy.#delayMs = delayMs
    proxy.#server = createServer((near) => proxy.#travel(near))
    proxy.#server.listen(0, '127.0.0.1')
    await once(proxy.#server, 'listening')
    return proxy
  }

  get port () { return this.#server.address().port }
  get url () { return `http://127.0.0.1:${this.port}/` }
  /** The multiaddr for a relay to announce. */
  get address () { return `/ip4/127.0.0.1/tcp/${this.port}/ws` }

  /** Leads to the relay at `host:port` from here on. */
  lead (host) {
    const { hostname, port } = new URL(`http://${host}`)
    this.#target = { host: hostname, port: Number(port) }
  }

  /** Everything on its way is lost and nothing ends; who comes meanwhile waits for nothing. */
  fallSilent () {
    this.#silent = true
    for (const road of this.#roads) road.lost = true
  }

  /** New connections work again. The old ones stay silent for ever: part of what was said on them is missing. */
  speakAgain () { this.#silent = false }

  async end () {
    for (const { near, far } of this.#roads) {
      near.destroy()
      far?.destroy()
    }
    this.#server.close()
    await once(this.#server, 'close')
  }

  #travel (near) {
    const road = { near, far: undefined, lost: this.#silent }
    this.#roads.add(road)
    near.setNoDelay(true).on('error', () => {})
    if (!road.lost && this.#target !== undefined) {
      road.far = connect(this.#target)
      road.far.setNoDelay(true).on('error', () => near.destroy())
      this.#carry(road, near, road.far)
      this.#carry(road, road.far, near)
    }
    near.on('close', () => {
      this.#roads.delete(road)
      // The far side of a silent road learns nothing.
      if (!road.lost) this.#later(() => road.far?.destroy())
    })
    road.far?.on('close', () => {
      if (!road.lost) this.#later(() => near.destroy())
    })
  }

  #carry (road, from, to) {
    const unlessLost = (action) => this.#later(() => { if (!road.lost) action() })
    from.on('data', (bytes) => unlessLost(() => to.write(bytes)))
    from.on('end', () => unlessLost(() => to.end()))
  }

  #later (action) {
    if (this.#delayMs === 0) action()
    else setTimeout(action, this.#delayMs)
  }
}

/** @typedef {{ near: import('node:net').Socket, far?: import('node:net').Socket, lost: boolean }} Road */
