/**
 * One follower and the leading tab, over a channel that nobody else is on.
 *
 * Messages carry numbers: one that comes twice is dropped, and one that is missing ends the link, since whoever waits for
 * it would wait for ever. While answers are awaited, the follower asks for a sign of life each second; three seconds of
 * silence end the link too. At rest nothing is sent.
 */

import type { LinkMessage } from './messages.js'

/** Between two looks whether the other tab has said something. */
const PING_MS = 1_000

/**
 * Looks in vain after which the other tab counts as hung. Browsers deliver messages to hidden tabs at once and only their
 * timers late, so three seconds of silence are a tab that stands still. A guess; a false alarm costs the streams of one tab.
 */
const MOST_SILENT_LOOKS = 3

/** What of a `BroadcastChannel` is used. */
export interface Channel {
  onmessage: ((event: MessageEvent) => void) | null
  postMessage(message: unknown): void
  close(): void
}

export interface LinkEvents {
  receive(message: LinkMessage): void
  /** Once, unless this side closed it. */
  ended(why: string): void
}

export class Link {
  readonly #channel: Channel
  readonly #events: LinkEvents
  #sent = 0
  #received = 0
  #over = false
  #heard = false
  #silent = 0
  #watch: ReturnType<typeof setInterval> | undefined

  constructor(channel: Channel, events: LinkEvents) {
    this.#channel = channel
    this.#events = events
    channel.onmessage = ({ data }) => this.#receive(data)
  }

  get over(): boolean {
    return this.#over
  }

  /** Throws what cannot be copied from one tab to the other; the link goes on. */
  send(message: LinkMessage): void {
    if (this.#over) return
    this.#channel.postMessage({ number: this.#sent + 1, message })
    this.#sent += 1
  }

  /** Watches for silence for as long as `awaiting` says that something is awaited. */
  watch(awaiting: () => boolean): void {
    if (this.#watch !== undefined || this.#over) return
    this.#heard = true
    this.#watch = setInterval(() => {
      if (!awaiting()) return this.#unwatch()
      this.#silent = this.#heard ? 0 : this.#silent + 1
      this.#heard = false
      if (this.#silent >= MOST_SILENT_LOOKS) return this.#fail('the tab that runs the node does not answer')
      this.send({ kind: 'ping' })
    }, PING_MS)
  }

  /** Ends it from this side, which the other side is told. */
  close(): void {
    this.send({ kind: 'bye' })
    this.#end()
  }

  #receive(data: unknown): void {
    if (this.#over || !isEnvelope(data) || data.number <= this.#received) return
    if (data.number !== this.#received + 1) {
      this.send({ kind: 'bye' })
      return this.#fail('a message between the tabs was lost')
    }
    this.#received += 1
    this.#heard = true
    if (data.message.kind === 'ping') return this.send({ kind: 'pong' })
    if (data.message.kind === 'bye') return this.#fail('the other tab ended the link')
    this.#events.receive(data.message)
  }

  #fail(why: string): void {
    this.#end()
    this.#events.ended(why)
  }

  #end(): void {
    this.#over = true
    this.#unwatch()
    this.#channel.onmessage = null
    this.#channel.close()
  }

  #unwatch(): void {
    clearInterval(this.#watch)
    this.#watch = undefined
    this.#silent = 0
  }
}

/** Only scripts of this origin can speak here, so what comes is checked for its shape and no further. */
function isEnvelope(data: unknown): data is { number: number; message: LinkMessage } {
  if (typeof data !== 'object' || data === null || !('number' in data) || !('message' in data)) return false
  const { number, message } = data
  return Number.isSafeInteger(number) && typeof message === 'object' && message !== null && 'kind' in message
}
