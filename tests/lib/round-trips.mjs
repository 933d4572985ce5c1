/** Run in a page, where `open` gives a stream of an echo: `count` messages of `size` bytes there and back, in ms each. */

/** Over a stream of ours. */
export async function roundTrips ({ count, size }) {
  const stream = await globalThis.open('echo')
  const [writer, reader] = [stream.writable.getWriter(), stream.readable.getReader()]
  const times = []
  for (let i = 0; i < count; i++) {
    const start = performance.now()
    await writer.write(new Uint8Array(size).fill(i))
    for (let got = 0; got < size;) got += (await reader.read()).value.length
    times.push(performance.now() - start)
  }
  await writer.close()
  await reader.cancel()
  return times
}

/** Over a stream of js-libp2p's. */
export async function jsRoundTrips ({ count, size }) {
  const stream = await globalThis.open('/echo/1.0.0')
  const parts = stream[Symbol.asyncIterator]()
  const times = []
  for (let i = 0; i < count; i++) {
    const start = performance.now()
    stream.send(new Uint8Array(size).fill(i))
    for (let got = 0; got < size;) got += (await parts.next()).value.byteLength
    times.push(performance.now() - start)
  }
  await stream.close()
  return times
}
