/** The default relay, and what a page's address says. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultRelays, isPublic, isSecure } from '../node_modules/.cache/unit/relays.mjs'

test('the origin that served the module, if it is a relay, else the page\'s', async (t) => {
  const { fetch } = globalThis
  t.after(() => { globalThis.fetch = fetch })
  const asked = []
  let answer = () => Response.json({ peerId: '12D3KooW', addresses: [] })
  globalThis.fetch = async (url) => {
    asked.push(url)
    return answer()
  }
  const [module, page] = ['https://relay.test/npm/index.js', 'https://app.test/page?x#y']
  assert.deepEqual(await defaultRelays(module, page), ['https://relay.test'])
  assert.deepEqual(asked, ['https://relay.test/bootstrap.json'])

  for (const other of [
    () => Response.json({ peerId: 'x', addresses: [] }, { status: 404 }),
    () => Response.json([]),
    () => new Response('<html>'),
    () => { throw new TypeError('no CORS') },
  ]) {
    answer = other
    assert.deepEqual(await defaultRelays(module, page), ['https://app.test'])
  }
  const before = asked.length
  assert.deepEqual(await defaultRelays('https://app.test/assets/index.js', page), ['https://app.test'])
  assert.deepEqual(await defaultRelays('file:///module.js', page), ['https://app.test'])
  assert.equal(asked.length, before, 'where there is no choice nobody is asked')
  await assert.rejects(defaultRelays('file:///module.js', undefined), { code: 'INVALID_OPTION' })
})

test('public and secure pages', () => {
  for (const url of ['https://openred.example/', 'http://8.8.8.8/', 'https://[2001:db8::1]/', 'http://172.32.0.1/']) assert.ok(isPublic(url), url)
  for (const url of [
    undefined, 'file:///index.html', 'http://localhost:8080/', 'http://a.localhost/', 'http://127.0.0.1/', 'http://10.1.2.3/', 'http://172.16.0.1/',
    'http://192.168.1.1/', 'http://169.254.1.1/', 'http://100.64.0.1/', 'http://[::1]/', 'http://[fe80::1]/', 'http://[fd00::1]/', 'http://printer/', 'http://box.local/',
  ]) assert.ok(!isPublic(url), String(url))
  assert.ok(isSecure('https://x.test/') && !isSecure('http://x.test/') && !isSecure(undefined))
})
