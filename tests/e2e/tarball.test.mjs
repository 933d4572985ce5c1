/** The tarball of `npm pack`, used in the ways people use a package. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { join } from 'node:path'
import { build, createServer } from 'vite'
import { NETWORK_ERRORS } from '../lib/browser.mjs'
import { story } from '../lib/story.mjs'
import { projectWith, runIn } from '../lib/tarball.mjs'
import { testsFolder } from '../lib/workspace.mjs'

const samples = new URL('../fixtures/', import.meta.url)
const sample = (name) => readFile(new URL(name, samples), 'utf8')

story('from a bare HTML page, without any build', async (world) => {
  const relay = await world.relay()
  const folder = await projectWith({ 'index.html': await sample('bare.html') })
  const site = await world.site({ folder })
  const page = await world.visit(`${site.url}?relay=${encodeURIComponent(relay.url)}`)
  await page.locator('#said').filter({ hasText: 'found 1, layer own' }).waitFor()
})

story('from a Vite build of a ten-line app', async (world) => {
  const relay = await world.relay()
  const folder = await projectWith({
    'index.html': '<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><p id="said"></p><script type="module" src="/main.js"></script>',
    'main.js': await sample('app.js')
  })
  await build({ root: folder, configFile: false, logLevel: 'error' })
  const site = await world.site({ folder: join(folder, 'dist') })
  const page = await world.visit(`${site.url}?relay=${encodeURIComponent(relay.url)}`)
  await page.locator('#said').filter({ hasText: 'found 1, layer own' }).waitFor()
}, { ms: 120_000 })

/** Where an app of Vite is served from, given its folder: each says in another way that it is no relay. */
const HOSTS = {
  async 'that is built' (world, root) {
    await build({ root, configFile: false, logLevel: 'error' })
    return (await world.site({ folder: join(root, 'dist') })).url
  },
  // It answers what it does not know with the app, and lets foreign WebSockets wait.
  async 'in development' (world, root) {
    const server = await createServer({ root, configFile: false, logLevel: 'error', server: { host: '127.0.0.1', port: 0 } })
    world.atEnd(() => server.close())
    await server.listen()
    return server.resolvedUrls.local[0]
  }
}

for (const [how, host] of Object.entries(HOSTS)) {
  story(`an app of Vite ${how} that names no relay is told at once that its own origin is none`, async (world) => {
    const root = await projectWith({
      'index.html': '<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><script type="module" src="/main.js"></script>',
      'main.js': "import { OpenRed } from '@openred/node'\nglobalThis.OpenRed = OpenRed\n"
    })
    const page = await world.visit(await host(world, root), { tolerate: [...NETWORK_ERRORS, /^Failed to load resource: .* 404/] })
    await page.waitForFunction(() => globalThis.OpenRed)
    const joining = await page.evaluate(() => story.outcome(() => OpenRed.join()))
    assert.equal(joining.code, 'NO_RELAY')
    assert.match(joining.message, /own origin is no relay \(http:\S+\): pass relays: \[/)
    assert.ok(joining.ms < 3_000, `${joining.ms} ms`)
  }, { ms: 120_000 })
}

for (const [resolution, options] of Object.entries({
  bundler: ['--module', 'esnext', '--moduleResolution', 'bundler'],
  nodenext: ['--module', 'nodenext', '--moduleResolution', 'nodenext']
})) {
  test(`its types are true for a sample, resolved as ${resolution}`, { timeout: 120_000 }, async () => {
    const folder = await projectWith({ 'sample.ts': await sample('sample.ts') })
    const { code, output } = await runIn(folder, join(testsFolder, 'node_modules', '.bin', 'tsc'), [
      '--noEmit', '--strict', '--exactOptionalPropertyTypes', '--target', 'es2022', '--lib', 'es2022,dom,dom.iterable,esnext.disposable',
      '--types', '', ...options, 'sample.ts'
    ])
    assert.equal(code, 0, output)
  })
}

test('its types refuse what is wrong', { timeout: 120_000 }, async () => {
  const wrong = await sample('wrong.ts')
  const folder = await projectWith({ 'wrong.ts': wrong })
  const { output } = await runIn(folder, join(testsFolder, 'node_modules', '.bin', 'tsc'), [
    '--noEmit', '--strict', '--target', 'es2022', '--lib', 'es2022,dom,dom.iterable,esnext.disposable', '--types', '',
    '--module', 'esnext', '--moduleResolution', 'bundler', 'wrong.ts'
  ])
  const refused = new Set(Array.from(output.matchAll(/wrong\.ts\((\d+),/g), ([, line]) => Number(line)))
  const expected = wrong.split('\n').flatMap((line, index) => (line.includes('// wrong') ? [index + 1] : []))
  assert.deepEqual([...refused].sort((a, b) => a - b), expected, output)
})

test('importing it in Node.js does nothing and is safe', { timeout: 60_000 }, async () => {
  const folder = await projectWith()
  const { code, output } = await runIn(folder, process.execPath, ['--input-type=module', '--eval', `
    const before = Object.keys(globalThis).length
    const exported = await import('@openred/node')
    // The loader closes the files it has read a turn of the loop later.
    await new Promise((resolve) => setTimeout(resolve, 50))
    if (typeof exported.OpenRed.join !== 'function') throw new Error('no OpenRed.join')
    if (Object.keys(globalThis).length !== before) throw new Error('the import added globals')
    const handles = process.getActiveResourcesInfo().filter((name) => !['TTYWrap', 'PipeWrap', 'Timeout'].includes(name))
    if (handles.length > 0) throw new Error('the import left ' + handles)
    console.log('quiet')
  `], 20_000)
  assert.equal(code, 0, output)
  assert.equal(output.trim(), 'quiet')
})

test('it carries its licence, readme and nothing of ours', { timeout: 60_000 }, async () => {
  const folder = await projectWith()
  const inside = join(folder, 'node_modules', '@openred', 'node')
  const manifest = JSON.parse(await readFile(join(inside, 'package.json'), 'utf8'))
  assert.equal(manifest.name, '@openred/node')
  assert.deepEqual(Object.keys(manifest.dependencies ?? {}), [])
  const { output } = await runIn(inside, 'find', ['.', '-type', 'f'])
  const files = output.trim().split('\n').map((path) => path.slice(2)).sort()
  for (const needed of ['dist/index.js', 'dist/index.d.ts', 'dist/openred_bg.wasm', 'package.json']) {
    assert.ok(files.includes(needed), `${needed} is missing among ${files}`)
  }
  assert.ok(files.some((file) => /^LICEN[CS]E/.test(file)), `no licence among ${files}`)
  assert.deepEqual(files.filter((file) => /(^|\/)(src|test|node_modules|page)\//.test(file)), [])
})
