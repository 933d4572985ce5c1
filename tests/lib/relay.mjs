/**
 * A real relay process of our own: started on free ports with its own data folder, and stopped, killed, frozen, thawed
 * and restarted as a story wants. Only processes started here are ever signalled.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { openredBinary, temporaryFolder } from './workspace.mjs'
import { within } from './wait.mjs'

/** A release build starts in well under a second; a busy machine with two cores gets twenty. */
const START_MS = 20_000
/** The contract: drained and gone within five seconds; one more for the machine. */
const STOP_MS = 6_000
/** Lines of log kept for the report of a failure. */
const LOG_LINES = 400

const children = new Set()
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL')
})

/**
 * @typedef {object} RelayOptions
 * @property {string} [label] what the story calls it
 * @property {Array<Relay | string>} [bootstrap]
 * @property {string} [network]
 * @property {string} [data] data folder; a new temporary one by default
 * @property {string} [http] `host:port` of the one TCP port; a free one by default
 * @property {string[]} [args] further arguments
 * @property {string[]} [within] a command that runs the relay as its own last act, for another surrounding
 */

export class Relay {
  /** @type {import('node:child_process').ChildProcess} */ #child
  #log = []
  #frozen = false

  /** Panics in its log. Whatever strangers do, there is none. */
  panics = []

  /** @param {RelayOptions & { data: string }} options */
  constructor (options) {
    this.options = options
    this.label = options.label ?? 'relay'
  }

  /** @param {RelayOptions} [options] */
  static async start (options = {}) {
    const relay = new Relay({ ...options, data: options.data ?? await temporaryFolder('openred-relay-') })
    await relay.restart()
    return relay
  }

  /** Starts the process again, on the same data and the same port as before. */
  async restart () {
    if (this.running) throw new Error(`${this.label} runs already`)
    const { bootstrap = [], network, data, http = '127.0.0.1:0', args = [], within: surrounding = [] } = this.options
    const command = [
      'relay',
      '--http', this.http ?? http,
      '--metrics', '127.0.0.1:0',
      '--data', data,
      ...(network === undefined ? [] : ['--network', network]),
      ...bootstrap.flatMap((other) => ['--bootstrap', other.url ?? other]),
      ...args
    ]
    const [program, ...rest] = [...surrounding, openredBinary(), ...command]
    const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'], env: environment() })
    this.#child = child
    this.#frozen = false
    children.add(child)
    child.once('exit', () => children.delete(child))
    createInterface({ input: child.stderr }).on('line', (line) => this.#keep(line))
    const ready = await within(START_MS, readyLine(child), `${this.label} to print its ready line`)
      .catch((error) => {
        child.kill('SIGKILL')
        throw new Error(`${error.message}\n${this.log}`, { cause: error })
      })
    this.peerId = ready.peerId
    this.addresses = ready.addresses
    this.url = asUrl(ready.http)
    this.http = new URL(this.url).host
    this.metricsUrl = ready.metrics === undefined ? undefined : new URL('/metrics', asUrl(ready.metrics)).href
    return this
  }

  /** The address of the npm package this relay serves. */
  get module () { return new URL('/npm/index.js', this.url).href }

  get running () { return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null }

  /** Its process. */
  get pid () { return this.#child.pid }

  /** The last lines of its log. */
  get log () { return this.#log.join('\n') }

  /** The multiaddr that contains `/name`, for example `ws` or `webrtc-direct`. */
  address (name) {
    const found = this.addresses.find((address) => address.split('/').includes(name))
    if (found === undefined) throw new Error(`${this.label} has no /${name} address among ${this.addresses.join(', ')}`)
    return found
  }

  /** Its WebSocket multiaddr, as written in bootstrap.json. */
  get webSocket () { return this.addresses.find((address) => address.includes('/ws')) ?? this.address('ws') }

  async bootstrapJson () {
    const answer = await fetch(new URL('/bootstrap.json', this.url), { signal: AbortSignal.timeout(5_000) })
    return answer.json()
  }

  async metrics () {
    const answer = await fetch(this.metricsUrl, { signal: AbortSignal.timeout(5_000) })
    return answer.text()
  }

  /** SIGKILL: no farewell. */
  async kill () { return this.#signalAndWait('SIGKILL') }

  /** SIGTERM: drains, and must end by itself. Gives the exit code. */
  async stop () { return this.#signalAndWait('SIGTERM') }

  /** SIGSTOP: the process is silent, its sockets stay open. */
  freeze () {
    this.#child.kill('SIGSTOP')
    this.#frozen = true
  }

  /** SIGCONT. */
  thaw () {
    this.#child.kill('SIGCONT')
    this.#frozen = false
  }

  /** Ends the process whatever state it is in. */
  async end () {
    if (!this.running) return
    if (this.#frozen) this.thaw()
    await this.kill()
  }

  async #signalAndWait (signal) {
    if (!this.running) return this.#child?.exitCode
    const exit = once(this.#child, 'exit')
    this.#child.kill(signal)
    const [code] = await within(STOP_MS, exit, `${this.label} to end after ${signal}`)
    return code
  }

  #keep (line) {
    this.#log.push(line)
    if (line.includes('panicked at')) this.panics.push(line)
    if (this.#log.length > LOG_LINES) this.#log.shift()
  }
}

/** The caller's environment without OPENRED_ options, which would change what is under test; only the log may be chosen. */
export function environment () {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith('OPENRED_'))
  return { RUST_BACKTRACE: '1', ...Object.fromEntries(kept), OPENRED_LOG: process.env.OPENRED_LOG ?? 'info' }
}

/** The first line on standard output, which a relay prints when it is ready. */
function readyLine (child) {
  return new Promise((resolve, reject) => {
    const lines = createInterface({ input: child.stdout })
    lines.once('line', (line) => {
      try {
        resolve(JSON.parse(line))
      } catch {
        reject(new Error(`the first line on standard output is not JSON: ${line}`))
      }
    })
    child.once('error', reject)
    child.once('exit', (code, signal) => reject(new Error(`ended before it was ready (${code ?? signal})`)))
  })
}

function asUrl (address) {
  return new URL(address.includes('://') ? address : `http://${address}`).href
}
