/**
 * Runs the unit tests: the sources are bundled with a stand-in for the wasm binding (`test/fake/`), then `node --test`
 * imports that bundle. Modules keep their own files, so that tests reach them one by one.
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
  input: { index: join(web, 'src', 'index.ts'), identity: join(web, 'src', 'identity.ts'), relays: join(web, 'src', 'relays.ts'), fake },
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
