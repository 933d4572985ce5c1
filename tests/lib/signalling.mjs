/**
 * The conversation of `/webrtc-signaling/0.0.1`, spoken by hand over js-libp2p, so that it can be spoken wrongly. Runs in
 * a page.
 */
import { concat, field, frame, utf8, valuesOf, varint } from './protobuf.mjs'
import { openStream, serveProtocol } from './js-libp2p.mjs'
import { StreamReader } from './service-stream.mjs'

const PROTOCOL = '/webrtc-signaling/0.0.1'
const KINDS = ['offer', 'answer', 'candidate']

class Conversation {
  #reader

  constructor (stream) {
    this.stream = stream
    this.#reader = new StreamReader(stream)
  }

  /** @param {'offer' | 'answer' | 'candidate'} kind */
  say (kind, data) {
    // The type is written although it may be the default, as both implementations want it.
    this.stream.send(frame(concat(varint(1 << 3), varint(KINDS.indexOf(kind)), field(2, utf8(data)))))
  }

  /** The next message as `{ kind, data }`, or undefined at the end. */
  async hear () {
    const message = await this.#reader.frame()
    if (message === undefined) return undefined
    const [kind = 0] = valuesOf(message, 1)
    return { kind: KINDS[kind], data: new TextDecoder().decode(valuesOf(message, 2)[0]) }
  }
}

/** Begins a conversation with the peer at the relayed address `circuit`. */
export async function converse (node, circuit) {
  return new Conversation(await openStream(node, circuit, PROTOCOL))
}

/** Has `answer` called with each conversation that another begins. */
export async function answerConversations (node, answer) {
  await serveProtocol(node, PROTOCOL, (stream) => answer(new Conversation(stream)))
}

/** A peer connection with one data channel, and the description of it: what an offer is made of. */
export async function newOffer () {
  const connection = new RTCPeerConnection()
  connection.createDataChannel('init')
  await connection.setLocalDescription()
  return { connection, sdp: connection.localDescription.sdp }
}
