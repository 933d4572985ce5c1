/** What the hostile and the friendly strangers send is made by the contract: the golden vectors, byte for byte. */
import '../lib/node20.mjs'
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { privateKeyFromProtobuf } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { serviceCid, serviceKey } from '../lib/js-libp2p.mjs'
import { field, frame } from '../lib/protobuf.mjs'
import { bundle, envelope, recordPayload } from '../lib/records.mjs'

const vectors = async (name) => JSON.parse(await readFile(new URL(`../vectors/${name}.json`, import.meta.url), 'utf8'))
const hex = (bytes) => Buffer.from(bytes).toString('hex')
const bytes = (text) => Uint8Array.from(Buffer.from(text, 'hex'))

test('records and their envelopes', async () => {
  const { identity, valid } = await vectors('record')
  const key = privateKeyFromProtobuf(bytes(identity.keypair))
  const provider = { key, bytes: peerIdFromPrivateKey(key).toMultihash().bytes }
  assert.equal(hex(provider.bytes), identity.peerIdBytes)
  const own = valid.filter(({ record }) => record.provider === identity.peerId && record.pqKeyHash === '')
  assert.ok(own.length > 0)
  for (const { what, record, payload, envelope: sealed } of own) {
    const made = recordPayload(provider, record)
    assert.equal(hex(made), payload, what)
    assert.equal(hex(await envelope(provider, made)), sealed, what)
  }
})

test('keys of services, and the CIDs of their providers', async () => {
  const { keys } = await vectors('keys')
  const services = keys.filter(({ kind }) => kind === 'service')
  assert.ok(services.length > 0)
  for (const { name, network, keyBytes, providerCid } of services) {
    assert.equal(hex(serviceKey(name, network)), keyBytes)
    assert.equal(hex((await serviceCid(name, network)).bytes), providerCid)
  }
})

test('the header of a service stream', async () => {
  const { open } = await vectors('stream')
  for (const { name, framed } of open) assert.equal(hex(frame(field(1, name))), framed)
})

test('bundles', async () => {
  const { records, encoded } = await vectors('bundle')
  assert.equal(hex(bundle(...records.map((record) => bytes(record)))), encoded)
})
