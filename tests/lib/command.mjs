/** The short-lived commands of the binary, run as a person at a terminal runs them. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { environment } from './relay.mjs'
import { within } from './wait.mjs'
import { openredBinary } from './workspace.mjs'

const COMMAND_MS = 20_000
const running = new Set()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** One run of `openred`. */
export class Command {
  #child
  #exit
  #lines = []
  #wakers = new Set()
  stdout = ''
  stderr = ''

  /** @param {string[]} args */
  constructor (args) {
    this.args = args
    this.#child = spawn(openredBinary(), args, { stdio: 'pipe', env: { ...environment(), OPENRED_LOG: 'warn' } })
    running.add(this.#child)
    this.#exit = once(this.#child, 'close').then(([code, signal]) => {
      running.delete(this.#child)
      return code ?? signal
    })
    this.#child.stdin.on('error', () => {})
    this.#child.stdout.setEncoding('utf8').on('data', (text) => { this.stdout += text })
    this.#child.stderr.setEncoding('utf8').on('data', (text) => { this.stderr += text })
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      this.#lines.push(line)
      for (const wake of this.#wakers) wake()
    })
  }

  /** Resolves with the next line on standard output that was not taken before. */
  async line (ms = COMMAND_MS) {
    if (this.#lines.length === 0) {
      const next = new Promise((resolve) => this.#wakers.add(resolve))
      await within(ms, next, `a line from openred ${this.args.join(' ')}; standard error: ${this.stderr}`)
    }
    return this.#lines.shift()
  }

  /** Writes to its standard input, and ends it unless `more` is to come. */
  say (text, { more = false } = {}) {
    this.#child.stdin.write(text)
    if (!more) this.#child.stdin.end()
  }

  interrupt () { this.#child.kill('SIGINT') }

  /** Waits for its end: `{ code, stdout, stderr }`. */
  async ends (ms = COMMAND_MS) {
    const code = await within(ms, this.#exit, `the end of openred ${this.args.join(' ')}; standard error: ${this.stderr}`)
    return { code, stdout: this.stdout, stderr: this.stderr }
  }

  /** Ends it whatever it does. */
  async end () {
    if (!running.has(this.#child)) return
    this.#child.kill('SIGKILL')
    await this.#exit
  }
}

/** Runs a command to its end. */
export async function openred (...args) {
  const command = new Command(args)
  try {
    return await command.ends()
  } finally {
    await command.end()
  }
}
