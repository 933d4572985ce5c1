/**
 * What several tabs offer through one node.
 *
 * The network knows one offer of a name from one peer. Tabs that offer the same name stand in a pile: the newest offer is the
 * one that the network sees, and when it is taken back the one before it stands again. Changes of one name go one after
 * the other.
 */

import type { RawNode, RawOffer } from '../binding.js'
import { OpenRedError } from '../errors.js'
import { leavesOffer } from '../failures.js'
import type { OfferPatch } from '../types.js'

/** The ttl of an offer that names none, from the npm contract. */
const DEFAULT_TTL_MS = 3_600_000

/** Runs a call of the node under a number of its own, unless its caller has gone. */
export type Start = <T>(call: (op: number) => Promise<T>) => Promise<T>

/** One tab's offer of a name. */
export interface Offered {
  readonly offer: RawOffer
}

interface Pile {
  /** The last one is what the network sees. */
  offers: { offer: RawOffer }[]
  /** The node's registration, while there is one. */
  registration: number | undefined
  turn: Promise<unknown>
}

export class Offers {
  readonly #raw: RawNode
  readonly #start: Start
  readonly #changed: () => void
  readonly #piles = new Map<string, Pile>()

  /** `start` runs calls that nobody waits for. `changed` is called when the network sees another offer than before. */
  constructor(raw: RawNode, start: Start, changed: () => void) {
    this.#raw = raw
    this.#start = start
    this.#changed = changed
  }

  /** What the network sees. */
  get standing(): RawOffer[] {
    return [...this.#piles.values()].flatMap(({ offers }) => offers.at(-1)?.offer ?? [])
  }

  /** Takes back what an earlier node of this peer offered, unless somebody offers it again. */
  async disown(offer: RawOffer, start: Start): Promise<void> {
    const pile = this.#pile(offer.name)
    await this.#inTurn(pile, async () => {
      if (pile.registration !== undefined) return
      // Only what this node has offered itself can it take back.
      const registration = await start((op) => this.#raw.provide(op, offer))
      await start((op) => this.#raw.withdraw(op, registration))
    })
  }

  async provide(offer: RawOffer, start: Start): Promise<Offered> {
    const pile = this.#pile(offer.name)
    const offered = { offer }
    await this.#inTurn(pile, async () => {
      const { registration } = pile
      if (registration === undefined) pile.registration = await start((op) => this.#raw.provide(op, offer))
      else await this.#update(registration, complete(offer), start, () => void this.#standAgain(pile))
      pile.offers.push(offered)
    })
    return offered
  }

  update(offered: Offered, patch: OfferPatch, start: Start): Promise<void> {
    const pile = this.#pile(offered.offer.name)
    return this.#inTurn(pile, async () => {
      const mine = pile.offers.find((other) => other === offered)
      if (!mine || pile.registration === undefined) throw withdrawn(offered.offer.name)
      const { registration } = pile
      const patched = { ...mine.offer, ...patch }
      if (pile.offers.at(-1) === mine) await this.#update(registration, patch, start, () => (mine.offer = patched))
      mine.offer = patched
    })
  }

  /** Whoever gives the call up waits no more; the offer is taken back all the same. */
  withdraw(offered: Offered, start: Start): Promise<void> {
    const pile = this.#pile(offered.offer.name)
    const ending = this.#inTurn(pile, async () => {
      const at = pile.offers.findIndex((other) => other === offered)
      const { registration } = pile
      if (at < 0 || registration === undefined) throw withdrawn(offered.offer.name)
      const stood = at === pile.offers.length - 1
      pile.offers.splice(at, 1)
      const next = pile.offers.at(-1)
      if (!next) {
        pile.registration = undefined
        await this.#start((op) => this.#raw.withdraw(op, registration))
      } else if (stood) await this.#start((op) => this.#raw.update(op, registration, complete(next.offer)))
    })
    ending.catch(() => {})
    return start(() => ending)
  }

  /** Changes what the network sees. `taken` is called when that fails and the node has the change nevertheless. */
  async #update(registration: number, patch: OfferPatch, start: Start, taken: () => void): Promise<void> {
    let asked = false
    try {
      await start((op) => {
        asked = true
        return this.#raw.update(op, registration, patch)
      })
    } catch (thrown) {
      if (asked && !leavesOffer(thrown)) taken()
      throw thrown
    }
  }

  /** What stood before an offer that has failed. */
  async #standAgain(pile: Pile): Promise<void> {
    const again = this.#inTurn(pile, async () => {
      const top = pile.offers.at(-1)
      const { registration } = pile
      if (top && registration !== undefined) await this.#start((op) => this.#raw.update(op, registration, complete(top.offer)))
    })
    // The node has it also if this fails.
    await again.catch(() => {})
  }

  #pile(name: string): Pile {
    let pile = this.#piles.get(name)
    if (!pile) this.#piles.set(name, (pile = { offers: [], registration: undefined, turn: Promise.resolve() }))
    return pile
  }

  /** A pile without offers goes when nobody waits for a turn. */
  #inTurn<T>(pile: Pile, step: () => Promise<T>): Promise<T> {
    const mine = pile.turn.then(step)
    const turn = mine.catch(() => {}).then(() => {
      this.#changed()
      if (pile.turn !== turn || pile.offers.length > 0) return
      for (const [name, known] of this.#piles) if (known === pile) this.#piles.delete(name)
    })
    pile.turn = turn
    return mine
  }
}

/** A patch that leaves nothing as it was. */
function complete({ name: _, ...offer }: RawOffer): OfferPatch {
  return { type: '', metadata: {}, ttl: DEFAULT_TTL_MS, region: '', clusters: [], ...offer }
}

function withdrawn(name: string): OpenRedError {
  return new OpenRedError('NOT_FOUND', `the offer of ${name} was withdrawn`)
}
