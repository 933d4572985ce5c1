/** js-libp2p for pages: bundled once per process, as an application would ship it. */
import { fileURLToPath } from 'node:url'
import { build } from 'vite'

let bundled

/** One minified ES module that sets `globalThis.js`, as text. */
export function jsLibp2pBundle () {
  bundled ??= bundle()
  return bundled
}

async function bundle () {
  const result = await build({
    configFile: false,
    logLevel: 'error',
    define: { 'process.env.NODE_ENV': '"production"' },
    build: {
      write: false,
      target: 'es2022',
      minify: true,
      lib: { entry: fileURLToPath(new URL('js-libp2p-page.mjs', import.meta.url)), formats: ['es'], fileName: 'js-libp2p' },
      rolldownOptions: { output: { codeSplitting: false } }
    }
  })
  const [{ output }] = [result].flat()
  const [chunk, ...others] = output.filter((part) => part.type === 'chunk')
  if (others.length > 0) throw new Error('js-libp2p was bundled into more than one file')
  return chunk.code
}

/** Pages for a site: a blank one that loads js-libp2p. */
export async function jsLibp2pPages () {
  return {
    '/': '<!doctype html><html lang="en"><meta charset="utf-8"><title>js-libp2p</title><link rel="icon" href="data:,"><script type="module" src="/js-libp2p.js"></script>',
    '/js-libp2p.js': await jsLibp2pBundle()
  }
}
