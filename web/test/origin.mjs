/**
 * One origin of a browser with several tabs: Web Locks, BroadcastChannel and IndexedDB in memory.
 *
 * A tab can crash (its locks are free, it says and hears nothing more) and stand still (it hears nothing until it goes on, and
 * keeps its locks). Messages between tabs can be lost or come twice. Timers are the test's own.
 */
import { mock } from 'node:test'
import { join as joinTab } from '../node_modules/.cache/unit/join.mjs'
import { fake, OpenRed, wasm } from './world.mjs'
import { Database } from './database.mjs'

/** Lets everything run that waits for nothing but its turn. */
export async function turns (count = 40) {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** Lets so many ms pass, a few at a time. */
export async function pass (ms) {
  for (let passed = 0; passed < ms; passed += 100) {
    mock.timers.tick(100)
    await turns(4)
  }
}

/** From here on time passes by `pass` alone. */
export function holdTime () {
  mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'], now: Date.now() })
}

export class Origin {
  indexedDB = new Database()
  #locks = new Map()
  #channels = new Map()
  /** Gives how often a message is delivered. */
  deliver = () => 1

  tab () { return new Tab(this) }

  /** Opens a tab and joins in it. */
  async open (options = {}) {
    const tab = this.tab()
    await tab.join(options)
    return tab
  }

  lock (name) {
    if (!this.#locks.has(name)) this.#locks.set(name, { holder: undefined, queue: [] })
    return this.#locks.get(name)
  }

  channelsOf (name) {
    if (!this.#channels.has(name)) this.#channels.set(name, new Set())
    return this.#channels.get(name)
  }

  grant (lock) {
    setImmediate(() => {
      if (lock.holder || lock.queue.length === 0) return
      const request = lock.queue.shift()
      lock.holder = request
      request.run()
    })
  }

  /** Whatever a tab that is no more held or waited for. */
  forget (tab) {
    for (const lock of this.#locks.values()) {
      lock.queue = lock.queue.filter((request) => request.tab !== tab)
      if (lock.holder?.tab === tab) lock.holder = undefined
      this.grant(lock)
    }
    for (const channels of this.#channels.values()) for (const channel of channels) if (channel.tab === tab) channels.delete(channel)
  }
}

class Tab {
  dead = false
  events = []
  #still = false
  #waiting = []

  constructor (origin) {
    this.origin = origin
    const locks = { request: (...parts) => this.#request(...parts) }
    this.platform = { indexedDB: origin.indexedDB, share: { locks, channel: (name) => this.#channel(name) } }
  }

  async join (options = {}) {
    const { onEvent } = options
    const heard = (event) => {
      this.events.push(event)
      onEvent?.(event)
    }
    globalThis.indexedDB = this.origin.indexedDB
    const joined = await joinTab({ relays: ['relay.test:443'], wasm, identity: 'persistent', ...options, onEvent: heard }, this.platform)
    /** What the package's own parts see of the node. */
    this.raw = joined.raw
    this.node = new OpenRed(joined)
    return this.node
  }

  /** The states that were told. */
  get states () { return this.events.filter(({ type }) => type === 'status').map(({ state }) => state) }

  crash () {
    this.dead = true
    // What ran in it is gone without a word.
    if (this.node?.tab === 'leading') for (const node of fake.nodes) if (node.id === this.node.peerId) node.abandon()
    this.origin.forget(this)
  }

  standStill () { this.#still = true }

  goOn () {
    this.#still = false
    for (const action of this.#waiting.splice(0)) setImmediate(action)
  }

  /** Runs `action` in this tab when it can. */
  run (action) {
    if (this.dead) return
    if (this.#still) this.#waiting.push(action)
    else action()
  }

  #request (name, options, callback) {
    if (callback === undefined) [options, callback] = [{}, options]
    const lock = this.origin.lock(name)
    if (options.signal?.aborted) return Promise.reject(options.signal.reason)
    return new Promise((resolve, reject) => {
      const request = { tab: this, reject }
      const released = () => {
        if (lock.holder !== request) return
        lock.holder = undefined
        this.origin.grant(lock)
      }
      request.run = () => this.run(() => {
        Promise.resolve()
          .then(() => callback({ name }))
          .then((value) => {
            released()
            resolve(value)
          }, (error) => {
            released()
            reject(error)
          })
      })
      if (options.ifAvailable && (lock.holder || lock.queue.length > 0)) {
        return setImmediate(() => Promise.resolve(callback(null)).then(resolve, reject))
      }
      if (options.steal) {
        const victim = lock.holder
        lock.holder = undefined
        lock.queue.unshift(request)
        victim?.tab.run(() => victim.reject(new DOMException('stolen', 'AbortError')))
      } else lock.queue.push(request)
      options.signal?.addEventListener('abort', () => {
        const at = lock.queue.indexOf(request)
        if (at < 0) return
        lock.queue.splice(at, 1)
        reject(options.signal.reason)
      })
      this.origin.grant(lock)
    })
  }

  #channel (name) {
    const channels = this.origin.channelsOf(name)
    const channel = {
      tab: this,
      onmessage: null,
      postMessage: (message) => {
        if (this.dead) return
        const copies = this.origin.deliver(message, name, this)
        for (const other of channels) {
          if (other === channel) continue
          for (let copy = 0; copy < copies; copy++) {
            const data = structuredClone(message)
            setImmediate(() => other.tab.run(() => other.onmessage?.({ data })))
          }
        }
      },
      close: () => channels.delete(channel),
    }
    channels.add(channel)
    return channel
  }
}
