/** A visitor of the page a relay serves, who does what a person does: reads, types and clicks. */
import { within } from './wait.mjs'

/** The promise is a second; a machine with two cores that also runs three relays and two pages gets ten. */
const JOIN_MS = 10_000
/** Long enough for anything that happens between two people through one relay. */
const TALK_MS = 10_000

export class Visitor {
  /** @param {import('playwright-core').Page} page */
  constructor (page) {
    this.page = page
  }

  /** Opens the relay's page as a new visitor. */
  static async of (world, relay, options) {
    return new Visitor(await world.visit(relay.url, options))
  }

  /** The element with this `data-testid`. */
  at (id) { return this.page.getByTestId(id) }

  /** Waits until the page says that it is in the network. */
  async joins (ms = JOIN_MS) {
    await this.says('status', /ready/i, ms)
    return this
  }

  /** Waits until the element `id` shows `text`. */
  async says (id, text, ms = TALK_MS) {
    await this.at(id).filter({ hasText: text }).first().waitFor({ state: 'visible', timeout: ms })
  }

  /** The text shown by the element `id`. */
  async reads (id) { return (await this.at(id).innerText()).trim() }

  async offers (name) {
    await this.at('offer-name').fill(name)
    await this.at('offer-submit').click()
    await this.says('offer-list', name)
  }

  async looksFor (name) {
    await this.at('find-name').fill(name)
    await this.at('find-submit').click()
  }

  async finds (name) {
    await this.looksFor(name)
    await this.says('find-results', name)
  }

  /** Opens the result number `n`, counted from 0. */
  async opens (n = 0) {
    await this.at(`open-${n}`).click()
    await this.at('chat-input').waitFor({ state: 'visible' })
  }

  async tells (text) {
    await this.at('chat-input').fill(text)
    await this.at('chat-send').click()
  }

  async hears (text) { await this.says('chat-log', text) }

  /** Runs `action` with the page's own node. */
  async withNode (action, argument) {
    return within(20_000, this.page.evaluate(
      ({ source, argument }) => (0, eval)(`(${source})`)(window.openred.node, argument),
      { source: action.toString(), argument }
    ), 'the page\'s node')
  }
}
