/**
 * Builds the npm package into `dist/`: one ES module, its types, and the wasm file beside it.
 *
 * The module asks for `./openred_bg.wasm` relative to itself with the plain `new URL(..., import.meta.url)` that
 * browsers, Vite and other bundlers understand; the file is never put into the JavaScript.
 */
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'

const web = fileURLToPath(new URL('..', import.meta.url))
const dist = join(web, 'dist')
const scratch = join(web, 'node_modules', '.cache', 'types')

for (const needed of ['openred.js', 'openred_bg.wasm']) {
  if (existsSync(join(web, 'pkg', needed))) continue
  console.error(`web/pkg/${needed} is missing: \`cargo xtask build\` makes it`)
  process.exit(1)
}

rmSync(dist, { recursive: true, force: true })
mkdirSync(dist, { recursive: true })
await bundle()
types()
cpSync(join(web, 'pkg', 'openred_bg.wasm'), join(dist, 'openred_bg.wasm'))
licence()

async function bundle () {
  const build = await rolldown({ input: join(web, 'src', 'index.ts'), platform: 'browser', tsconfig: join(web, 'tsconfig.json') })
  const { output } = await build.generate({ format: 'esm', comments: false })
  const [chunk, ...others] = output
  if (others.length > 0) throw new Error(`one module was wanted, these came too: ${others.map((other) => other.fileName)}`)
  const inSource = '../pkg/openred_bg.wasm'
  if (chunk.code.split(inSource).length !== 2) throw new Error(`src/raw.ts should name ${inSource} exactly once`)
  writeFileSync(join(dist, 'index.js'), chunk.code.replace(inSource, './openred_bg.wasm'))
}

/** Declarations of the public modules only: those that `index.d.ts` reaches. */
function types () {
  rmSync(scratch, { recursive: true, force: true })
  const compiler = join(web, 'node_modules', 'typescript', 'bin', 'tsc')
  const args = ['-p', web, '--declaration', '--emitDeclarationOnly', '--rootDir', join(web, 'src'), '--outDir', scratch]
  execFileSync(process.execPath, [compiler, ...args], { stdio: 'inherit' })
  const reached = new Set()
  const reach = (file) => {
    if (reached.has(file)) return
    reached.add(file)
    const text = readFileSync(file, 'utf8')
    for (const [, path] of text.matchAll(/from '(\.[^']+)\.js'/g)) reach(join(dirname(file), `${path}.d.ts`))
    const target = join(dist, relative(scratch, file))
    mkdirSync(dirname(target), { recursive: true })
    writeFileSync(target, text)
  }
  reach(join(scratch, 'index.d.ts'))
}

/** The project's licence travels with the package. */
function licence () {
  const root = join(web, '..')
  const files = readdirSync(root).filter((name) => /^LICEN[CS]E/.test(name))
  if (files.length === 0) throw new Error('the project has no LICENSE file to put into the package')
  for (const file of files) cpSync(join(root, file), join(web, file))
}
