/**
 * Loads the wasm code, and is the only file that knows where the raw binding lives.
 *
 * The code is loaded by the first join and shared by all nodes of a page. A crash poisons it for good: from then on
 * joining fails with `CRASHED` until the page is loaded anew.
 */

import init, { RawNode, checkName, generateIdentity, onCrash, peerIdOf } from '../pkg/openred.js'
import type { Binding } from './binding.js'
import { OpenRedError } from './errors.js'
import { crashed } from './failures.js'
import type { JoinOptions } from './types.js'

const binding: Binding = { RawNode, generateIdentity, peerIdOf, checkName }
const watchers = new Set<(message: string) => void>()
let loading: Promise<Binding> | undefined
let crash: string | undefined

/** Loads the code once; a load that failed is tried again by the next call. */
export function loadBinding(source?: JoinOptions['wasm']): Promise<Binding> {
  if (crash !== undefined) return Promise.reject(crashed(crash))
  if (!loading) {
    loading = load(source ?? new URL('../pkg/openred_bg.wasm', import.meta.url))
    loading.catch(() => {
      loading = undefined
    })
  }
  return loading
}

/** Calls `watcher` if the code crashes, until the returned function is called. */
export function onBindingCrash(watcher: (message: string) => void): () => void {
  watchers.add(watcher)
  return () => watchers.delete(watcher)
}

/** The code has crashed: every node of the page is lost. */
export function bindingCrashed(message: string): void {
  crash ??= message
  for (const watcher of [...watchers]) watcher(message)
}

async function load(source: NonNullable<JoinOptions['wasm']>): Promise<Binding> {
  if (typeof WebAssembly === 'undefined') throw new OpenRedError('UNSUPPORTED', 'this platform has no WebAssembly')
  const module = await compile(source)
  try {
    await init({ module_or_path: module })
  } catch (thrown) {
    throw unsupported(thrown)
  }
  onCrash(bindingCrashed)
  return binding
}

async function compile(source: NonNullable<JoinOptions['wasm']>): Promise<WebAssembly.Module> {
  if (source instanceof WebAssembly.Module) return source
  if (source instanceof ArrayBuffer || ArrayBuffer.isView(source)) return WebAssembly.compile(source as BufferSource).catch(refuse)
  const response = source instanceof Response ? source : await download(source)
  if (!response.ok) throw notLoaded(response.url, `HTTP status ${response.status}`)
  const type = response.headers.get('content-type') ?? 'no type'
  if (type.startsWith('application/wasm')) return WebAssembly.compileStreaming(response).catch(refuse)
  // Compiling while bytes arrive needs the right type. Hosts that do not know .wasm send another one; some send a page.
  const bytes = await response.arrayBuffer().catch((thrown: unknown) => Promise.reject(notLoaded(response.url, thrown)))
  if (!isWasm(bytes)) throw notLoaded(response.url, `what came is not wasm but ${type}`)
  return WebAssembly.compile(bytes).catch(refuse)
}

function isWasm(bytes: ArrayBuffer): boolean {
  return String.fromCharCode(...new Uint8Array(bytes).subarray(0, 4)) === '\0asm'
}

async function download(url: string | URL): Promise<Response> {
  try {
    return await fetch(url)
  } catch (thrown) {
    throw notLoaded(String(url), thrown)
  }
}

function notLoaded(url: string, cause: unknown): OpenRedError {
  const text = cause instanceof Error ? cause.message : String(cause)
  return new OpenRedError('UNREACHABLE', `the node's code could not be loaded from ${url}: ${text}`, { cause })
}

function refuse(thrown: unknown): never {
  throw unsupported(thrown)
}

function unsupported(cause: unknown): OpenRedError {
  const text = cause instanceof Error ? cause.message : String(cause)
  return new OpenRedError('UNSUPPORTED', `the node's code does not run here: ${text}`, { cause })
}
