/** The page on which people read a relay's API: it shows every operation and tries one out, and loads nothing from elsewhere. */
import assert from 'node:assert/strict'
import { story } from '../lib/story.mjs'

story('a reader finds an operation, opens it and sends it to the relay', async (world) => {
  const relay = await world.relay()
  const described = await (await fetch(new URL('/openapi.json', relay.url))).json()
  const operations = Object.values(described.paths).flatMap((path) => Object.keys(path)).length
  const page = await world.visit(new URL('/docs/', relay.url).href)
  await page.waitForSelector('details')
  assert.equal(await page.locator('details').count(), operations)

  await page.fill('#filter', '/v1/status')
  assert.equal(await page.locator('details').count(), 1)
  await page.click('summary')
  await page.click('button[type=submit]')
  await page.waitForFunction((id) => document.querySelector('pre').textContent.includes(id), relay.peerId)
  assert.match(await page.locator('pre').textContent(), /^200 /)
  await world.picture(page, 'docs')
})
