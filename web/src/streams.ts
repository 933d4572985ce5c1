/**
 * A raw stream as a pair of WHATWG streams.
 *
 * Nothing is read ahead: the wasm side is asked for bytes only when a reader wants some, and a write resolves only
 * when the transport has taken it, so that a slow reader holds back the writer at the other end of the network.
 *
 * The two directions fail differently. A failed read means that the stream is gone, both ways. A failed write does not
 * touch reading: the other side may have answered and left, and its answer can still be read.
 */

import type { RawStream } from './binding.js'
import type { Calls } from './calls.js'
import { asyncDispose } from './dispose.js'
import { OpenRedError } from './errors.js'
import type { Path, ServiceStream } from './types.js'

/** Most bytes that cross into or out of the wasm memory at once. A larger write is cut into such pieces. */
export const CHUNK_BYTES = 64 * 1024

/** How long a disposed stream waits for the other side's end, in ms. */
const GRACE_MS = 5_000

export function serviceStream(raw: RawStream, calls: Calls): ServiceStream {
  return new Stream(raw, calls)
}

class Stream implements ServiceStream {
  readonly name: string
  readonly remotePeer: string
  readonly path: Path
  readonly readable: ReadableStream<Uint8Array>
  readonly writable: WritableStream<Uint8Array>
  readonly #raw: RawStream
  readonly #calls: Calls
  readonly #forget: () => void
  #reading!: ReadableStreamDefaultController<Uint8Array>
  #writing!: WritableStreamDefaultController
  /** Settles with the write under way. */
  #written: Promise<void> = Promise.resolve()
  #finished: Promise<void> | undefined
  #readEnded = false
  #writeEnded = false
  /** Why nothing goes through any more: an error, or both directions have ended well. */
  #over: OpenRedError | 'ended' | undefined

  constructor(raw: RawStream, calls: Calls) {
    this.#raw = raw
    this.#calls = calls
    this.name = raw.name
    this.remotePeer = raw.remotePeer
    this.path = raw.path
    this.readable = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#reading = controller
        },
        pull: () => this.#pull(),
        cancel: (reason) => this.abort(reason),
      },
      { highWaterMark: 0 },
    )
    this.writable = new WritableStream<Uint8Array>({
      start: (controller) => {
        this.#writing = controller
      },
      write: (bytes) => {
        this.#written = this.#write(bytes)
        return this.#written
      },
      close: () => this.#finish(),
      abort: (reason) => this.abort(reason),
    })
    this.#forget = calls.onEnd((error) => this.#fail(error))
  }

  async close(): Promise<void> {
    if (this.#finished) return this.#finished
    if (this.#over instanceof OpenRedError) throw this.#over
    if (!this.writable.locked) return this.writable.close()
    // A writer holds the lock. What it has queued is written first; each piece starts when the one before is done.
    let seen: Promise<void>
    do {
      seen = this.#written
      await seen
      await new Promise((resolve) => setTimeout(resolve))
    } while (seen !== this.#written)
    return this.#finish()
  }

  abort(reason?: unknown): void {
    if (this.#over) return
    this.#fail(new OpenRedError('ABORTED', 'the stream was aborted on this side', { cause: reason }))
    if (!this.#calls.ended) this.#raw.reset()
  }

  async [asyncDispose](): Promise<void> {
    await this.close().catch(() => {})
    if (this.#readEnded || this.#over) return
    if (this.readable.locked) return this.abort()
    const impatience = setTimeout(() => this.abort(), GRACE_MS)
    await this.readable.pipeTo(new WritableStream()).catch(() => {})
    clearTimeout(impatience)
  }

  async #pull(): Promise<void> {
    try {
      const bytes = await this.#calls.run(() => this.#raw.read(CHUNK_BYTES))
      if (this.#over) return
      if (bytes) {
        this.#reading.enqueue(bytes)
        return
      }
      this.#readEnded = true
      this.#reading.close()
      this.#settleIfDone()
    } catch (error) {
      this.#fail(error as OpenRedError)
    }
  }

  async #write(bytes: unknown): Promise<void> {
    if (this.#finished) throw new OpenRedError('CLOSED', 'this side of the stream has ended its writing')
    if (!(bytes instanceof Uint8Array)) {
      const error = new OpenRedError('INVALID_OPTION', `a stream takes Uint8Array chunks, not ${typeof bytes}`)
      this.abort(error)
      throw error
    }
    for (let start = 0; start < bytes.byteLength; start += CHUNK_BYTES) {
      const piece = bytes.subarray(start, start + CHUNK_BYTES)
      await this.#calls.run(() => this.#raw.write(piece))
    }
  }

  #finish(): Promise<void> {
    this.#finished ??= this.#calls
      .run(() => this.#raw.finish())
      .then(() => {
        this.#writeEnded = true
        this.#settleIfDone()
      })
    return this.#finished
  }

  #settleIfDone(): void {
    if (!this.#readEnded || !this.#writeEnded || this.#over) return
    this.#over = 'ended'
    this.#forget()
  }

  #fail(error: OpenRedError): void {
    if (this.#over) return
    this.#over = error
    this.#forget()
    this.#reading.error(error)
    this.#writing.error(error)
  }
}
