/** What the application serves, registered again at every node that comes. */

import type { RawStream } from '../binding.js'
import { OpenRedError } from '../errors.js'
import { asOpenRedError } from '../failures.js'
import { Handler } from '../tabs/handlers.js'
import { heldStream, type Upstream } from '../upstream.js'

interface Standing {
  handler: Handler
  made: { upstream: Upstream; id: number } | undefined
}

export class StandingHandlers {
  readonly #checkName: (name: string) => void
  readonly #warn: (code: string, message: string) => void
  readonly #standing = new Map<number, Standing>()
  #next = 0

  constructor(checkName: (name: string) => void, warn: (code: string, message: string) => void) {
    this.#checkName = checkName
    this.#warn = warn
  }

  /** Serves a name, at the present node if there is one. */
  handle(name: string, upstream: Upstream | undefined): number {
    this.#checkName(name)
    if ([...this.#standing.values()].some(({ handler }) => handler.name === name)) {
      throw new OpenRedError('INVALID_OPTION', `"${name}" has a handler already; close that one first`)
    }
    const standing: Standing = { handler: new Handler(name, () => {}), made: undefined }
    if (upstream) this.#serve(standing, upstream)
    const number = (this.#next += 1)
    this.#standing.set(number, standing)
    return number
  }

  accept(number: number): Promise<RawStream | undefined> {
    return this.#standing.get(number)?.handler.accept() ?? Promise.resolve(undefined)
  }

  close(number: number): void {
    const { handler, made } = this.#standing.get(number) ?? {}
    this.#standing.delete(number)
    handler?.close()
    if (made && !made.upstream.calls.ended) made.upstream.raw.closeHandler(made.id)
  }

  /** Registers everything again at a node that has come. */
  restore(upstream: Upstream): void {
    for (const standing of [...this.#standing.values()]) {
      try {
        this.#serve(standing, upstream)
      } catch (thrown) {
        this.#refused(standing.handler.name, thrown)
      }
    }
  }

  end(): void {
    for (const { handler } of this.#standing.values()) handler.close()
    this.#standing.clear()
  }

  #serve(standing: Standing, upstream: Upstream): void {
    const id = upstream.calls.now(() => upstream.raw.handle(standing.handler.name))
    standing.made = { upstream, id }
    void this.#take(standing.handler, upstream, id)
  }

  async #take(handler: Handler, { raw, calls }: Upstream, id: number): Promise<void> {
    try {
      for (;;) {
        const stream = await calls.run(() => raw.accept(id))
        if (!stream) return
        handler.give(heldStream(stream, calls))
      }
    } catch (thrown) {
      if (!calls.ended) this.#refused(handler.name, thrown)
    }
  }

  #refused(name: string, thrown: unknown): void {
    this.#warn('HANDLER_FAILED', `${name} cannot be served here: ${asOpenRedError(thrown).message}`)
  }
}
