/**
 * Records, bundles and kad messages made by hand, from the wire contract alone: what another implementation would send,
 * and what a hostile one would.
 */
import { generateKeyPair, publicKeyToProtobuf } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey, peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { concat, field, frame, number, utf8, valuesOf } from './protobuf.mjs'

const DOMAIN = 'openred-service-record'
const PAYLOAD_TYPE = '/openred/service-record'

/** Kademlia's message types. */
export const PUT_VALUE = 0
export const GET_VALUE = 1
export const ADD_PROVIDER = 2
export const GET_PROVIDERS = 3
export const FIND_NODE = 4

/** A new identity: `{ key, id, bytes }`, `bytes` being the binary peer id. */
export async function newIdentity () {
  const key = await generateKeyPair('Ed25519')
  const peer = peerIdFromPrivateKey(key)
  return { key, id: peer.toString(), bytes: peer.toMultihash().bytes, peer }
}

/** The payload of a record's envelope. */
export function recordPayload (provider, record = {}) {
  const now = Date.now()
  const { name, type = '', endpoints = [], metadata = {}, region = '', clusters = [], sequence = now, issuedAt = now, ttl = 3_600_000, withdrawn = false } = record
  return concat(
    field(1, name),
    ...(type === '' ? [] : [field(2, type)]),
    field(3, provider.bytes),
    ...endpoints.map((endpoint) => field(4, multiaddr(endpoint).bytes)),
    ...Object.keys(metadata).sort().map((key) => field(5, concat(field(1, key), field(2, metadata[key])))),
    ...(region === '' ? [] : [field(6, region)]),
    ...clusters.map((cluster) => field(7, cluster)),
    number(8, sequence), number(9, issuedAt), number(10, ttl), number(11, withdrawn ? 1 : 0)
  )
}

/** Signs `payload` with the key of `signer`; `domain` and `type` are the contract's unless a liar wants others. */
export async function envelope (signer, payload, { domain = DOMAIN, type = PAYLOAD_TYPE } = {}) {
  const signature = await signer.key.sign(concat(frame(utf8(domain)), frame(utf8(type)), frame(payload)))
  return concat(field(1, publicKeyToProtobuf(signer.key.publicKey)), field(2, type), field(3, payload), field(5, signature))
}

/** A valid signed record of `provider`. */
export async function signedRecord (provider, record) {
  return envelope(provider, recordPayload(provider, record))
}

/** The value of a service's key: envelopes, one after the other. */
export function bundle (...envelopes) {
  return concat(...envelopes.map((one) => field(1, one)))
}

/** The records in a bundle as `{ name, provider (bytes), metadata count, sequence, withdrawn }`, signatures not looked at. */
export function recordsIn (bytes) {
  return valuesOf(bytes, 1).map((one) => {
    const [payload] = valuesOf(one, 3)
    const [name] = valuesOf(payload, 1)
    const [provider] = valuesOf(payload, 3)
    return { name: new TextDecoder().decode(name), provider: Buffer.from(provider).toString('hex'), sequence: valuesOf(payload, 8)[0], withdrawn: valuesOf(payload, 11)[0] === 1 }
  })
}

/** A kad PUT_VALUE request, not framed. */
export function putValue (key, value) {
  return concat(number(1, PUT_VALUE), field(2, key), field(3, concat(field(1, key), field(2, value))))
}

/** A kad GET_VALUE request, not framed. */
export function getValueRequest (key) {
  return concat(number(1, GET_VALUE), field(2, key))
}

/** A kad FIND_NODE request, not framed. */
export function findNode (key) {
  return concat(number(1, FIND_NODE), field(2, key))
}

/** A kad GET_PROVIDERS request, not framed. */
export function getProvidersRequest (key) {
  return concat(number(1, GET_PROVIDERS), field(2, key))
}

/** A kad ADD_PROVIDER message that names `provider` with `addresses`, not framed. */
export function addProvider (key, provider, addresses) {
  const info = concat(field(1, provider.bytes), ...addresses.map((address) => field(2, multiaddr(address).bytes)))
  return concat(number(1, ADD_PROVIDER), field(2, key), field(9, info))
}

/** The value in a kad answer, or undefined. */
export function valueIn (message) {
  const [record] = valuesOf(message, 3)
  return record === undefined ? undefined : valuesOf(record, 2)[0]
}

/** The binary peer ids of the providers in a kad answer, in hex. */
export function providersIn (message) {
  return valuesOf(message, 9).map((info) => Buffer.from(valuesOf(info, 1)[0]).toString('hex'))
}

/** A heartbeat of `signer` for a directory, in base64url. */
export async function signedHeartbeat (signer, directory, at) {
  const id = peerIdFromString(directory).toMultihash().bytes
  const signed = concat(frame(utf8('openred-heartbeat')), frame(id), frame(utf8(String(at))))
  return Buffer.from(await signer.key.sign(signed)).toString('base64url')
}
