/**
 * A chat room that another page runs. When the connection breaks, it calls the same host again a few times: streams
 * through a relay that dies end, and another relay may carry the next one.
 *
 * A running stream stays on its path, so a conversation that began through a relay moves to a new stream as soon as a direct
 * one can be had; the old one is ended after that.
 */

import { OpenRedError, type OpenRed, type ServiceStream, type Target } from '../../src/index.js'
import { whyRelayed } from '../path.js'
import { Room } from './room.js'
import { hear, isToGuest, Speaker, type ToGuest, type ToHost } from './wire.js'

/** Pauses before calling again, in ms. A relay's loss is noticed and another way found within 10 s. */
const CALL_AGAIN_MS = [300, 1_500, 4_000, 8_000]

/** Between two looks whether a relayed conversation could be a direct one, in ms. */
const LOOK_MS = 2_000

export class VisitedRoom extends Room {
  readonly hosting = false
  readonly host: string
  readonly #node: OpenRed
  #stream: ServiceStream
  #speaker: Speaker<ToHost>
  #left = false
  #moving = false
  #session: string | undefined
  #lastId = 0

  private constructor(node: OpenRed, stream: ServiceStream) {
    super(stream.name)
    this.#node = node
    this.host = stream.remotePeer
    this.#stream = stream
    this.#speaker = new Speaker(stream)
  }

  /** Rejects with the error of `open` when the room cannot be entered. */
  static async open(node: OpenRed, target: Target): Promise<VisitedRoom> {
    const room = new VisitedRoom(node, await node.open(target))
    void room.#stay()
    return room
  }

  say(text: string): void {
    this.#speaker.say({ text })
  }

  async leave(): Promise<void> {
    this.#left = true
    this.state = 'over'
    this.#speaker.end()
    this.changed()
    await this.#stream[Symbol.asyncDispose]().catch(() => {})
  }

  /** Calls again after the room was over. */
  async again(): Promise<void> {
    await this.#call()
    void this.#stay()
  }

  async #stay(): Promise<void> {
    const looking = setInterval(() => this.#look(), LOOK_MS)
    try {
      for (;;) {
        const stream = this.#stream
        const broken = await this.#talk(stream)
        if (this.#left || this.state === 'over') return
        if (stream === this.#stream && !(await this.#callAgain(broken))) return
      }
    } finally {
      clearInterval(looking)
    }
  }

  /** Looks why the conversation is not direct, and makes it so once it can be. */
  #look(): void {
    // A node that has ended knows nothing more; the stream says so too.
    this.#seek().catch(() => {})
  }

  async #seek(): Promise<void> {
    if (this.state !== 'open' || this.path !== 'relayed' || this.#moving) return
    const direct = this.#node.peers().some((peer) => peer.peerId === this.host && peer.path === 'direct')
    this.why = await whyRelayed(this.#node, this.host)
    this.changed()
    if (!direct) return
    this.#moving = true
    await this.#move().finally(() => (this.#moving = false))
  }

  async #move(): Promise<void> {
    const old = { stream: this.#stream, speaker: this.#speaker }
    const stream = await this.#node.open({ peer: this.host, name: this.name }, { timeout: 5_000 })
    if (stream.path !== 'direct' || this.#stream !== old.stream || this.state !== 'open') return stream.abort()
    this.#stream = stream
    this.#speaker = new Speaker(stream)
    // What the host had still to say on the old stream is heard to its end.
    old.speaker.end()
  }

  /** Until the conversation ends; gives why it broke, or undefined when the host ended it. */
  async #talk(stream: ServiceStream): Promise<unknown> {
    this.state = 'open'
    this.path = stream.path
    this.why = undefined
    this.changed()
    this.#look()
    try {
      for await (const words of hear(stream.readable)) {
        if (!isToGuest(words)) throw new Error('the host sent something that is no message')
        this.#take(words)
      }
    } catch (error) {
      stream.abort(error)
      return error
    }
    if (!this.#left && this.state === 'open' && stream === this.#stream) this.#over('The host ended the conversation.')
    return undefined
  }

  #take(words: ToGuest): void {
    switch (words.kind) {
      case 'welcome':
        if (words.room !== this.#session) this.#lastId = 0
        this.#session = words.room
        this.members = words.members
        return this.changed()
      case 'members':
        this.members = words.members
        return this.changed()
      case 'full':
        return this.#over('The room is full. Try later.')
      case 'over':
        return this.#over('The host closed the room.')
      case 'slow':
        return this.note('You talk faster than this room passes on; some of it is lost.')
      case 'message':
        if (words.id <= this.#lastId) return
        this.#lastId = words.id
        this.heard(words, this.#node.peerId)
    }
  }

  async #callAgain(broken: unknown): Promise<boolean> {
    this.state = 'connecting'
    const code = broken instanceof OpenRedError ? ` (${broken.code})` : ''
    this.note(`The connection broke${code}. Calling again.`)
    for (const pause of CALL_AGAIN_MS) {
      await new Promise((resolve) => setTimeout(resolve, pause))
      if (this.#left) return false
      try {
        await this.#call()
        this.note(`Connected again, ${this.#stream.path}.`)
        return true
      } catch (error) {
        this.trouble = error
      }
    }
    this.#over('The host does not answer.')
    return false
  }

  async #call(): Promise<void> {
    this.#stream = await this.#node.open({ peer: this.host, name: this.name }, { timeout: 5_000 })
    this.#speaker = new Speaker(this.#stream)
    this.trouble = undefined
  }

  #over(why: string): void {
    this.state = 'over'
    this.note(why)
  }
}
