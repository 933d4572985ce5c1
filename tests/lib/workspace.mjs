/**
 * Where things are: the project, what was built of it, and where tests may write.
 *
 * Every place can be set from outside: `CARGO_TARGET_DIR`, `OPENRED_BIN`, `OPENRED_CHROMIUM`, `OPENRED_FIREFOX`,
 * `OPENRED_NPM_TARBALL`, `OPENRED_REPORT`. Nothing here builds anything.
 */
import { existsSync, mkdirSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The project's root folder. */
export const root = fileURLToPath(new URL('../../', import.meta.url))

/** The folder that holds these tests and their node_modules. */
export const testsFolder = join(root, 'tests')

/** Cargo's target folder. */
export const target = resolve(root, process.env.CARGO_TARGET_DIR ?? 'target')

/** The relay binary, or an error that says how to get one. */
export function openredBinary () {
  const path = process.env.OPENRED_BIN ?? join(target, 'release', 'openred')
  if (!existsSync(path)) {
    throw new Error(`no relay binary at ${path}: run \`cargo xtask build\` or set OPENRED_BIN`)
  }
  return path
}

/** Chromium's executable. */
export function chromium () {
  return executable('Chromium', 'OPENRED_CHROMIUM', ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'])
}

/** Firefox's executable. */
export function firefox () {
  return executable('Firefox', 'OPENRED_FIREFOX', ['/usr/bin/firefox-esr', '/usr/bin/firefox'])
}

function executable (name, variable, usual) {
  const candidates = [process.env[variable], ...usual]
  const path = candidates.find((candidate) => candidate !== undefined && candidate !== '' && existsSync(candidate))
  if (path === undefined) throw new Error(`no ${name} found: install it or set ${variable}`)
  return path
}

/** A folder under the target folder for what a run leaves behind (screenshots, reports). */
export function outputFolder (name) {
  const path = join(target, name)
  mkdirSync(path, { recursive: true })
  return path
}

/** The name of the running test file without its endings, to name what it leaves behind. */
export function storyFile () {
  return basename(process.argv[1] ?? 'story').replace(/(\.test)?\.mjs$/, '')
}

const temporary = new Set()

/** A new empty temporary folder, removed by `removeTemporaryFolders`. */
export async function temporaryFolder (prefix = 'openred-') {
  const path = await mkdtemp(join(tmpdir(), prefix))
  temporary.add(path)
  return path
}

/** Removes every folder made by `temporaryFolder` in this process. */
export async function removeTemporaryFolders () {
  for (const path of temporary) {
    await rm(path, { recursive: true, force: true, maxRetries: 3 })
    temporary.delete(path)
  }
}
