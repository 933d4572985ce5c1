/**
 * HTTP for the wasm node: directories' answers and lists of relays.
 *
 * Nothing of this page's visitor goes along (no cookies, no referrer), and no redirect is followed: a directory is asked at
 * the address that was learned, or not at all.
 */

/** The node gives a request up far earlier; this is for what it forgets. */
const TIMEOUT_MS = 15_000

/** The body of an answer with status 200, at most `limit` bytes; rejects with the reason as a string. */
export async function fetchBytes(url: string, limit: number, signal: AbortSignal): Promise<Uint8Array> {
  const stop = new AbortController()
  const onAbort = (): void => stop.abort()
  signal.addEventListener('abort', onAbort)
  const timer = setTimeout(onAbort, TIMEOUT_MS)
  try {
    const options: RequestInit = { signal: stop.signal, credentials: 'omit', redirect: 'error', cache: 'no-store', referrerPolicy: 'no-referrer' }
    const response = await fetch(url, options)
    if (response.status !== 200) throw new Error(`the answer's status is ${response.status}`)
    return await bounded(response, limit)
  } catch (thrown) {
    // The wasm side takes plain strings.
    throw thrown instanceof Error ? thrown.message : String(thrown)
  } finally {
    // Ends what is still coming, when the answer was too long or of another status.
    stop.abort()
    clearTimeout(timer)
    signal.removeEventListener('abort', onAbort)
  }
}

async function bounded(response: Response, limit: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let length = 0
  const reader = response.body?.getReader()
  for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) {
    length += part.value.length
    if (length > limit) throw new Error(`the answer is longer than ${limit} bytes`)
    parts.push(part.value)
  }
  const whole = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
