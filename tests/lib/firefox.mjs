/**
 * Firefox as the distribution ships it, driven by Puppeteer over WebDriver BiDi; Playwright drives none but its own build.
 *
 * Its pages have what `BrowserPage` has, with Playwright's signatures.
 */
import puppeteer from 'puppeteer-core'
import { firefox } from './workspace.mjs'

/** What Firefox writes about a socket that meets a dead relay. It arrives like an uncaught error, and no script made it. */
const OF_SOCKETS = /^(Firefox can’t establish a connection to the server at|The connection to) wss?:/

export function launch () {
  return puppeteer.launch({
    browser: 'firefox',
    executablePath: firefox(),
    headless: true,
    protocolTimeout: 120_000
  })
}

/** A new page, in a context of its own unless one is given. `Listeners` are those of `openPage`. */
export async function newPage (browser, { viewport, context, scripts, listeners }) {
  const own = context ?? await browser.createBrowserContext()
  const page = await own.newPage()
  await page.setViewport(viewport)
  page.setDefaultTimeout(listeners.patience)
  page.on('pageerror', ({ message, stack }) => {
    if (OF_SOCKETS.test(message)) listeners.said('error', message)
    else listeners.uncaught(stack ?? message)
  })
  page.on('error', listeners.crashed)
  page.on('console', (message) => listeners.said(message.type(), message.text()))
  for (const script of scripts) await page.evaluateOnNewDocument(script)
  return new FirefoxPage(page, own, context === undefined)
}

/** @implements {import('./browser.mjs').BrowserPage} */
class FirefoxPage {
  #page
  #context
  #contextIsOwn
  #ended

  constructor (page, context, contextIsOwn) {
    this.#page = page
    this.#context = context
    this.#contextIsOwn = contextIsOwn
  }

  context () { return this.#context }
  url () { return this.#page.url() }
  goto (url, { waitUntil = 'load' } = {}) { return this.#page.goto(url, { waitUntil }) }
  reload () { return this.#page.reload() }
  bringToFront () { return this.#page.bringToFront() }
  evaluate (action, argument) { return this.#page.evaluate(action, argument) }
  screenshot ({ path, fullPage }) { return this.#page.screenshot({ path, fullPage }) }
  async close () { if (!this.#page.isClosed()) await this.#page.close() }

  end () {
    this.#ended ??= this.#contextIsOwn ? this.#context.close() : this.close()
    return this.#ended
  }

  waitForFunction (condition, argument, { timeout, polling } = {}) {
    // Frames are not painted in pages that nobody looks at.
    return this.#page.waitForFunction(condition, { timeout, polling: polling ?? 50 }, argument)
  }
}
