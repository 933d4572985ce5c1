/**
 * A chat room that another page runs. When the connection breaks, it calls the same host again a few times: streams
 * through a relay that dies end, and another relay may carry the next one.
 */

import { OpenRedError, type OpenRed, type ServiceStream, type Target } from '../../src/index.js'
import { Room } from './room.js'
import { hear, isToGuest, Speaker, type ToGuest, type ToHost } from './wire.js'

/** Pauses before calling again, in ms. A relay's loss is noticed and another way found within 10 s. */
const CALL_AGAIN_MS = [300, 1_500, 4_000, 8_000]

export class VisitedRoom extends Room {
  readonly hosting = false
  readonly host: string
  readonly #node: OpenRed
  #stream: ServiceStream
  #speaker: Speaker<ToHost>
  #left = false
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
    for (;;) {
      const broken = await this.#talk()
      if (this.#left || this.state === 'over') return
      if (!(await this.#callAgain(broken))) return
    }
  }

  /** Until the conversation ends; gives why it broke, or undefined when the host ended it. */
  async #talk(): Promise<unknown> {
    this.state = 'open'
    this.path = this.#stream.path
    this.changed()
    try {
      for await (const words of hear(this.#stream.readable)) {
        if (!isToGuest(words)) throw new Error('the host sent something that is no message')
        this.#take(words)
      }
    } catch (error) {
      this.#stream.abort(error)
      return error
    }
    if (!this.#left && this.state === 'open') this.#over('The host ended the conversation.')
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
