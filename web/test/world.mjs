/** What the unit tests share: the package on top of the fake binding, in a platform that looks like a browser. */
import assert from 'node:assert/strict'

export { OpenRed, OpenRedError } from '../node_modules/.cache/unit/index.mjs'
export { fake } from '../node_modules/.cache/unit/fake.mjs'
import { OpenRed, OpenRedError } from '../node_modules/.cache/unit/index.mjs'

/** The smallest wasm module there is; the fake does not look into it. */
export const wasm = new WebAssembly.Module(new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]))

/** Node.js 20 has no WebSocket; joining asks only whether there is one. */
globalThis.WebSocket ??= class {}

export function join (options = {}) {
  return OpenRed.join({ relays: ['relay.test:443'], wasm, ...options })
}

/** Two nodes; the second one serves `name` with `handler` and offers it. */
export async function pair (name, handler) {
  const [guest, host] = await Promise.all([join(), join()])
  host.handle(name, handler)
  await host.provide({ name })
  return { guest, host }
}

/** Asserts that `action` throws or rejects with an `OpenRedError` of this code, and gives the error. */
export async function fails (action, code) {
  let error, value
  try {
    value = await action()
  } catch (thrown) {
    error = thrown
  }
  assert.ok(error, `${code} was expected, it gave ${JSON.stringify(value)}`)
  assert.ok(error instanceof OpenRedError && error instanceof Error, `no OpenRedError: ${error}`)
  assert.equal(error.code, code, error.message)
  return error
}

export async function readAll (readable) {
  const parts = []
  for await (const part of readable) parts.push(part)
  return Buffer.concat(parts)
}

/** Lets everything run that waits for nothing but its turn. */
export const settled = () => new Promise((resolve) => setTimeout(resolve, 5))
