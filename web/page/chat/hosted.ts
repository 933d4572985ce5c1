/**
 * A chat room that this page runs: it takes everybody's words and passes them on to all.
 *
 * Bounds: 32 guests at once, 8 messages of one guest in 4 s (more are not passed on), the last 30 messages for who
 * comes later. All three are guesses for people who type.
 *
 * A guest is a stream; somebody who moves to a better path, or is here with two tabs, has several, and is one person.
 */

import type { HandlerRegistration, OpenRed, Path, Registration, ServiceStream } from '../../src/index.js'
import { plural, shortId } from '../format.js'
import { Room } from './room.js'
import { hear, isToHost, Speaker, type Member, type Told, type ToGuest } from './wire.js'

const MAX_GUESTS = 32
const MAX_BURST = 8
const BURST_MS = 4_000
const MAX_KEPT = 30

interface Guest extends Member {
  speaker: Speaker<ToGuest>
  /** When its last messages came. */
  recent: number[]
}

export class HostedRoom extends Room {
  readonly hosting = true
  readonly host: string
  readonly #handler: HandlerRegistration
  readonly #guests = new Set<Guest>()
  readonly #session = String(Date.now())
  #kept: Told[] = []
  #nextId = 1
  #registration: Registration | undefined

  private constructor(node: OpenRed, name: string) {
    super(name)
    this.host = node.peerId
    this.#handler = node.handle(name, (stream, from) => this.#serve(stream, from))
  }

  /** Resolves when others can find the room. */
  static async open(node: OpenRed, name: string): Promise<HostedRoom> {
    const room = new HostedRoom(node, name)
    try {
      room.#registration = await node.provide({ name, type: 'chat' })
    } catch (error) {
      room.#handler.close()
      throw error
    }
    room.state = 'open'
    room.note('The room is open. Whoever finds its name can come in.')
    return room
  }

  get guests(): readonly Member[] {
    return [...this.#guests]
  }

  say(text: string): void {
    this.#pass(this.host, text)
  }

  async leave(): Promise<void> {
    this.#handler.close()
    for (const guest of this.#guests) {
      guest.speaker.say({ kind: 'over' })
      guest.speaker.end()
    }
    this.state = 'over'
    this.note('You closed the room.')
    await this.#registration?.withdraw()
  }

  async #serve(stream: ServiceStream, from: string): Promise<void> {
    const speaker = new Speaker<ToGuest>(stream)
    if (this.#guests.size >= MAX_GUESTS) {
      speaker.say({ kind: 'full' })
      return speaker.end()
    }
    const guest: Guest = { peerId: from, path: stream.path, speaker, recent: [] }
    const known = this.#isHere(from)
    this.#guests.add(guest)
    this.#count()
    speaker.say({ kind: 'welcome', room: this.#session, members: this.members })
    for (const told of this.#kept) speaker.say(told)
    if (!known) this.note(`${shortId(from)} came in, ${stream.path}.`)
    else if (stream.path === 'direct') this.note(`${shortId(from)} is connected directly from here on.`)
    try {
      for await (const words of hear(stream.readable)) {
        if (!isToHost(words)) throw new Error('a guest sent something that is no message')
        if (this.#mayTalk(guest)) this.#pass(from, words.text)
      }
      speaker.end()
    } catch {
      // Guests come and go; a line nobody could read ends the conversation with this one.
      stream.abort()
    } finally {
      this.#guests.delete(guest)
      this.#count()
      if (this.state === 'open' && !this.#isHere(from)) this.note(`${shortId(from)} left.`)
    }
  }

  #mayTalk(guest: Guest): boolean {
    const now = Date.now()
    guest.recent = [...guest.recent.filter((at) => now - at < BURST_MS), now]
    if (guest.recent.length <= MAX_BURST) return true
    if (guest.recent.length === MAX_BURST + 1) guest.speaker.say({ kind: 'slow' })
    return false
  }

  #pass(from: string, text: string): void {
    const told: Told = { kind: 'message', id: this.#nextId++, from, text, at: Date.now() }
    this.#kept = [...this.#kept, told].slice(-MAX_KEPT)
    for (const guest of this.#guests) guest.speaker.say(told)
    this.heard(told, this.host)
  }

  #isHere(peerId: string): boolean {
    return this.guests.some((guest) => guest.peerId === peerId)
  }

  /** The people that are here, each by its best path. */
  #people(): Map<string, Path> {
    const people = new Map<string, Path>()
    for (const { peerId, path } of this.#guests) if (path === 'direct' || !people.has(peerId)) people.set(peerId, path)
    return people
  }

  #count(): void {
    this.members = this.#people().size + 1
    for (const guest of this.#guests) guest.speaker.say({ kind: 'members', members: this.members })
    this.changed()
  }

  /** For lists: how many there are and how they come. */
  get summary(): string {
    const paths = [...this.#people().values()]
    if (paths.length === 0) return 'nobody else is here'
    return `${plural(paths.length, 'guest', 'guests')}, ${paths.filter((path) => path === 'relayed').length} relayed`
  }
}
