/**
 * The whole HTTP API, asked as its own OpenAPI document says and in every way that it does not: nothing fails inside, nothing
 * hangs, every failure is a problem document that tells nothing of the inside, and every answer is what the document promised.
 *
 * `OPENRED_SEED` repeats a run, `OPENRED_FUZZ_RUNS` is how many requests each operation is sent.
 */
import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import fc from 'fast-check'
import { Client, cidOf } from '../lib/directory-client.mjs'
import { BEND, EVIL_HEADERS, EVIL_TEXT, FORGED, RAW_BODIES, RAW_QUERIES, bend } from '../lib/nonsense.mjs'
import { Document } from '../lib/openapi.mjs'
import { Asker, CUT, escaped } from '../lib/raw-http.mjs'
import { signedHeartbeat } from '../lib/records.mjs'
import { story } from '../lib/story.mjs'
import { eventually, within } from '../lib/wait.mjs'
import { temporaryFolder } from '../lib/workspace.mjs'

const SEED = Number(process.env.OPENRED_SEED ?? randomInt(2 ** 31))

/** Requests to each operation; there are some fifty, so it comes to six thousand. */
const RUNS = Number(process.env.OPENRED_FUZZ_RUNS ?? 120)

/** Time for all of them. A machine under load sends fewer, down to `LEAST`. */
const TIME_MS = 60_000
const LEAST = 1_000

const ADMIN_TOKEN = 'f'.repeat(40)

/** What an answer must not tell: how it was made. */
const INSIDE = /\bSELECT\b|\bINSERT INTO\b|\bWHERE\b|sqlite|postgres|\.rs\b|panicked|backtrace|RUST_|\b[a-z_]+::[A-Za-z_]+|\bstruct\b|\benum\b|\b[ui](8|16|32|64|128|size)\b|\/(root|home|tmp|usr|work|var)\//

/** A directory with a node that asks, a friend of it, and a victim for operators. */
class Directory {
  static async open (world) {
    const directory = new Directory()
    const tokenFile = join(await temporaryFolder('openred-admin-'), 'token')
    await writeFile(tokenFile, ADMIN_TOKEN, { mode: 0o600 })
    directory.relay = await world.relay({ args: ['--rate-limit', '0', '--admin-token-file', tokenFile] })
    directory.asker = new Asker(directory.relay.url)
    const nodes = await Promise.all([1, 2, 3].map(() => Client.known(directory.relay)))
    ;[directory.own, directory.friend, directory.victim] = nodes
    directory.document = new Document(await (await directory.own.send('GET', '/openapi.json')).json())
    return directory
  }

  /** Brings the world back to where every operation can succeed, and says what is true in it. */
  async settle () {
    await this.operate('DELETE', '/v1/admin/drain')
    await this.operate('DELETE', `/v1/admin/bans/${this.victim.id}`)
    for (const node of [this.own, this.friend, this.victim]) {
      // What was issued within the second of a ban is taken back with the rest.
      await eventually(async () => {
        if ((await node.send('GET', '/v1/auth')).status !== 200) await node.prove()
        return (await node.send('PUT', `/v1/nodes/${node.id}`, { body: {} })).ok
      }, { ms: 5_000, what: 'a node to be known and registered' })
      await this.operate('DELETE', `/v1/admin/nodes/${node.id}/drain`)
    }
    const now = Date.now()
    const { own, friend, victim } = this
    const [record, other, heartbeat] = [await own.record({ name: 'chess' }), await friend.record({ name: 'go' }), await signedHeartbeat(own, this.relay.peerId, now)]
    const { token } = await own.json('POST', '/v1/tokens', {})
    this.credentials = {
      none: [], session: ['authorization', own.authorization], bearer: ['authorization', `Bearer ${token}`],
      friend: ['authorization', friend.authorization], admin: ['authorization', `Bearer ${ADMIN_TOKEN}`], wrong: ['authorization', `Bearer ${token.slice(0, -4)}AAAA`]
    }
    const page = async (path) => (await own.json('GET', path)).next
    return {
      peerId: [own.id, friend.id, victim.id], name: ['chess', `chess@${own.id}`], text: ['ch'], region: ['eu'], state: ['active'],
      records: [record, other], services: [record], publicKey: [Buffer.from(own.peer.toMultihash().digest).toString('base64url')],
      token: [token, (await own.json('POST', '/v1/tokens/links', { peerId: friend.id })).own], at: [now], signature: [heartbeat],
      cursor: [await page('/v1/nodes?limit=1')], cid: [(await cidOf('chess')).toString()], path: ['index.js'], addresses: ['/ip4/192.0.2.7/tcp/4001/ws'],
      target: ['chess'], until: [now + 60_000], limit: [10], after: [0], before: [1_000]
    }
  }

  async operate (method, path) {
    const headers = ['authorization', `Bearer ${ADMIN_TOKEN}`, 'content-type', 'application/json']
    return this.asker.ask({ method, target: path, headers, body: method === 'PUT' ? Buffer.from('{}') : undefined })
  }
}

/** Whom an operation is about, where it is not the node that asks. */
function about (operation, truths, { friend, victim }) {
  if (operation.path.startsWith('/v1/admin/')) return { ...truths, peerId: [victim.id] }
  if (operation.id === 'issueLink') return { ...truths, peerId: [friend.id] }
  return truths
}

/** The credential that opens an operation. */
function key ({ schemes }) {
  if (schemes.includes('admin')) return 'admin'
  return schemes.length === 0 ? 'none' : 'session'
}

/** The request that the document asks for, and nothing more. */
function plainRequest (document, operation, truths) {
  const needed = operation.parameters.filter(({ required }) => required)
  const values = Object.fromEntries(needed.map(({ name, schema }) => [name, String(document.plain(schema, truths, name))]))
  const body = operation.body && { type: 'application/json', bytes: Buffer.from(JSON.stringify(document.plain(operation.body, truths))), headers: {} }
  return { values, rawQuery: undefined, credential: key(operation), extra: [], body }
}

/** Requests of which about half are what the document asks for. */
function requests (document, operation, truths) {
  const value = ({ name, schema }) => fc.oneof(
    { weight: 8, arbitrary: document.values(schema, truths, name).map(String) },
    { weight: 1, arbitrary: fc.constantFrom(...EVIL_TEXT) }
  )
  const required = operation.parameters.filter((one) => one.in === 'path').map(({ name }) => name)
  const asJson = (content) => ({ type: 'application/json', bytes: Buffer.from(JSON.stringify(content) ?? ''), headers: {} })
  const valid = operation.body && document.values(operation.body, truths)
  const body = operation.body === undefined
    ? fc.oneof({ weight: 9, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: fc.constantFrom(...RAW_BODIES) })
    : fc.oneof(
      { weight: 6, arbitrary: valid.map(asJson) },
      { weight: 5, arbitrary: fc.tuple(valid, fc.array(BEND, { minLength: 1, maxLength: 3 })).map(([whole, bends]) => asJson(bends.reduce(bend, whole))) },
      { weight: 1, arbitrary: fc.jsonValue().map(asJson) },
      { weight: 2, arbitrary: fc.constantFrom(...RAW_BODIES) }
    )
  return fc.record({
    values: fc.record(Object.fromEntries(operation.parameters.map((one) => [one.name, value(one)])), { requiredKeys: required, noNullPrototype: true }),
    rawQuery: fc.oneof({ weight: 9, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: fc.constantFrom(...RAW_QUERIES) }),
    credential: fc.oneof({ weight: 5, arbitrary: fc.constant(key(operation)) }, { weight: 2, arbitrary: fc.constantFrom('none', 'session', 'bearer', 'friend', 'admin', 'wrong') }),
    extra: fc.oneof({ weight: 5, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: fc.constantFrom(...EVIL_HEADERS) }),
    body
  })
}

/** The request as it goes over the wire. */
function written (operation, { values, rawQuery, credential, extra, body }, credentials) {
  const target = operation.path.replace(/\{\*?([^}]+)\}/g, (whole, name) => escaped(values[name]))
  const query = operation.parameters.filter((one) => one.in === 'query' && values[one.name] !== undefined).map(({ name }) => `${name}=${escaped(values[name])}`)
  const headers = operation.parameters.filter((one) => one.in === 'header' && values[one.name] !== undefined).flatMap(({ name }) => [name, printable(values[name])])
  const asked = [...(rawQuery === undefined ? [] : [rawQuery]), ...query].join('&')
  return {
    method: operation.method,
    target: asked === '' ? target : `${target}?${asked}`,
    headers: [...headers, ...credentials[credential], ...extra, ...(body === undefined || body.type === '' ? [] : ['content-type', body.type]), ...Object.entries(body?.headers ?? {}).flat()],
    body: body?.bytes
  }
}

/** A header's value; the rest of what a header may be stands in the story of heads that are none. */
function printable (text) {
  return text.replace(/[^\x20-\x7e]/g, '')
}

/** What is wrong with an answer; nothing if all is well. */
function trouble (document, operation, answer) {
  const { status, type, body, headers } = answer
  const text = body.toString()
  if (status >= 500) return `${status}: ${text}`
  if (headers['x-request-id'] === undefined) return 'no x-request-id'
  if (headers['x-content-type-options'] !== 'nosniff') return 'no security headers'
  if (status >= 400) {
    if (type !== 'application/problem+json') return `${status} with content-type ${type}`
    const inside = INSIDE.exec(withoutEcho(text))
    if (inside !== null) return `it tells of the inside (${inside[0]}): ${text}`
    const problem = JSON.parse(text)
    if (problem.status !== status || problem.type !== 'about:blank' || !problem.title || !problem.detail) return `no problem document for ${status}: ${text}`
  }
  return document.misfit(operation, answer)
}

/** A text without what strangers wrote into it. */
function withoutEcho (text) {
  return EVIL_TEXT.filter((evil) => evil.length > 3).reduce((left, evil) => left.replaceAll(JSON.stringify(evil).slice(1, -1), ''), text)
}

story('whatever the API is asked, it answers as its document says and fails nowhere inside', async (world) => {
  console.log(`OPENRED_SEED=${SEED}`)
  const directory = await Directory.open(world)
  const { document, asker } = directory
  const operations = document.operations
  assert.ok(operations.length > 35, `${operations.length} operations`)
  const seen = {}
  const judge = async (operation, request) => {
    const answer = await asker.ask(written(operation, request, directory.credentials))
    const wrong = answer.status === CUT ? undefined : trouble(document, operation, answer)
    assert.equal(wrong, undefined, `${operation.method} ${operation.path} (${operation.id}): ${wrong}`)
    seen[answer.status] = (seen[answer.status] ?? 0) + 1
    return answer
  }
  const start = performance.now()
  for (const [number, operation] of operations.entries()) {
    const truths = about(operation, await directory.settle(), directory)
    if (operation.id === 'unbanNode') await directory.operate('PUT', `/v1/admin/bans/${directory.victim.id}`)
    const plain = await judge(operation, plainRequest(document, operation, truths))
    assert.ok(plain.status < 400, `${operation.method} ${operation.path}, asked as the document says: ${plain.status} ${plain.body}`)
    const left = TIME_MS - (performance.now() - start)
    await fc.assert(fc.asyncProperty(requests(document, operation, truths), (request) => judge(operation, request).then(() => {})), {
      seed: SEED + number, numRuns: RUNS, includeErrorInReport: true, interruptAfterTimeLimit: Math.max(50, left / (operations.length - number))
    })
  }
  const sent = Object.values(seen).reduce((sum, count) => sum + count, 0)
  console.log(`${sent} requests to ${operations.length} operations in ${Math.round(performance.now() - start)} ms: ${JSON.stringify(seen)}`)
  assert.ok(sent >= LEAST, `${sent} requests`)
  await directory.settle()
  assert.equal((await asker.ask({ target: '/readyz' })).status, 200)
  assert.ok(!world.relays[0].log.split('\n').some((line) => line.startsWith(FORGED)), 'a stranger wrote a line of the log')
}, { ms: 150_000 })

/** Heads of requests that no library would send. */
const HEADS = {
  'a flood of headers': `GET /v1/status HTTP/1.1\r\nhost: x\r\n${Array.from({ length: 200 }, (_, number) => `x-${number}: y\r\n`).join('')}\r\n`,
  'a header without an end': `GET /v1/status HTTP/1.1\r\nhost: x\r\nx-long: ${'y'.repeat(64 * 1024)}\r\n\r\n`,
  'a target without an end': `GET /v1/services/${'x'.repeat(64 * 1024)} HTTP/1.1\r\nhost: x\r\n\r\n`,
  'no colon': 'GET /v1/status HTTP/1.1\r\nhost: x\r\nnonsense\r\n\r\n',
  'a folded header': `GET /v1/status HTTP/1.1\r\nhost: x\r\nx-a: b\r\n ${FORGED}\r\n\r\n`,
  'a NUL in a header': 'GET /v1/status HTTP/1.1\r\nhost: x\r\nauthorization: Bearer \0\r\n\r\n',
  'a lone line feed': `GET /v1/status HTTP/1.1\nhost: x\nx-a: b\n${FORGED}: c\n\n`,
  'bytes above ASCII in the target': Buffer.from('GET /v1/nodes/\xff\xfe HTTP/1.1\r\nhost: x\r\n\r\n', 'latin1'),
  'a method of its own': 'FUZZ /v1/nodes HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n',
  'HTTP of the future': 'GET /v1/status HTTP/9.9\r\nhost: x\r\n\r\n',
  'two lengths': 'POST /v1/heartbeats HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ncontent-length: 40\r\n\r\n{}',
  'a length and chunks': 'POST /v1/heartbeats HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n0\r\n\r\nGET /v1/admin/stats HTTP/1.1\r\nhost: x\r\n\r\n',
  'a negative length': 'POST /v1/heartbeats HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n',
  'chunks that are none': 'POST /v1/heartbeats HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\nzz\r\n{}\r\n',
  'a chunk without an end': 'POST /v1/heartbeats HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\nffffffffffffffff\r\n',
  'no host': 'GET /v1/status HTTP/1.1\r\nconnection: close\r\n\r\n',
  'two hosts': 'GET /v1/auth HTTP/1.1\r\nhost: x\r\nhost: y\r\nconnection: close\r\n\r\n',
  'a whole URL': 'GET http://elsewhere.example/v1/status HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n',
  'a tunnel': 'CONNECT elsewhere.example:443 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n'
}

story('heads of requests that are none cost nobody but their sender', async (world) => {
  const relay = await world.relay()
  for (const [what, head] of Object.entries(HEADS)) {
    const answer = await within(5_000, exchange(relay, head), what)
    const status = /^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1]
    // An end without an answer is one too.
    if (answer !== '') assert.ok(status !== undefined && status < 500, `${what}: ${answer.slice(0, 300)}`)
    assert.doesNotMatch(answer, INSIDE, what)
    assert.doesNotMatch(answer, /queuedWrites/, `${what}: nothing is smuggled past`)
  }
  assert.equal((await fetch(new URL('/readyz', relay.url))).status, 200)
  assert.ok(!relay.log.split('\n').some((line) => line.startsWith(FORGED)), relay.log)
})

/** Sends bytes, says that no more come, and reads to the end. */
function exchange (relay, bytes) {
  return new Promise((resolve) => {
    const { hostname, port } = new URL(relay.url)
    const pieces = []
    const socket = connect(Number(port), hostname, () => socket.end(bytes))
    socket.on('data', (piece) => pieces.push(piece))
    // A reset is an end.
    socket.on('error', () => {})
    socket.on('close', () => resolve(Buffer.concat(pieces).toString('latin1')))
  })
}
