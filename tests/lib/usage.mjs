/** What processes and pages use: memory and processor time. Linux tells of processes in `/proc`; elsewhere they are NaN. */
import { readFile } from 'node:fs/promises'
import { browser } from './browser.mjs'

/** Ticks of a second in `/proc/<pid>/stat`, the same on every Linux in use. */
const TICKS = 100

const PAGE_BYTES = 4_096

/** `{ rssBytes, cpuSeconds }` of the process `pid` so far. */
export async function processUsage (pid) {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
    // The name in parentheses may hold anything; the state is the first field after it, the third of all.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return { rssBytes: Number(fields[21]) * PAGE_BYTES, cpuSeconds: (Number(fields[11]) + Number(fields[12])) / TICKS }
  } catch {
    return { rssBytes: NaN, cpuSeconds: NaN }
  }
}

/** Bytes in memory of all renderers of this process's Chromium together. */
export async function renderersRss () {
  const session = await (await browser()).newBrowserCDPSession()
  try {
    const { processInfo } = await session.send('SystemInfo.getProcessInfo')
    const usages = await Promise.all(processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => processUsage(id)))
    return usages.reduce((sum, { rssBytes }) => sum + rssBytes, 0)
  } finally {
    await session.detach()
  }
}

/** Watches the JavaScript heap of a Chromium page. */
export class Heap {
  #session

  static async of (page) {
    const heap = new Heap()
    heap.#session = await page.context().newCDPSession(page)
    return heap
  }

  /** Bytes of objects and of array buffers in use; what nobody refers to counts until it is collected. */
  async bytes () {
    const { usedSize, backingStorageSize = 0 } = await this.#session.send('Runtime.getHeapUsage')
    return usedSize + backingStorageSize
  }

  /** The same after everything that can be collected has been. */
  async bytesInUse () {
    await this.#session.send('HeapProfiler.collectGarbage')
    return this.bytes()
  }
}
