/**
 * What pages say to each other in a chat room: one JSON object a line. The host fans out what it hears.
 *
 * Everything heard is checked before it is used: a line has at most 16 KiB, a text at most 2 000 characters.
 */

import type { Path, ServiceStream } from '../../src/index.js'

export const MAX_TEXT = 2_000
const MAX_LINE_BYTES = 16 * 1024
/** Lines that wait for a slow listener before the room lets go of it. A guess. */
const MAX_WAITING = 64

/** From a guest to the host. */
export interface ToHost {
  text: string
}

/** A message as the host passes it on. `from` is the peer id that the host's connection proved. */
export interface Told {
  kind: 'message'
  /** Counts up within one room. */
  id: number
  from: string
  text: string
  at: number
}

/** From the host to a guest. */
export type ToGuest =
  | { kind: 'welcome'; /** Another one after the host opened the room anew. */ room: string; members: number }
  | { kind: 'members'; members: number }
  | { kind: 'full' | 'over' | 'slow' }
  | Told

export interface Member {
  peerId: string
  path: Path
}

export function isToHost(value: unknown): value is ToHost {
  return isObject(value) && isText(value['text'])
}

export function isToGuest(value: unknown): value is ToGuest {
  if (!isObject(value)) return false
  switch (value['kind']) {
    case 'welcome':
      return typeof value['room'] === 'string' && typeof value['members'] === 'number'
    case 'members':
      return typeof value['members'] === 'number'
    case 'full':
    case 'over':
    case 'slow':
      return true
    case 'message':
      return typeof value['id'] === 'number' && typeof value['from'] === 'string' && isText(value['text']) && typeof value['at'] === 'number'
    default:
      return false
  }
}

function isObject(value: unknown): value is { [key: string]: unknown } {
  return typeof value === 'object' && value !== null
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value.trim() !== '' && value.length <= MAX_TEXT
}

/** The objects that come in until the other side ends. Throws at a line that is too long or no JSON. */
export async function* hear(readable: ReadableStream<Uint8Array>): AsyncGenerator<unknown, void> {
  const reader = readable.getReader()
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let rest = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    const lines = (rest + decoder.decode(value, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    if (rest.length > MAX_LINE_BYTES) throw new Error('the other side sent a line that is too long')
    for (const line of lines) yield JSON.parse(line)
  }
}

/** Says objects in order, without waiting for a slow listener: one who does not keep up is let go. */
export class Speaker<T> {
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>
  readonly #stream: ServiceStream
  #waiting = 0

  constructor(stream: ServiceStream) {
    this.#stream = stream
    this.#writer = stream.writable.getWriter()
    // Its end is heard by whoever reads the stream.
    this.#writer.closed.catch(() => {})
  }

  say(value: T): void {
    if (this.#waiting >= MAX_WAITING) {
      this.#stream.abort(new Error('too slow'))
      return
    }
    this.#waiting += 1
    this.#writer.write(new TextEncoder().encode(`${JSON.stringify(value)}\n`)).then(
      () => (this.#waiting -= 1),
      () => {},
    )
  }

  /** Ends the saying after what was said. */
  end(): void {
    this.#writer.close().catch(() => {})
  }
}
