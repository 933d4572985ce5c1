/** The npm package as its users get it: packed, and installed into a project of their own. */
import { execFile } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { root, temporaryFolder } from './workspace.mjs'

const run = promisify(execFile)
/** Nothing is fetched: the package has no dependencies, so this is disk work only. */
const NPM_MS = 60_000

let packed

/** The path of the tarball: `OPENRED_NPM_TARBALL`, or one packed from `web/`. */
export function tarball () {
  packed ??= pack()
  return packed
}

async function pack () {
  if (process.env.OPENRED_NPM_TARBALL) return process.env.OPENRED_NPM_TARBALL
  const folder = await temporaryFolder('openred-pack-')
  const { stdout } = await run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], { cwd: join(root, 'web'), timeout: NPM_MS })
  return join(folder, Object.values(JSON.parse(stdout))[0].filename)
}

/**
 * A temporary project with the package installed from the tarball.
 *
 * @param {Record<string, string>} files further files by path
 * @returns {Promise<string>} its folder
 */
export async function projectWith (files = {}) {
  const folder = await temporaryFolder('openred-project-')
  await writeFile(join(folder, 'package.json'), JSON.stringify({ name: 'guest-project', private: true, type: 'module' }))
  await run('npm', ['install', '--offline', '--no-audit', '--no-fund', '--no-package-lock', await tarball()], { cwd: folder, timeout: NPM_MS })
  for (const [path, content] of Object.entries(files)) {
    await mkdir(join(folder, path, '..'), { recursive: true })
    await writeFile(join(folder, path), content)
  }
  return folder
}

/** Runs a program in `cwd`; gives `{ code, output }` and never throws. */
export async function runIn (cwd, program, args, ms = NPM_MS) {
  try {
    const { stdout, stderr } = await run(program, args, { cwd, timeout: ms })
    return { code: 0, output: stdout + stderr }
  } catch (error) {
    return { code: error.code ?? error.signal ?? 'no code', output: `${error.stdout ?? ''}${error.stderr ?? ''}${error.message}` }
  }
}
