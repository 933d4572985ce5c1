/** A pair that many stories begin with, and what its guest does. */

/**
 * Two members on different relays of three; in the first one an echo service stands under `echo`. The options are those of
 * `World.member`, for both of them or for one.
 */
export async function echoPair (world, { provider: ofProvider, guest: ofGuest, ...both } = {}) {
  const [a, b, c] = await world.threeRelays()
  const provider = await world.member([b], { ...both, ...ofProvider })
  const guest = await world.member([c], { ...both, ...ofGuest })
  await provider.evaluate(async () => {
    globalThis.handler = node.handle('echo', (stream) => stream.readable.pipeTo(stream.writable))
    globalThis.registration = await node.provide({ name: 'echo', type: 'echo', metadata: { color: 'red' } })
  })
  return { provider, guest, relays: [a, b, c], b, c }
}

/** Says `text` to an echo: what comes back, and by which path. */
export async function echoes (page, text, target = 'echo') {
  return page.evaluate(async ({ text, target }) => {
    const stream = await node.open(target)
    const writer = stream.writable.getWriter()
    await writer.write(new TextEncoder().encode(text))
    await writer.close()
    return { path: stream.path, text: new TextDecoder().decode(await story.readAll(stream.readable)) }
  }, { text, target })
}

/** Sends `length` bytes to an echo while it reads what comes back: by which path, and whether all of it came back in order. */
export async function echoesWhole (page, length, target = 'echo') {
  return page.evaluate(async ({ length, target }) => {
    const sent = story.pattern(length)
    const stream = await node.open(target)
    const [received] = await Promise.all([story.readAll(stream.readable), new Blob([sent]).stream().pipeTo(stream.writable)])
    return { path: stream.path, whole: await story.sha256(received) === await story.sha256(sent) }
  }, { length, target })
}
