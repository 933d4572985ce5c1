/**
 * Which relays to enter through when the caller names none, and what the page's own address says about dialling.
 */

import { OpenRedError } from './errors.js'

/** A relay answers its own `/bootstrap.json` at once; a static file host that swallows requests must not hold up. */
const PROBE_MS = 1_500

/** HTTP's request timeout and too many requests: they say nothing of who answers. */
const BUSY = [408, 429]

/**
 * The origin that served this module if it answers as a relay, else the page's origin. Where both are the same there
 * is nothing to ask.
 */
export async function defaultRelays(moduleUrl: string, pageUrl: string | undefined): Promise<string[]> {
  const page = webOrigin(pageUrl)
  const module = webOrigin(moduleUrl)
  if (module && module !== page && (await isRelay(module))) return [module]
  if (page) return [page]
  throw new OpenRedError('INVALID_OPTION', 'relays is not given and there is no page whose origin could be one; name at least one')
}

async function isRelay(origin: string): Promise<boolean> {
  try {
    const response = await askForRelay(origin)
    return response.ok && isBootstrap(await response.json())
  } catch {
    return false
  }
}

/**
 * Whether an origin certainly is no relay: it answers, but not as one. Who does not answer, or says that something broke or
 * that it is busy, may be one that is back in a moment.
 */
export async function isNoRelay(origin: string): Promise<boolean> {
  const response = await askForRelay(origin).catch(() => undefined)
  if (!response || response.status >= 500 || BUSY.includes(response.status)) return false
  if (!response.ok) return true
  const text = await response.text().catch(() => undefined)
  return text !== undefined && !isBootstrap(parsed(text))
}

function askForRelay(origin: string): Promise<Response> {
  return fetch(`${origin}/bootstrap.json`, { signal: AbortSignal.timeout(PROBE_MS), credentials: 'omit' })
}

function isBootstrap(answer: unknown): boolean {
  return typeof answer === 'object' && answer !== null && 'peerId' in answer && 'addresses' in answer
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function webOrigin(url: string | undefined): string | undefined {
  if (url === undefined || !/^https?:/.test(url)) return undefined
  return new URL(url).origin
}

/** The page's address, where there is a page. */
export function pageUrl(): string | undefined {
  return typeof location === 'undefined' ? undefined : location.href
}

/** On https pages `host:port` means a secure WebSocket: browsers refuse any other. */
export function isSecure(url: string | undefined): boolean {
  return url !== undefined && url.startsWith('https:')
}

/**
 * Whether the page comes from the open internet. Browsers ask the visitor before such a page may touch private
 * addresses, so those of other peers are then never dialled.
 */
export function isPublic(url: string | undefined): boolean {
  if (webOrigin(url) === undefined) return false
  const host = new URL(url!).hostname.toLowerCase()
  if (host.startsWith('[')) return !/^\[(::1?\]|f[cd]|fe[89ab]|::ffff:)/.test(host)
  if (/^\d+\.\d+\.\d+\.\d+$/.test(host)) {
    return !/^(0|10|127|169\.254|192\.168|172\.(1[6-9]|2\d|3[01])|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7]))\./.test(host)
  }
  return host.includes('.') && !/\.(localhost|local|internal|home\.arpa)$/.test(host)
}
