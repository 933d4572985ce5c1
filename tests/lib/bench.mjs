/** What the benches share: samples and their figures, a table for people, a report for programs. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { dirname, join } from 'node:path'
import { browser, endBrowser } from './browser.mjs'
import { outputFolder, removeTemporaryFolders, root } from './workspace.mjs'
import { World } from './world.mjs'

/** The value below which `share` of the samples lie (nearest rank). */
export function quantile (samples, share) {
  const sorted = [...samples].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))]
}

/** `{ n, p50, p95, min, max }` of samples. */
export function figures (samples) {
  if (samples.length === 0) return { n: 0 }
  return { n: samples.length, p50: quantile(samples, 0.5), p95: quantile(samples, 0.95), min: Math.min(...samples), max: Math.max(...samples) }
}

/** How many rounds to run: `OPENRED_BENCH_N`, else `usual`. */
export function rounds (usual) {
  const wanted = Number(process.env.OPENRED_BENCH_N ?? usual)
  if (!Number.isInteger(wanted) || wanted < 1) throw new Error(`OPENRED_BENCH_N must be a whole number from 1, not ${process.env.OPENRED_BENCH_N}`)
  return wanted
}

/** Lines of text in columns; numbers are rounded to one place after the point. */
export function table (header, rows) {
  const cells = [header, ...rows].map((row) => row.map((cell) => (Number.isFinite(cell) ? cell.toFixed(cell < 10 ? 2 : 1) : Number.isNaN(cell) ? '-' : String(cell ?? '-'))))
  const widths = header.map((_, column) => Math.max(...cells.map((row) => row[column].length)))
  const line = (row) => row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]) : cell.padStart(widths[column]))).join('  ')
  return [line(cells[0]), widths.map((width) => '-'.repeat(width)).join('  '), ...cells.slice(1).map(line)].join('\n')
}

/** What the figures were measured on. */
async function conditions () {
  return {
    cpus: `${cpus().length} x ${cpus()[0].model}`,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    browser: `Chromium ${(await browser()).version()}, headless`,
    network: 'loopback',
    commit: commit(),
    date: new Date().toISOString()
  }
}

function commit () {
  if (process.env.OPENRED_COMMIT) return process.env.OPENRED_COMMIT
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: root, stdio: ['ignore', 'pipe', 'ignore'], encoding: 'utf8' }).trim()
  } catch {
    return 'none'
  }
}

/**
 * Runs a bench in a world of its own, prints its table and writes its report to `OPENRED_REPORT` or to
 * `bench/<name>.json` in the target folder.
 *
 * @param {string} name
 * @param {(world: World) => Promise<{ what: string, header: string[], rows: any[][], figures: object, notes?: string[] }>} measure
 */
export async function bench (name, measure) {
  const world = new World(name)
  try {
    const result = await measure(world)
    const report = { bench: name, conditions: await conditions(), ...result }
    delete report.header
    delete report.rows
    const path = process.env.OPENRED_REPORT ?? join(outputFolder('bench'), `${name}.json`)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, `${JSON.stringify(report, null, 2)}\n`)
    const { cpus, browser, commit } = report.conditions
    console.log([`${name}: ${result.what}`, `${cpus}; ${browser}; loopback; commit ${commit}`, '', table(result.header, result.rows), '', ...(result.notes ?? [])].join('\n'))
  } catch (error) {
    await world.report(error)
    throw error
  } finally {
    await world.end()
    await endBrowser()
    await removeTemporaryFolders()
  }
}
