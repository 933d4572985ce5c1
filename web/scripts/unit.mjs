/**
 * Runs the unit tests: the sources are bundled with a stand-in for the wasm binding (`test/fake/`), then `node --test`
 * imports what came out.
 */
import { spawnSync } from 'node:child_process'
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'

const web = fileURLToPath(new URL('..', import.meta.url))
const out = join(web, 'node_modules', '.cache', 'unit')
const fake = join(web, 'test', 'fake', 'openred.mjs')

rmSync(out, { recursive: true, force: true })
const build = await rolldown({
  input: {
    ...Object.fromEntries(['index', 'fetch', 'identity', 'join', 'life', 'memory', 'relays'].map((name) => [name, join(web, 'src', `${name}.ts`)])),
    names: join(web, 'page', 'names.ts'),
    ...Object.fromEntries(['hosted', 'visited', 'wire'].map((name) => [name, join(web, 'page', 'chat', `${name}.ts`)])),
    fake,
  },
  platform: 'neutral',
  tsconfig: join(web, 'tsconfig.json'),
  plugins: [{
    name: 'fake-binding',
    resolveId: (source) => (source === '../pkg/openred.js' ? fake : null),
  }],
})
await build.write({ dir: out, format: 'esm', entryFileNames: '[name].mjs', chunkFileNames: '[name].mjs', sourcemap: true })

const tests = readdirSync(join(web, 'test')).filter((name) => name.endsWith('.test.mjs')).map((name) => join(web, 'test', name))
const { status } = spawnSync(process.execPath, ['--enable-source-maps', '--test', ...tests], { stdio: 'inherit' })
process.exit(status ?? 1)
