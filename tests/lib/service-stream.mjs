/**
 * OpenRed's stream protocol and kad's exchange of frames, spoken by js-libp2p from the wire contract alone. Runs in
 * Node.js and, bundled, in a page.
 */
import { concat, field, frame, readVarint, utf8, valuesOf } from './protobuf.mjs'
import { openStream, serveProtocol } from './js-libp2p.mjs'

/** Reads frames and bytes from a js-libp2p stream. */
export class StreamReader {
  #chunks
  #rest = new Uint8Array()

  constructor (stream) {
    this.#chunks = stream[Symbol.asyncIterator]()
  }

  /** The next chunk, or undefined at the end. */
  async next () {
    if (this.#rest.length > 0) {
      const rest = this.#rest
      this.#rest = new Uint8Array()
      return rest
    }
    const { done, value } = await this.#chunks.next()
    return done ? undefined : value.subarray()
  }

  /** The next frame's content, or undefined at the end. */
  async frame () {
    for (;;) {
      const whole = takeFrame(this.#rest)
      if (whole !== undefined) {
        this.#rest = whole.rest
        return whole.content
      }
      const { done, value } = await this.#chunks.next()
      if (done) return undefined
      this.#rest = concat(this.#rest, value.subarray())
    }
  }

  /** Everything up to the end. */
  async all () {
    const parts = []
    for (let chunk = await this.next(); chunk !== undefined; chunk = await this.next()) parts.push(chunk)
    return concat(...parts)
  }
}

function takeFrame (bytes) {
  let length, prefix
  try {
    [length, prefix] = readVarint(bytes)
  } catch {
    return undefined
  }
  if (bytes.length < prefix + length) return undefined
  return { content: bytes.subarray(prefix, prefix + length), rest: bytes.subarray(prefix + length) }
}

/** Sends all of `bytes`, waiting whenever the stream is full. */
export async function sendAll (stream, bytes, chunk = 65_536) {
  for (let at = 0; at < bytes.length; at += chunk) {
    if (!stream.send(bytes.subarray(at, at + chunk))) await stream.onDrain()
  }
}

/** Opens the service `name` of the peer at `address`: gives the stream and its reader once the provider has answered. */
export async function openService (node, address, name, { network = 'main', signal } = {}) {
  const stream = await openStream(node, address, `/openred/${network}/stream/1.0.0`, signal)
  const reader = new StreamReader(stream)
  stream.send(frame(field(1, utf8(name))))
  const answer = await reader.frame()
  if (answer === undefined) throw new Error('the provider ended the stream without an answer')
  const status = valuesOf(answer, 1)[0] ?? 0
  return { stream, reader, status }
}

/** Sends one text to the service and gives all it answers. */
export async function askService (node, address, name, text, options) {
  const { stream, reader, status } = await openService(node, address, name, options)
  if (status !== 0) throw new Error(`the provider answered with status ${status}`)
  stream.send(utf8(text))
  await stream.close()
  return new TextDecoder().decode(await reader.all())
}

/** Serves every name: each stream is accepted, and `answer` is given it with its name and its reader. */
export async function serveServices (node, answer, { network = 'main' } = {}) {
  await serveProtocol(node, `/openred/${network}/stream/1.0.0`, async (stream) => {
    const reader = new StreamReader(stream)
    const [name] = valuesOf(await reader.frame(), 1)
    stream.send(frame(new Uint8Array()))
    await answer({ name: new TextDecoder().decode(name), stream, reader })
  })
}
