/** What the application offers, made again at every node that comes. */

import type { RawOffer } from '../binding.js'
import { OpenRedError } from '../errors.js'
import { asOpenRedError } from '../failures.js'
import type { OfferPatch } from '../types.js'
import type { Upstream } from '../upstream.js'

/** Pause before an offer that could not be made again is tried once more, in ms. */
const AGAIN_MS = 5_000

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
      const takeBack = ({ upstream, id }: { upstream: Upstream; id: number }): void => {
        upstream.calls.run((op) => upstream.raw.withdraw(op, id)).catch(() => {})
      }
      const { upstream, id } = await this.#parts.run(op, provide, takeBack)
      if (!this.#parts.isPresent(upstream)) continue
      const number = (this.#next += 1)
      this.#standing.set(number, { offer, made: { upstream, id: Promise.resolve(id) }, withdrawn: false })
      return number
    }
  }

  async update(op: number, number: number, patch: OfferPatch): Promise<void> {
    const standing = this.#get(number)
    await this.#parts.run(op, async ({ raw }, op) => raw.update(op, await standing.made.id, patch))
    standing.offer = { ...standing.offer, ...patch }
  }

  /** Until it is taken back it stands, so that the node that comes meanwhile takes it back too. */
  async withdraw(op: number, number: number): Promise<void> {
    const standing = this.#get(number)
    standing.withdrawn = true
    try {
      await this.#parts.run(op, async ({ raw }, op) => raw.withdraw(op, await standing.made.id))
    } finally {
      this.#standing.delete(number)
    }
  }

  /** Makes everything again at a node that has come. */
  restore(upstream: Upstream): void {
    for (const standing of this.#standing.values()) standing.made = { upstream, id: this.#restore(standing, upstream) }
  }

  clear(): void {
    this.#standing.clear()
  }

  /** Does not settle if the node goes before. */
  async #restore({ offer }: Standing, upstream: Upstream): Promise<number> {
    for (let warned = false; ; warned = true) {
      try {
        return await upstream.calls.run((op) => upstream.raw.provide(op, offer))
      } catch (thrown) {
        if (upstream.calls.ended) return new Promise(() => {})
        const { code, message } = asOpenRedError(thrown)
        if (!warned) this.#parts.warn(code, `${offer.name} could not be offered again: ${message}`)
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS))
      }
    }
  }

  #get(number: number): Standing {
    const standing = this.#standing.get(number)
    if (standing && !standing.withdrawn) return standing
    throw new OpenRedError('NOT_FOUND', 'this offer was withdrawn')
  }
}
