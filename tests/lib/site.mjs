/** Static pages on loopback, on an origin that is not a relay's. */
import { createServer } from 'node:http'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { extname, join, normalize, sep } from 'node:path'

const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.map': 'application/json',
  '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm'
}

/** A page with nothing in it. */
export const BLANK = '<!doctype html><html lang="en"><meta charset="utf-8"><title>blank</title><link rel="icon" href="data:,">'

/**
 * Serves `pages` (path to text or bytes) and, below them, the files of `folder`. Without either, a blank page.
 *
 * @param {{ pages?: Record<string, string | Uint8Array>, folder?: string, cache?: boolean }} [content]
 *   `cache`: files may be kept by the browser for an hour, as a real site's would be
 */
export async function serve ({ folder, pages = folder === undefined ? { '/': BLANK } : {}, cache = false } = {}) {
  const server = createServer(async (request, response) => {
    const path = decodeURIComponent(new URL(request.url, 'http://site').pathname)
    const body = pages[path] ?? await file(folder, path)
    if (body === undefined) {
      response.writeHead(404, { 'content-type': 'text/plain' }).end('not here')
      return
    }
    response.writeHead(200, {
      'content-type': TYPES[extname(path)] ?? TYPES['.html'],
      'cache-control': cache ? 'public, max-age=3600, immutable' : 'no-store'
    }).end(body)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  return {
    url: `http://127.0.0.1:${port}/`,
    port,
    async end () {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    }
  }
}

async function file (folder, path) {
  if (folder === undefined) return undefined
  const inside = normalize(path).split(sep).filter((part) => part !== '' && part !== '..')
  if (path.endsWith('/')) inside.push('index.html')
  try {
    return await readFile(join(folder, ...inside))
  } catch {
    return undefined
  }
}
