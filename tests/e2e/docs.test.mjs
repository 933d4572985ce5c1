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

  await page.fill('#filter', '/v1/services/{name}')
  const operation = page.locator('details').first()
  const [method, path] = await Promise.all(['.method', 'summary code'].map((part) => operation.locator(part).boundingBox()))
  assert.ok(path.x - method.x < 120 && path.y < method.y + method.height, 'the method stands beside its path')
  await operation.locator('summary').click()
  await operation.locator('input').fill('')
  const requests = []
  page.on('request', (request) => requests.push(request.url()))
  await operation.locator('button[type=submit]').click()
  assert.equal(await operation.locator('[role=alert]').textContent(), 'Give name: the request needs it.')
  assert.equal(await operation.locator('input').evaluate((input) => input === document.activeElement), true)
  await operation.locator('input').fill('go')
  await operation.locator('button[type=submit]').click()
  await operation.locator('pre', { hasText: /^200 / }).waitFor()
  assert.equal(await operation.locator('[role=alert]').textContent(), '')
  assert.deepEqual(requests, [new URL('/v1/services/go', relay.url).href], 'nothing was sent before the field was filled in')
})
