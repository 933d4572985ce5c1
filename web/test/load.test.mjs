/** Loading the wasm code: once, from anywhere, and again after a failure. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fails, fake, OpenRed } from './world.mjs'

const CODE = new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0])
const join = (options) => OpenRed.join({ relays: ['relay.test:443'], ...options })

test('the code is fetched beside the module; what fails is told and tried again', async (t) => {
  const { fetch } = globalThis
  t.after(() => { globalThis.fetch = fetch })
  const asked = []
  const answers = [
    () => { throw new TypeError('network down') },
    () => new Response('not here', { status: 404 }),
    () => new Response('<!doctype html>', { headers: { 'content-type': 'text/html' } }),
    () => new Response('not wasm at all', { headers: { 'content-type': 'application/wasm' } }),
    () => new Response(CODE, { headers: { 'content-type': 'application/octet-stream' } }),
  ]
  globalThis.fetch = async (url) => {
    asked.push(String(url))
    return answers.shift()()
  }
  assert.match((await fails(() => join(), 'UNREACHABLE')).message, /openred_bg\.wasm: network down/)
  assert.match((await fails(() => join(), 'UNREACHABLE')).message, /HTTP status 404/)
  assert.match((await fails(() => join(), 'UNREACHABLE')).message, /not wasm but text\/html/)
  await fails(() => join(), 'UNSUPPORTED')
  await fails(() => join({ wasm: new Response('', { status: 500 }) }), 'UNREACHABLE')
  assert.equal(fake.inits.length, 0)

  const nodes = await Promise.all([join(), join()])
  assert.equal(fake.inits.length, 1, 'two joins load it once')
  assert.ok(fake.inits[0] instanceof WebAssembly.Module)
  assert.equal(asked.length, 5)
  assert.ok(asked.every((url) => url.endsWith('/openred_bg.wasm')), asked.join())
  await Promise.all(nodes.map((node) => node.close()))
})
