/** HTTP for the wasm node, against a real server. */
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { after, before, test } from 'node:test'
import { fetchBytes } from '../node_modules/.cache/unit/fetch.mjs'

let server
let origin
const gone = new Set()

before(async () => {
  server = createServer((request, response) => {
    response.on('close', () => gone.add(request.url))
    if (request.url === '/bytes') return response.end(Buffer.alloc(100_000, 7))
    if (request.url === '/empty') return response.end()
    if (request.url === '/elsewhere') return response.writeHead(302, { location: '/bytes' }).end()
    if (request.url === '/endless') {
      const more = () => response.destroyed || response.write(Buffer.alloc(65_536), more)
      return more()
    }
    if (request.url === '/silence') return undefined
    return response.writeHead(404).end('nothing here')
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  origin = `http://127.0.0.1:${server.address().port}`
})

after(() => {
  server.closeAllConnections()
  server.close()
})

const get = (path, limit = 1_000_000, signal = new AbortController().signal) => fetchBytes(`${origin}${path}`, limit, signal)

test('a body within the limit arrives whole', async () => {
  assert.deepEqual(await get('/bytes', 100_000), new Uint8Array(100_000).fill(7))
  assert.deepEqual(await get('/empty', 0), new Uint8Array())
})

test('what is no answer rejects with a string that says why', async () => {
  const cases = [['/bytes', 99_999, /longer than 99999 bytes/], ['/endless', 500_000, /longer than/], ['/nothing', 10, /404/], ['/elsewhere', 10, /./]]
  for (const [path, limit, reason] of cases) {
    await assert.rejects(get(path, limit), (thrown) => typeof thrown === 'string' && reason.test(thrown), path)
  }
  while (!gone.has('/endless')) await new Promise((resolve) => setImmediate(resolve))
})

test('a request that is given up ends at once, at the server too', async () => {
  const stop = new AbortController()
  const asked = get('/silence', 10, stop.signal)
  server.once('request', () => stop.abort())
  await assert.rejects(asked, (thrown) => typeof thrown === 'string')
  while (!gone.has('/silence')) await new Promise((resolve) => setImmediate(resolve))
})
