/**
 * A stream that one tab uses and another tab's node carries.
 *
 * Each direction has a window: at most `WINDOW_BYTES` are under way between the tabs, and what has been taken at the other
 * end gives the window back. In the leading tab `carry` moves bytes between the node's stream and the link; in the
 * follower `FarStream` is what its readers and writers see.
 */

import type { RawStream } from '../binding.js'
import type { Path } from '../types.js'
import { WINDOW_BYTES, type Failure, type StreamInfo, type StreamMessage } from './messages.js'

type Send = (message: StreamMessage) => void

const CHUNK_BYTES = 64 * 1024

/** Wakes whoever waits for something to change. */
class Change {
  #waiting: (() => void)[] = []

  next(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  tell(): void {
    for (const wake of this.#waiting.splice(0)) wake()
  }
}

/** What stands for the node's stream in the leading tab. */
export interface Carrier {
  receive(message: StreamMessage): void
  /** The follower is gone. */
  drop(): void
}

/** Carries the node's stream `raw` to a follower; `done` is called when nothing moves any more. */
export function carry(stream: number, raw: RawStream, send: Send, done: () => void): Carrier {
  /** Nothing is read before the follower gives its first window: it has its end of the stream by then. */
  let window = 0
  let open = 2
  let over = false
  const room = new Change()
  /** Writes go one after the other; the window bounds how many wait. */
  let writing: Promise<void> = Promise.resolve()
  let deaf = false

  const end = (): void => {
    if (over) return
    over = true
    room.tell()
    done()
  }
  const sideEnded = (): void => {
    open -= 1
    if (open === 0) end()
  }
  const reading = async (): Promise<void> => {
    try {
      for (;;) {
        while (window <= 0 && !over) await room.next()
        if (over) return
        const bytes = await raw.read(Math.min(window, CHUNK_BYTES))
        if (over) return
        if (!bytes) break
        window -= bytes.length
        send({ kind: 'data', stream, bytes: whole(bytes) })
      }
      send({ kind: 'finish', stream })
      sideEnded()
    } catch (thrown) {
      if (over) return
      send({ kind: 'reset', stream, failure: failureOf(thrown) })
      end()
    }
  }
  const inTurn = (step: () => Promise<void>): void => {
    writing = writing.then(step).catch((thrown: unknown) => {
      if (deaf || over) return
      deaf = true
      send({ kind: 'deaf', stream, failure: failureOf(thrown) })
      sideEnded()
    })
  }
  void reading()

  return {
    receive(message) {
      if (over) return
      if (message.kind === 'data') {
        const { bytes } = message
        inTurn(async () => {
          if (deaf) return
          await raw.write(bytes)
          send({ kind: 'taken', stream, count: bytes.length })
        })
      } else if (message.kind === 'taken') {
        window += message.count
        room.tell()
      } else if (message.kind === 'finish') {
        inTurn(async () => {
          if (deaf) return
          await raw.finish()
          send({ kind: 'finished', stream })
          sideEnded()
        })
      } else if (message.kind === 'reset') this.drop()
    },
    drop() {
      if (over) return
      end()
      raw.reset()
    },
  }
}

/** The follower's end. */
export class FarStream implements RawStream {
  readonly name: string
  readonly remotePeer: string
  readonly path: Path
  readonly #stream: number
  readonly #send: Send
  readonly #done: () => void
  readonly #arrived = new Change()
  readonly #room = new Change()
  #unread: Uint8Array[] = []
  #window = WINDOW_BYTES
  #remoteFinished = false
  #finish: 'no' | 'asked' | 'done' = 'no'
  /** Why nothing can be read or written. */
  #gone: Failure | undefined
  #deaf: Failure | undefined

  /** `done` is called when no message of this stream is awaited any more. */
  constructor(info: StreamInfo, send: Send, done: () => void) {
    this.#stream = info.stream
    this.name = info.name
    this.remotePeer = info.remotePeer
    this.path = info.path
    this.#send = send
    this.#done = done
    send({ kind: 'taken', stream: this.#stream, count: WINDOW_BYTES })
  }

  async read(max: number): Promise<Uint8Array | undefined> {
    while (this.#unread.length === 0 && !this.#remoteFinished && !this.#gone) await this.#arrived.next()
    const bytes = this.#unread.shift()
    if (!bytes) {
      if (this.#gone) throw this.#gone
      return undefined
    }
    if (bytes.length > max) this.#unread.unshift(bytes.subarray(max))
    const taken = bytes.subarray(0, max)
    if (!this.#gone) this.#send({ kind: 'taken', stream: this.#stream, count: taken.length })
    return taken
  }

  /** Resolves when the bytes are in the window. What fails later fails the next write. */
  async write(bytes: Uint8Array): Promise<void> {
    while (this.#window <= 0 && !this.#broken) await this.#room.next()
    if (this.#broken) throw this.#broken
    this.#window -= bytes.length
    this.#send({ kind: 'data', stream: this.#stream, bytes: whole(bytes) })
  }

  async finish(): Promise<void> {
    if (this.#broken) throw this.#broken
    if (this.#finish === 'no') {
      this.#finish = 'asked'
      this.#send({ kind: 'finish', stream: this.#stream })
    }
    while (this.#finish !== 'done' && !this.#broken) await this.#room.next()
    if (this.#broken) throw this.#broken
  }

  reset(): void {
    if (this.#gone) return
    this.#send({ kind: 'reset', stream: this.#stream })
    this.lose({ code: 'STREAM_RESET', message: 'the stream was reset' })
  }

  receive(message: StreamMessage): void {
    switch (message.kind) {
      case 'data':
        this.#unread.push(message.bytes)
        return this.#arrived.tell()
      case 'finish':
        this.#remoteFinished = true
        this.#arrived.tell()
        return this.#settle()
      case 'taken':
        this.#window += message.count
        return this.#room.tell()
      case 'finished':
        this.#finish = 'done'
        this.#room.tell()
        return this.#settle()
      case 'deaf':
        this.#deaf = message.failure
        this.#room.tell()
        return this.#settle()
      case 'reset':
        return this.lose(message.failure ?? { code: 'STREAM_RESET', message: 'the stream was reset' })
    }
  }

  /** The stream is gone, and what was not read of it too. */
  lose(failure: Failure): void {
    if (this.#gone) return
    this.#gone = failure
    this.#unread = []
    this.#arrived.tell()
    this.#room.tell()
    this.#done()
  }

  get #broken(): Failure | undefined {
    return this.#gone ?? this.#deaf
  }

  #settle(): void {
    if (this.#remoteFinished && (this.#finish === 'done' || this.#deaf)) this.#done()
  }
}

/** Cloning a part of a buffer would clone the whole buffer. */
function whole(bytes: Uint8Array): Uint8Array {
  return bytes.byteLength === bytes.buffer.byteLength ? bytes : bytes.slice()
}

function failureOf(thrown: unknown): Failure {
  if (typeof thrown === 'object' && thrown !== null && 'code' in thrown && 'message' in thrown) {
    return { code: String(thrown.code) as Failure['code'], message: String(thrown.message) }
  }
  return { code: 'STREAM_RESET', message: String(thrown) }
}
