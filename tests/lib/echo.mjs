/** A pair that many stories begin with. */

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
