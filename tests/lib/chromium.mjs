/** Chromium, driven by Playwright. Its pages are Playwright's, of which stories for every browser use what `BrowserPage` has. */
import { chromium as playwright } from 'playwright-core'
import { chromium } from './workspace.mjs'

/** Quiet flags that keep Chromium from looking for the world outside on a closed network. */
export const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'
]

/** What Playwright turns off although users have it: going back to a page that was put away whole. */
const UNLIKE_USERS = ['--disable-back-forward-cache']

export function launch () {
  return playwright.launch({ executablePath: chromium(), args: FLAGS, ignoreDefaultArgs: UNLIKE_USERS, headless: true })
}

/** A new page, in a context of its own unless one is given. `Listeners` are those of `openPage`. */
export async function newPage (browser, { viewport, context, scripts, listeners }) {
  const own = context ?? await browser.newContext({ viewport })
  const page = await own.newPage()
  page.setDefaultTimeout(listeners.patience)
  page.on('pageerror', (error) => listeners.uncaught(error.stack ?? error.message))
  page.on('crash', listeners.crashed)
  page.on('console', (message) => listeners.said(message.type(), message.text()))
  for (const script of scripts) await page.addInitScript(script)
  page.end = () => (context === undefined ? own.close() : page.close())
  return page
}
