/** A pair that many stories begin with. */

/** Two members on different relays of three; in the first one an echo service stands under `echo`. */
export async function echoPair (world) {
  const [, b, c] = await world.threeRelays()
  const provider = await world.member([b])
  const guest = await world.member([c])
  await provider.evaluate(async () => {
    globalThis.handler = node.handle('echo', (stream) => stream.readable.pipeTo(stream.writable))
    globalThis.registration = await node.provide({ name: 'echo', type: 'echo', metadata: { color: 'red' } })
  })
  return { provider, guest, b, c }
}
