/** The command line and pages are nodes of one network. And what a person gets who types something wrong. */
import assert from 'node:assert/strict'
import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Command, openred } from '../lib/command.mjs'
import { refusedPort } from '../lib/ports.mjs'
import { story } from '../lib/story.mjs'
import { babblingWebSocket } from '../lib/strangers.mjs'
import { eventually } from '../lib/wait.mjs'
import { temporaryFolder } from '../lib/workspace.mjs'

story('the command line finds and opens what a page offers', async (world) => {
  const [, b, c] = await world.threeRelays()
  const page = await world.member([b])
  const peer = await page.evaluate(async () => {
    node.handle('tea-house', (stream) => stream.readable.pipeTo(stream.writable))
    await node.provide({ name: 'tea-house', type: 'chat', metadata: { room: 'two' } })
    return node.peerId
  })
  const found = await openred('find', 'tea-house', '--bootstrap', c.url, '--json')
  assert.equal(found.code, 0, found.stderr)
  const [record] = found.stdout.trim().split('\n').map((line) => JSON.parse(line))
  assert.equal(record.provider, peer)
  assert.deepEqual(record.metadata, { room: 'two' })
  assert.equal(record.layer, 'dht')

  const open = new Command(['open', 'tea-house', '--bootstrap', c.url])
  world.atEnd(() => open.end())
  open.say('a pot of green tea')
  const opened = await open.ends()
  assert.equal(opened.code, 0, opened.stderr)
  assert.equal(opened.stdout, 'a pot of green tea')

  const nobody = await openred('find', 'no-such-house', '--bootstrap', c.url, '--json')
  assert.deepEqual([nobody.code, nobody.stdout], [1, ''])
  const peers = await openred('peers', '--bootstrap', c.url, '--json')
  assert.equal(peers.code, 0, peers.stderr)
  assert.ok(peers.stdout.trim().split('\n').map((line) => JSON.parse(line)).some(({ peerId }) => peerId === c.peerId))
})

story('a page finds and opens what the command line offers, until it is stopped', async (world) => {
  const [, b, c] = await world.threeRelays()
  const provide = new Command(['provide', 'clock-tower', '--echo', '--type', 'echo', '--bootstrap', b.url, '--json'])
  world.atEnd(() => provide.end())
  await provide.line()
  const page = await world.member([c])
  const heard = await page.evaluate(async () => {
    const { records } = await node.find('clock-tower')
    const stream = await node.open('clock-tower')
    const writer = stream.writable.getWriter()
    await writer.write(new TextEncoder().encode('what time is it?'))
    await writer.close()
    return { types: records.map((record) => record.type), text: new TextDecoder().decode(await story.readAll(stream.readable)) }
  })
  assert.deepEqual(heard, { types: ['echo'], text: 'what time is it?' })
  provide.interrupt()
  assert.equal((await provide.ends(6_000)).code, 0)
  const left = await page.evaluate(() => node.find('clock-tower', { maxAge: 0 }))
  assert.deepEqual(left.records, [])
})

story('a relay that cannot be joined: exit 3, and the address and the reason on standard error', async (world) => {
  const foreign = await world.relay({ network: 'elsewhere' })
  const babbler = await babblingWebSocket()
  world.atEnd(() => babbler.end())
  const site = await world.site({})
  for (const address of [`http://127.0.0.1:${await refusedPort()}`, babbler.url, site.url, foreign.url]) {
    const { code, stderr, stdout } = await openred('find', 'anything', '--bootstrap', address, '--timeout', '4s')
    assert.equal(code, 3, `${address}: ${stderr}`)
    assert.equal(stdout, '')
    assert.ok(stderr.includes(new URL(address).host), stderr)
  }
})

story('wrong words: exit 2, and the message names the option, the value and what would be right', async () => {
  const wrong = [
    [['find', 'White Space'], /White Space/],
    [['find', ''], /name/],
    [['find', 'ok', '--network', 'Not A Network'], /network.*Not A Network/s],
    [['find', 'ok', '--bootstrap', 'ftp://nowhere'], /bootstrap.*ftp:\/\/nowhere/s],
    [['find', 'ok', '--timeout', 'soon'], /timeout.*soon/s],
    [['provide', 'ok', '--metadata', 'no equals sign'], /metadata.*no equals sign/s],
    [['provide', 'ok', '--ttl', '1s'], /ttl.*1s/s],
    [['relay', '--http', 'here'], /http.*here/s],
    [['relay', '--listen', '/ip4/nowhere'], /listen.*\/ip4\/nowhere/s],
    [['dance'], /dance/]
  ]
  for (const [args, says] of wrong) {
    const { code, stderr, stdout } = await openred(...args)
    assert.equal(code, 2, `openred ${args.join(' ')}: ${stderr}`)
    assert.match(stderr, says)
    assert.equal(stdout, '')
  }
})

story('a port in use, a data folder in use, unwritable or corrupt: the relay says so and ends', async (world) => {
  const relay = await world.relay()
  const fresh = () => temporaryFolder('openred-data-')
  const start = async (http, data) => openred('relay', '--http', http, '--metrics', '127.0.0.1:0', '--data', data)

  const port = await start(relay.http, await fresh())
  assert.notEqual(port.code, 0)
  assert.ok(port.stderr.includes(relay.http), port.stderr)

  const shared = await start('127.0.0.1:0', relay.options.data)
  assert.notEqual(shared.code, 0)
  assert.ok(shared.stderr.includes(relay.options.data), shared.stderr)

  const file = join(await fresh(), 'a-file')
  await writeFile(file, 'not a folder')
  const noFolder = await start('127.0.0.1:0', file)
  assert.notEqual(noFolder.code, 0)
  assert.ok(noFolder.stderr.includes(file), noFolder.stderr)

  if (process.getuid?.() !== 0) {
    const closed = join(await fresh(), 'closed')
    await mkdir(closed)
    await chmod(closed, 0o500)
    const unwritable = await start('127.0.0.1:0', closed)
    assert.notEqual(unwritable.code, 0)
    assert.ok(unwritable.stderr.includes(closed), unwritable.stderr)
  }
  assert.ok(relay.running)
  assert.equal((await fetch(relay.url)).status, 200)
  assert.equal(await relay.stop(), 0)

  const { data } = relay.options
  // What the directory keeps has stories of its own: a database mends itself from its log.
  const others = (name) => name.endsWith('.lock') || name === 'memory' || name.startsWith('directory.') || name === 'snapshots'
  const files = (await readdir(data)).filter((name) => !others(name))
  assert.ok(files.length >= 2, `an identity and a certificate are kept, found ${files}`)
  for (const name of files) {
    const path = join(data, name)
    const good = await readFile(path)
    await writeFile(path, 'damaged')
    const corrupt = await start('127.0.0.1:0', data)
    assert.notEqual(corrupt.code, 0, name)
    assert.ok(corrupt.stderr.includes(path), corrupt.stderr)
    assert.equal(await readFile(path, 'utf8'), 'damaged', 'what is damaged is left for its owner to look at')
    await writeFile(path, good)
  }
  // What was learned of the network can be learned again.
  await writeFile(join(data, 'memory'), 'damaged')
  await relay.restart()
  await eventually(() => /set aside/.test(relay.log), { ms: 2_000, what: 'the log tells of the damaged memory' })
})
