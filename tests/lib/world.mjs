/**
 * A world for one story or bench: it starts relays, sites and pages, ends them all whatever happens, tells whether any
 * page met an uncaught error, and reports logs and pictures of a failure.
 */
import { join } from 'node:path'
import { browser, openPage } from './browser.mjs'
import { Proxy } from './proxy.mjs'
import { Relay } from './relay.mjs'
import { BLANK, serve } from './site.mjs'
import { outputFolder, storyFile } from './workspace.mjs'

export class World {
  relays = []
  pages = []
  #sites = []
  #endings = []

  /** @param {'chromium' | 'firefox'} [browser] whose pages open unless a visit names another */
  constructor (title, browser = 'chromium') {
    this.title = title
    this.browser = browser
  }

  /** Starts one relay. */
  async relay (options = {}) {
    const relay = await Relay.start({ label: `relay ${String.fromCharCode(65 + this.relays.length)}`, ...options })
    this.relays.push(relay)
    return relay
  }

  /**
   * A relay that is reached through a proxy, by WebSocket alone: `{ relay, proxy }`. The relay announces the proxy's address
   * and is told to pages by it, so nothing goes past.
   *
   * @param {{ delayMs?: number }} road what the proxy does, see `Proxy.start`
   */
  async relayBehindProxy (road = {}, options = {}) {
    const proxy = await Proxy.start(road)
    this.atEnd(() => proxy.end())
    const relay = await this.relay({ ...options, args: [...options.args ?? [], '--announce', proxy.address] })
    proxy.lead(relay.http)
    relay.url = proxy.url
    return { relay, proxy }
  }

  /** Three relays A, B, C that know each other: B and C are told of A. */
  async threeRelays (options = {}) {
    const a = await this.relay(options)
    const [b, c] = await Promise.all(['relay B', 'relay C'].map((label) => this.relay({ ...options, label, bootstrap: [a] })))
    return [a, b, c].sort((one, other) => one.label.localeCompare(other.label))
  }

  /** Serves pages or a folder on an origin of its own. */
  async site (content) {
    const site = await serve(content)
    this.#sites.push(site)
    return site
  }

  /** Opens `url` as a new visitor. */
  async visit (url, options) {
    const page = await openPage(url, { browser: this.browser, ...options })
    this.pages.push(page)
    return page
  }

  /** A new visitor on a page with nothing in it, on an origin that is no relay. */
  async blankPage (options) {
    // What may not be stored is not put away whole either when the visitor leaves.
    this.blankSite ??= await this.site({ pages: { '/': BLANK }, cache: true })
    return this.visit(this.blankSite.url, options)
  }

  /**
   * A blank page that has joined through `relays`; in it `node`, `OpenRed` and `joinMs` are global.
   *
   * @param {Relay[]} relays the first one also serves the module
   */
  async member (relays, { join = {}, ...options } = {}) {
    const page = await this.blankPage(options)
    await joinFrom(page, relays, join)
    return page
  }

  /** A browser profile: tabs opened in it share their storage and their locks. */
  async profile (options = {}) {
    const context = await (await browser()).newContext({ viewport: { width: 1280, height: 800 }, ...options })
    this.atEnd(() => context.close())
    return context
  }

  /** Has `action` run when the story ends. */
  atEnd (action) {
    this.#endings.push(action)
  }

  /** Fails when a page met an error nobody expected. */
  assertCalm () {
    const troubles = this.pages.flatMap((page, index) => page.troubles.map((trouble) => `page ${index + 1}: ${trouble}`))
    troubles.push(...this.relays.flatMap(({ label, panics }) => panics.map((line) => `${label}: ${line}`)))
    if (troubles.length > 0) throw new Error(troubles.join('\n'))
  }

  /** Prints what is known about a failure. */
  async report (error) {
    const lines = [`\n--- ${this.title}: ${error.message}`]
    for (const [index, page] of this.pages.entries()) {
      lines.push(`--- page ${index + 1} ${page.url()}`, ...page.troubles, ...page.remarks.slice(-60))
      await this.picture(page, `failure-page-${index + 1}`).catch(() => {})
    }
    for (const relay of this.relays) lines.push(`--- ${relay.label} (${relay.peerId})`, relay.log)
    console.error(lines.join('\n'))
  }

  /** Takes a picture of `page` for human eyes; it stands in the target folder under `e2e/`. */
  async picture (page, name) {
    const path = join(outputFolder('e2e'), `${storyFile()}-${name}.png`)
    await page.screenshot({ path, fullPage: true, timeout: 5_000 })
    return path
  }

  async end () {
    const endings = [
      ...this.#endings.map((action) => action()),
      ...this.pages.map((page) => page.end()),
      ...this.relays.map((relay) => relay.end()),
      ...this.#sites.map((site) => site.end())
    ]
    const failed = (await Promise.allSettled(endings)).find((ending) => ending.status === 'rejected')
    if (failed !== undefined) throw failed.reason
  }
}

/** Imports the package from the first of `relays` and joins through all of them. */
export async function joinFrom (page, relays, options = {}) {
  await page.evaluate(async ({ module, relays, options }) => {
    const start = performance.now()
    globalThis.OpenRed ??= (await import(module)).OpenRed
    globalThis.node = await globalThis.OpenRed.join({ relays, ...options })
    globalThis.joinMs = performance.now() - start
  }, { module: relays[0].module, relays: relays.map((relay) => relay.url), options })
}
