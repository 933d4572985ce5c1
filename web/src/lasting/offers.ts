/** What the application offers, made again at every node that comes. */

import type { RawOffer } from '../binding.js'
import { OpenRedError } from '../errors.js'
import { asOpenRedError, leavesOffer } from '../failures.js'
import type { OfferPatch } from '../types.js'
import type { Upstream } from '../upstream.js'

/** Pause before an offer that could not be made again is tried once more, in ms. */
const AGAIN_MS = 5_000

/** How long changing an offer, or taking it back, waits until it is made again at a node that has come, in ms; a guess. */
const PATIENCE_MS = 10_000

/** Makes a call at the present node, and again at the next one if it goes before there is an answer. */
type Run = <T>(op: number, call: (upstream: Upstream, op: number) => Promise<T>, late?: (value: T) => void) => Promise<T>

/** A node, and the number it knows an offer by as soon as it is made there. */
interface Made {
  upstream: Upstream
  id: Promise<number>
}

interface Standing {
  offer: RawOffer
  made: Made
  withdrawn: boolean
  /** Aborted when it stands no more: nobody needs it made again. */
  gone: AbortController
}

export interface OfferParts {
  run: Run
  /** Whether a node is the present one. */
  isPresent: (upstream: Upstream) => boolean
  warn: (code: string, message: string) => void
}

export class StandingOffers {
  readonly #parts: OfferParts
  readonly #standing = new Map<number, Standing>()
  #next = 0

  constructor(parts: OfferParts) {
    this.#parts = parts
  }

  async provide(op: number, offer: RawOffer): Promise<number> {
    for (;;) {
      const provide = async (upstream: Upstream, op: number): Promise<{ upstream: Upstream; id: number }> => ({
        upstream,
        id: await upstream.raw.provide(op, offer),
      })
      const { upstream, id } = await this.#parts.run(op, provide, ({ upstream, id }) => takeBack(upstream, id))
      if (!this.#parts.isPresent(upstream)) continue
      const number = (this.#next += 1)
      this.#standing.set(number, { offer, made: { upstream, id: Promise.resolve(id) }, withdrawn: false, gone: new AbortController() })
      return number
    }
  }

  async update(op: number, number: number, patch: OfferPatch): Promise<void> {
    const standing = this.#get(number)
    const deadline = performance.now() + PATIENCE_MS
    /** The node that was asked. */
    let asked: Upstream | undefined
    let over = false
    const update = async (upstream: Upstream, op: number): Promise<void> => {
      const id = await made(standing, deadline)
      // Whoever called has gone meanwhile.
      if (over) return
      asked = upstream
      await upstream.raw.update(op, id, patch)
    }
    const patched = { ...standing.offer, ...patch }
    try {
      await this.#parts.run(op, update)
    } catch (thrown) {
      if (asked && this.#parts.isPresent(asked) && !leavesOffer(thrown)) standing.offer = patched
      throw thrown
    } finally {
      over = true
    }
    standing.offer = patched
  }

  /** Until it is taken back it stands, so that the node that comes meanwhile takes it back too. */
  async withdraw(op: number, number: number): Promise<void> {
    const standing = this.#get(number)
    standing.withdrawn = true
    const deadline = performance.now() + PATIENCE_MS
    try {
      await this.#parts.run(op, async ({ raw }, op) => raw.withdraw(op, await made(standing, deadline)))
    } finally {
      this.#standing.delete(number)
      standing.gone.abort()
    }
  }

  /** Makes everything again at a node that has come. */
  restore(upstream: Upstream): void {
    for (const standing of this.#standing.values()) standing.made = { upstream, id: this.#restore(standing, upstream) }
  }

  clear(): void {
    for (const { gone } of this.#standing.values()) gone.abort()
    this.#standing.clear()
  }

  /** Does not settle if the node or the offer goes before. */
  async #restore({ offer, gone: { signal } }: Standing, upstream: Upstream): Promise<number> {
    for (let warned = false; ; warned = true) {
      try {
        const late = (id: number): void => takeBack(upstream, id)
        return await upstream.calls.run((op) => upstream.raw.provide(op, offer), { signal, late })
      } catch (thrown) {
        if (upstream.calls.ended || signal.aborted) return new Promise(() => {})
        const { code, message } = asOpenRedError(thrown)
        if (!warned) this.#parts.warn(code, `${offer.name} could not be offered again: ${message}`)
        await pause(AGAIN_MS, signal)
      }
    }
  }

  #get(number: number): Standing {
    const standing = this.#standing.get(number)
    if (standing && !standing.withdrawn) return standing
    throw new OpenRedError('NOT_FOUND', 'this offer was withdrawn')
  }
}

/** The number by which the present node knows an offer. Rejects with `TIMEOUT` if it does not have it at `deadline`. */
function made({ made: { id }, offer }: Standing, deadline: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const late = new OpenRedError('TIMEOUT', `${offer.name} could not be offered again within ${PATIENCE_MS} ms`)
    const timer = setTimeout(() => reject(late), Math.max(0, deadline - performance.now()))
    void id.then((id) => {
      clearTimeout(timer)
      resolve(id)
    })
  })
}

function takeBack({ raw, calls }: Upstream, id: number): void {
  calls.run((op) => raw.withdraw(op, id)).catch(() => {})
}

/** Passes early when `signal` says so. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
  })
}
