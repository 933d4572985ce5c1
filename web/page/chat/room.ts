/** What a chat room shows, whoever hosts it. */

import type { NotDirect, Path } from '../../src/index.js'
import type { Told } from './wire.js'

/** Older messages go. */
const MAX_SHOWN = 500

export type Line = { kind: 'message'; from: string; text: string; at: number; mine: boolean } | { kind: 'note'; text: string; at: number }

export abstract class Room {
  readonly name: string
  /** Peer id of who runs the room. */
  abstract readonly host: string
  abstract readonly hosting: boolean
  lines: Line[] = []
  /** How many lines there have been, those let go included. */
  total = 0
  /** People in the room, the host included. */
  members = 1
  /** How this page reaches the host; undefined in a room of its own. */
  path: Path | undefined
  /** Why not directly. */
  why: NotDirect | undefined
  state: 'connecting' | 'open' | 'over' = 'connecting'
  /** Why it is over. */
  trouble: unknown
  readonly #watchers = new Set<() => void>()

  constructor(name: string) {
    this.name = name
  }

  /** What identifies it among rooms of the same name. */
  get key(): string {
    return `${this.name}@${this.host}`
  }

  abstract say(text: string): void
  abstract leave(): Promise<void>

  watch(watcher: () => void): void {
    this.#watchers.add(watcher)
  }

  protected changed(): void {
    for (const watcher of this.#watchers) watcher()
  }

  protected note(text: string): void {
    this.#add({ kind: 'note', text, at: Date.now() })
  }

  protected heard({ from, text, at }: Told, me: string): void {
    this.#add({ kind: 'message', from, text, at, mine: from === me })
  }

  #add(line: Line): void {
    this.total += 1
    this.lines.push(line)
    if (this.lines.length > MAX_SHOWN) this.lines.shift()
    this.changed()
  }
}
