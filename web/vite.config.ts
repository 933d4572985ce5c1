/** Builds the page into `site/`. `vite --mode fake` runs it on the unit tests' stand-in for the wasm node. */
import { fileURLToPath } from 'node:url'
import { defineConfig, type Plugin } from 'vite'

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

/** Lets the browser fetch the wasm file side by side with the script that asks for it. */
function preloadWasm(): Plugin {
  return {
    name: 'preload-wasm',
    apply: 'build',
    transformIndexHtml: {
      order: 'post',
      handler: (_html, { bundle = {} }) =>
        Object.keys(bundle)
          .filter((file) => file.endsWith('.wasm'))
          .map((file) => ({
            tag: 'link',
            attrs: { rel: 'preload', as: 'fetch', type: 'application/wasm', crossorigin: '', href: `./${file}` },
            injectTo: 'head' as const,
          })),
    },
  }
}

/** The smallest wasm module there is. */
const EMPTY_MODULE = 'AGFzbQEAAAA='

function fakeBinding(): Plugin {
  return {
    name: 'fake-binding',
    enforce: 'pre',
    resolveId: (source) => (source.endsWith('/pkg/openred.js') ? here('./test/fake/openred.mjs') : null),
    transform: (code) => code.replace("new URL('../pkg/openred_bg.wasm', import.meta.url)", `'data:application/wasm;base64,${EMPTY_MODULE}'`),
  }
}

export default defineConfig(({ mode }) => ({
  root: here('./page'),
  base: './',
  plugins: mode === 'fake' ? [fakeBinding()] : [preloadWasm()],
  build: {
    outDir: here('./site'),
    emptyOutDir: true,
    target: 'es2022',
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
}))
