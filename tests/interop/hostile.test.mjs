/**
 * A peer that means harm: garbage, oversize frames, forged, foreign and stale records, a bad record among good ones,
 * streams opened and left. The relay refuses, keeps what is good, and goes on serving.
 */
import '../lib/node20.mjs'
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import * as js from '../lib/js-libp2p.mjs'
import { concat, frame, utf8, varint } from '../lib/protobuf.mjs'
import {
  addProvider, bundle, envelope, findNode, getProvidersRequest, getValueRequest, newIdentity, providersIn, putValue, recordPayload, recordsIn,
  signedRecord, valueIn
} from '../lib/records.mjs'
import { sendAll, StreamReader } from '../lib/service-stream.mjs'
import { story } from '../lib/story.mjs'
import { within } from '../lib/wait.mjs'

const KAD = '/openred/main/kad/1.0.0'
const HOUR = 3_600_000

/** A hostile peer connected to `relay`. */
async function attacker (world, relay) {
  const node = await js.createNode()
  world.atEnd(() => node.stop())
  const { connection } = await js.dialAndIdentify(node, relay.webSocket)
  return { node, connection }
}

/** Sends framed `message` on a new kad stream and gives the answer's content, or undefined when the stream ends without. */
async function ask (connection, message) {
  const stream = await connection.newStream(KAD, { signal: AbortSignal.timeout(5_000) })
  await sendAll(stream, frame(message))
  return within(5_000, new StreamReader(stream).frame().catch(() => undefined), 'an answer').finally(() => stream.abort(new Error('done')))
}

/** What the relay holds under the key of `name`, as a third party sees it. */
async function held (relay, name) {
  const node = await js.createNode()
  try {
    const { connection } = await js.dialAndIdentify(node, relay.webSocket)
    const answer = await ask(connection, getValueRequest(js.serviceKey(name)))
    assert.ok(answer, 'the relay answers')
    const value = valueIn(answer)
    return value === undefined ? [] : recordsIn(value)
  } finally {
    await node.stop()
  }
}

/** The relay serves honest people: a query is answered and a page joins, offers and finds. */
async function serves (world, relay) {
  const page = await world.member([relay])
  const found = await page.evaluate(async () => {
    const registration = await node.provide({ name: 'still-serving' })
    const { records } = await node.find('still-serving')
    await registration.withdraw()
    return records.length
  })
  assert.equal(found, 1)
  assert.ok(relay.running)
}

story('garbage and oversize frames cost the sender its stream and nobody else anything', async (world) => {
  const relay = await world.relay()
  const { connection } = await attacker(world, relay)
  const attacks = {
    'random bytes': randomBytes(4_096),
    'an endless length': new Uint8Array(20).fill(0xff),
    'a frame said to be 4 GiB': varint(2 ** 32),
    'a frame of 129 KiB': frame(new Uint8Array(129 * 1024)),
    'an empty frame': frame(new Uint8Array()),
    'a frame of garbage': frame(randomBytes(1_000)),
    'an unknown type': frame(Uint8Array.from([0x08, 0x63])),
    'half a frame': concat(varint(1_000), randomBytes(10)),
    'a FIND_NODE without a key': frame(Uint8Array.from([0x08, 0x04])),
    'a FIND_NODE with a key of 64 KiB': frame(findNode(new Uint8Array(65_536)))
  }
  for (const [what, bytes] of Object.entries(attacks)) {
    const stream = await connection.newStream(KAD, { signal: AbortSignal.timeout(5_000) })
    await sendAll(stream, bytes).catch(() => {})
    if (what !== 'half a frame') {
      const answer = await within(12_000, new StreamReader(stream).frame().catch(() => undefined), `the end of the stream after ${what}`)
      assert.ok(answer === undefined || answer.length < 128 * 1024, what)
    }
    stream.abort(new Error('done'))
  }
  assert.ok(await ask(connection, findNode(randomBytes(32))), 'the connection still serves good requests')
  await serves(world, relay)
}, { ms: 120_000 })

story('garbage on the service and identify protocols of a page resets the stream and nothing more', async (world) => {
  const relay = await world.relay()
  const page = await world.member([relay])
  const peer = await page.evaluate(async () => {
    node.handle('target', (stream) => stream.readable.pipeTo(stream.writable))
    await node.provide({ name: 'target' })
    return node.peerId
  })
  const { node } = await attacker(world, relay)
  const address = `${relay.webSocket}/p2p-circuit/p2p/${peer}`
  for (const bytes of [randomBytes(2_000), frame(new Uint8Array(2_000)), new Uint8Array(20).fill(0xff), frame(utf8('no protobuf'))]) {
    const stream = await js.openStream(node, address, '/openred/main/stream/1.0.0')
    await sendAll(stream, bytes).catch(() => {})
    await within(15_000, new StreamReader(stream).all().catch(() => undefined), 'the end of the stream')
    stream.abort(new Error('done'))
  }
  const echoed = await page.evaluate(() => node.status.state)
  assert.equal(echoed, 'ready')
  const guest = await world.member([relay])
  const text = await guest.evaluate(async () => {
    const stream = await node.open('target')
    const writer = stream.writable.getWriter()
    await writer.write(new TextEncoder().encode('hello'))
    return story.readText(stream.readable.getReader())
  })
  assert.equal(text, 'hello')
}, { ms: 90_000 })

story('forged, foreign, stale and oversize records are not kept', async (world) => {
  const relay = await world.relay()
  const { connection } = await attacker(world, relay)
  const [honest, liar] = await Promise.all([newIdentity(), newIdentity()])
  const now = Date.now()
  const payload = (provider, record) => recordPayload(provider, { name: 'bank', ...record })
  const tampered = await signedRecord(honest, { name: 'bank' })
  tampered[tampered.length - 1] ^= 1
  const lies = {
    'a broken signature': tampered,
    'signed by someone else': await envelope(liar, payload(honest)),
    'another domain': await envelope(honest, payload(honest), { domain: 'libp2p-peer-record' }),
    'another payload type': await envelope(honest, payload(honest), { type: '/openred/other' }),
    'another name than the key': await signedRecord(honest, { name: 'other-bank' }),
    'from the future': await signedRecord(honest, { name: 'bank', issuedAt: now + HOUR, sequence: now + HOUR }),
    'expired': await signedRecord(honest, { name: 'bank', issuedAt: now - 2 * HOUR, sequence: now - 2 * HOUR }),
    'a ttl under a minute': await signedRecord(honest, { name: 'bank', ttl: 1_000 }),
    'a ttl over two days': await signedRecord(honest, { name: 'bank', ttl: 49 * HOUR }),
    'metadata over the limit': await signedRecord(honest, { name: 'bank', metadata: { text: 'x'.repeat(1_100) } }),
    'over 2 KiB': await signedRecord(honest, { name: 'bank', clusters: Array.from({ length: 40 }, (_, i) => `${i}`.repeat(30)) }),
    'no record at all': utf8('trust me'),
    'empty': new Uint8Array()
  }
  for (const [what, lie] of Object.entries(lies)) {
    await ask(connection, putValue(js.serviceKey('bank'), bundle(lie)))
    assert.deepEqual(await held(relay, 'bank'), [], what)
  }
  for (const name of ['Bad Name', '', 'a/b/c']) {
    await ask(connection, putValue(utf8(`/openred/main/service/${name}`), bundle(await signedRecord(honest, { name }))))
  }
  await ask(connection, putValue(utf8('/openred/elsewhere/service/bank'), bundle(await signedRecord(honest, { name: 'bank' }))))
  await ask(connection, putValue(utf8('/pk/whatever'), randomBytes(100)))
  assert.equal(valueIn(await ask(connection, getValueRequest(utf8('/openred/elsewhere/service/bank')))), undefined)
  assert.equal(valueIn(await ask(connection, getValueRequest(utf8('/pk/whatever')))), undefined)
  await serves(world, relay)
}, { ms: 120_000 })

story('one bad record among good ones costs only itself', async (world) => {
  const relay = await world.relay()
  const { connection } = await attacker(world, relay)
  const identities = await Promise.all(Array.from({ length: 4 }, newIdentity))
  const good = await Promise.all(identities.map((identity) => signedRecord(identity, { name: 'market' })))
  const bad = await envelope(identities[0], recordPayload(await newIdentity(), { name: 'market' }))
  await ask(connection, putValue(js.serviceKey('market'), bundle(good[0], good[1], bad, utf8('garbage'), good[2], good[3])))
  const providers = (await held(relay, 'market')).map((record) => record.provider).sort()
  assert.deepEqual(providers, identities.map((identity) => Buffer.from(identity.bytes).toString('hex')).sort())
  await serves(world, relay)
})

story('an older record does not replace a newer one, nor does another provider\'s', async (world) => {
  const relay = await world.relay()
  const { connection } = await attacker(world, relay)
  const [honest, other] = await Promise.all([newIdentity(), newIdentity()])
  const now = Date.now()
  const key = js.serviceKey('clock')
  await ask(connection, putValue(key, bundle(await signedRecord(honest, { name: 'clock', sequence: now }))))
  await ask(connection, putValue(key, bundle(await signedRecord(honest, { name: 'clock', sequence: now - 1_000 }))))
  await ask(connection, putValue(key, bundle(await signedRecord(other, { name: 'clock', sequence: now + 5_000 }))))
  const records = await held(relay, 'clock')
  assert.equal(records.length, 2, 'a put merges, it does not overwrite')
  const kept = records.find((record) => record.provider === Buffer.from(honest.bytes).toString('hex'))
  assert.equal(kept.sequence, now)
})

story('no more than 32 records stay under one name, the same ones in whatever order they come', async (world) => {
  const [one, two] = [await world.relay(), await world.relay()]
  const identities = await Promise.all(Array.from({ length: 40 }, newIdentity))
  const envelopes = await Promise.all(identities.map((identity) => signedRecord(identity, { name: 'crowd' })))
  const key = js.serviceKey('crowd')
  const tell = async (relay, order) => {
    const { connection } = await attacker(world, relay)
    for (let at = 0; at < order.length; at += 10) await ask(connection, putValue(key, bundle(...order.slice(at, at + 10))))
    return (await held(relay, 'crowd')).map((record) => record.provider).sort()
  }
  const kept = [await tell(one, envelopes), await tell(two, [...envelopes].reverse())]
  assert.equal(kept[0].length, 32)
  assert.deepEqual(kept[0], kept[1])
})

story('nobody can announce somebody else as a provider', async (world) => {
  const relay = await world.relay()
  const { node, connection } = await attacker(world, relay)
  const victim = await newIdentity()
  const cid = await js.serviceCid('victim')
  const key = cid.multihash.bytes
  const stream = await connection.newStream(KAD, { signal: AbortSignal.timeout(5_000) })
  await sendAll(stream, frame(addProvider(key, victim, ['/ip4/127.0.0.1/tcp/1/ws'])))
  await stream.close({ signal: AbortSignal.timeout(2_000) }).catch(() => {})
  const answer = await ask(connection, getProvidersRequest(key))
  assert.deepEqual(providersIn(answer), [])
  assert.notEqual(node.peerId.toString(), victim.id)
  await serves(world, relay)
})

story('many streams and many connections from one peer are bounded, honest people come through', async (world) => {
  const relay = await world.relay()
  const { connection } = await attacker(world, relay)
  const streams = await Promise.allSettled(Array.from({ length: 300 }, () => connection.newStream(KAD, { signal: AbortSignal.timeout(10_000) })))
  await serves(world, relay)
  for (const stream of streams) if (stream.status === 'fulfilled') stream.value.abort(new Error('done'))
  await Promise.allSettled(Array.from({ length: 30 }, () => attacker(world, relay)))
  await serves(world, relay)
}, { ms: 90_000 })
