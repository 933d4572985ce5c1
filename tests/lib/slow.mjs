/** A service that reads nothing until it is told to, and what becomes of those who write to it. */

/** Offers `slow` in `provider`. */
export async function serveSlowly (provider) {
  await provider.evaluate(() => {
    globalThis.start = new Promise((resolve) => { globalThis.startReading = resolve })
    globalThis.drained = new Promise((resolve) => {
      node.handle('slow', async (stream) => {
        await globalThis.start
        resolve(await story.sha256(await story.readAll(stream.readable)))
        await stream.writable.close()
      })
    })
    return node.provide({ name: 'slow' })
  })
}

/** Writes `length` bytes to `slow` until it takes no more: how many it took, and by which path. */
export async function writeUntilItWaits (guest, length) {
  return guest.evaluate(async (length) => {
    globalThis.sent = story.pattern(length)
    const stream = await node.open('slow')
    globalThis.writer = stream.writable.getWriter()
    globalThis.at = 0
    globalThis.writeAll = async () => {
      while (globalThis.at < sent.length) {
        await writer.ready
        await writer.write(sent.subarray(at, at + 65_536))
        globalThis.at += 65_536
      }
      await writer.close()
    }
    globalThis.writing = globalThis.writeAll()
    // The writer stands still: nothing was taken for a whole second.
    for (let before = -1; before !== globalThis.at;) {
      before = globalThis.at
      await new Promise((resolve) => setTimeout(resolve, 1_000))
    }
    return { taken: globalThis.at, path: stream.path }
  }, length)
}

/** Has `provider` read: whether everything arrives. */
export async function arrivesWhole (provider, guest) {
  await provider.evaluate(() => globalThis.startReading())
  await guest.evaluate(() => globalThis.writing)
  const [received, sent] = await Promise.all([
    provider.evaluate(() => globalThis.drained),
    guest.evaluate(() => story.sha256(globalThis.sent))
  ])
  return received === sent
}
