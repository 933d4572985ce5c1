/**
 * One headless browser of a kind per test file, and pages that fail their story on any uncaught error.
 *
 * Each page has a browser context of its own, as two visitors have: own storage, own cache.
 */
import * as chromium from './chromium.mjs'

export { FLAGS } from './chromium.mjs'

/** For stories that are told in each. */
export const EVERY_BROWSER = ['chromium', 'firefox']

/** Puppeteer takes a moment to load, so only who needs it waits. */
const DRIVERS = { chromium: async () => chromium, firefox: () => import('./firefox.mjs') }

/** The bound of waits that name none. */
const PATIENCE_MS = 15_000

const running = new Map()

/** A browser of this process, started at the first call: `chromium` or `firefox`. */
export function browser (kind = 'chromium') {
  if (!running.has(kind)) running.set(kind, DRIVERS[kind]().then((driver) => driver.launch()))
  return running.get(kind)
}

/** Ends the browsers if there are any. */
export async function endBrowser () {
  const ending = [...running.values()]
  running.clear()
  await Promise.all(ending.map(async (browser) => (await browser).close()))
}

/**
 * What browsers themselves write to the console when a socket or a fetch meets a dead relay; no script can prevent it.
 * Stories that kill relays tolerate it, others do not.
 */
export const NETWORK_ERRORS = [
  /^WebSocket connection to '[^']*' failed/, /^Failed to load resource: net::ERR_/,
  /^Firefox can’t establish a connection to the server at ws/, /^The connection to wss?:\S* was interrupted/
]

/**
 * What a page of every browser can do, with the signatures of Playwright. Pages of Chromium can do more.
 *
 * @typedef {object} BrowserPage
 * @property {(action: Function, argument?: unknown) => Promise<any>} evaluate
 * @property {(condition: Function, argument?: unknown, options?: { timeout?: number, polling?: number }) => Promise<any>} waitForFunction
 * @property {(url: string, options?: { waitUntil?: string }) => Promise<any>} goto
 * @property {() => Promise<any>} reload
 * @property {() => Promise<void>} bringToFront
 * @property {() => string} url
 * @property {(options: { path: string, fullPage?: boolean }) => Promise<any>} screenshot
 * @property {() => object} context storage and cache are shared by the pages of one
 * @property {() => Promise<void>} close ends the page, and leaves its context
 * @property {() => Promise<void>} end ends the page, and its context if nobody gave it
 * @property {string[]} troubles errors nobody expected
 * @property {string[]} remarks everything on its console
 * @property {RegExp[]} tolerated errors on the console that are none
 * @property {boolean} [crashIsMeant] set by a story that has the page crash
 */

/**
 * Opens a page in a context of its own.
 *
 * @param {string} url
 * @param {{ browser?: 'chromium' | 'firefox', tolerate?: RegExp[], viewport?: { width: number, height: number }, context?: object, init?: Function }} [options]
 *   `context`: that of another page; `init`: runs before the page's own scripts
 * @returns {Promise<BrowserPage>}
 */
export async function openPage (url, { browser: kind = 'chromium', tolerate = [], viewport = { width: 1280, height: 800 }, context, init } = {}) {
  let page
  const told = { troubles: [], remarks: [], tolerated: [...tolerate] }
  const listeners = {
    patience: PATIENCE_MS,
    uncaught: (text) => told.troubles.push(`uncaught: ${text}`),
    crashed: () => page.crashIsMeant || told.troubles.push('the page crashed'),
    said (type, text) {
      told.remarks.push(`${type}: ${text}`)
      if (type === 'error' && !told.tolerated.some((pattern) => pattern.test(text))) told.troubles.push(`console.error: ${text}`)
    }
  }
  const scripts = init === undefined ? [tools] : [tools, init]
  const driver = await DRIVERS[kind]()
  page = await driver.newPage(await browser(kind), { viewport, context, scripts, listeners })
  Object.assign(page, told)
  await page.goto(url, { waitUntil: 'load' })
  return page
}

/** Runs in every page before its own scripts: small tools for the stories, under one name. */
function tools () {
  const story = {
    /** `{ value }` or `{ code, message, real }` of what `action` comes to, with the time it took. */
    async outcome (action) {
      const start = performance.now()
      try {
        const value = await action()
        return { value, ms: performance.now() - start }
      } catch (error) {
        return {
          code: error?.code,
          message: String(error?.message ?? error),
          real: error instanceof Error,
          cause: error?.cause === undefined ? undefined : String(error.cause?.message ?? error.cause),
          ms: performance.now() - start
        }
      }
    },
    /** Everything a readable stream gives until it ends, as one array. */
    async readAll (readable) {
      const parts = []
      let length = 0
      const reader = readable.getReader()
      for (;;) {
        const { done, value } = await reader.read()
        if (done) break
        parts.push(value)
        length += value.length
      }
      const whole = new Uint8Array(length)
      let at = 0
      for (const part of parts) {
        whole.set(part, at)
        at += part.length
      }
      return whole
    },
    /** The next text of at least one byte from a reader. */
    async readText (reader) {
      const { done, value } = await reader.read()
      return done ? undefined : new TextDecoder().decode(value)
    },
    /** `length` bytes whose content depends on their place, so that loss and disorder show. */
    pattern (length, seed = 1) {
      const bytes = new Uint8Array(length)
      let state = seed >>> 0
      for (let i = 0; i < length; i++) {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0
        bytes[i] = state >>> 24
      }
      return bytes
    },
    async sha256 (bytes) {
      const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))
      return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('')
    },
    /** Rejects after `ms`: a bound for waits inside the page. */
    within (ms, promise, what) {
      let timer
      const bound = new Promise((resolve, reject) => {
        timer = setTimeout(() => reject(new Error(`${what}: not within ${ms} ms`)), ms)
      })
      return Promise.race([promise, bound]).finally(() => clearTimeout(timer))
    }
  }
  globalThis.story = story
}
