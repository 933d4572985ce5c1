/**
 * One headless Chromium per test file, and pages that fail their story on any uncaught error.
 *
 * Each page has a browser context of its own, as two visitors have: own storage, own cache.
 */
import { chromium as playwright } from 'playwright-core'
import { chromium } from './workspace.mjs'

/** Quiet flags that keep Chromium from looking for the world outside on a closed network. */
export const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'
]

/** What Playwright turns off although users have it: going back to a page that was put away whole. */
const UNLIKE_USERS = ['--disable-back-forward-cache']

let running

/** The browser of this process, started at the first call. */
export function browser () {
  running ??= playwright.launch({ executablePath: chromium(), args: FLAGS, ignoreDefaultArgs: UNLIKE_USERS, headless: true })
  return running
}

/** Ends the browser if there is one. */
export async function endBrowser () {
  if (running === undefined) return
  const ending = running
  running = undefined
  await (await ending).close()
}

/**
 * What Chromium itself writes to the console when a socket or a fetch meets a dead relay; no script can prevent it.
 * Stories that kill relays tolerate it, others do not.
 */
export const NETWORK_ERRORS = [/^WebSocket connection to '[^']*' failed/, /^Failed to load resource: net::ERR_/]

/**
 * Opens a page in a context of its own.
 *
 * @param {string} url
 * @param {{ tolerate?: RegExp[], viewport?: { width: number, height: number }, context?: import('playwright-core').BrowserContext, init?: Function }} [options]
 */
export async function openPage (url, { tolerate = [], viewport = { width: 1280, height: 800 }, context, init } = {}) {
  const own = context ?? await (await browser()).newContext({ viewport })
  const page = await own.newPage()
  page.troubles = []
  page.remarks = []
  page.tolerated = [...tolerate]
  page.setDefaultTimeout(15_000)
  page.on('pageerror', (error) => page.troubles.push(`uncaught: ${error.stack ?? error.message}`))
  page.on('crash', () => page.crashIsMeant || page.troubles.push('the page crashed'))
  page.on('console', (message) => {
    const text = message.text()
    page.remarks.push(`${message.type()}: ${text}`)
    if (message.type() === 'error' && !page.tolerated.some((pattern) => pattern.test(text))) {
      page.troubles.push(`console.error: ${text}`)
    }
  })
  await page.addInitScript(tools)
  if (init !== undefined) await page.addInitScript(init)
  await page.goto(url, { waitUntil: 'load' })
  page.end = () => (context === undefined ? own.close() : page.close())
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
