/**
 * A js-libp2p node with the protocols an OpenRed relay speaks. The same file runs in Node.js and, bundled, in a page;
 * it imports nothing of OpenRed.
 *
 * Three settings are needed on loopback, and users of js-libp2p on private networks need them too: kad-dht drops private
 * addresses unless `peerInfoMapper` lets them pass, a browser refuses private and `ws://` addresses unless
 * `denyDialMultiaddr` says otherwise, and protocols over a relayed connection need `runOnLimitedConnection`.
 */
import { generateKeyPair } from '@libp2p/crypto/keys'
import { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { identify } from '@libp2p/identify'
import { kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { webSockets } from '@libp2p/websockets'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { sha256 } from 'multiformats/hashes/sha2'

const RELAYED = { runOnLimitedConnection: true }

/**
 * @param {{ network?: string, listen?: string[], transports?: Function[], privateKey?: object, pings?: boolean, dht?: object }} [options]
 *   `transports`: beside WebSocket and the circuit relay; `pings`: whether it answers pings; `dht`: further settings of kad-dht
 */
export async function createNode ({ network = 'main', listen = [], transports = [], privateKey, pings = true, dht = {} } = {}) {
  const node = await createLibp2p({
    privateKey: privateKey ?? await generateKeyPair('Ed25519'),
    addresses: { listen },
    transports: [webSockets(), circuitRelayTransport(), ...transports],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionGater: { denyDialMultiaddr: () => false },
    services: {
      identify: identify(),
      ping: ping(),
      dht: kadDHT({
        protocol: `/openred/${network}/kad/1.0.0`,
        clientMode: true,
        peerInfoMapper: passthroughMapper,
        validators: { openred: async () => {} },
        selectors: { openred: () => 0 },
        ...dht
      })
    }
  })
  // kad-dht wants the service for what it asks others.
  if (!pings) await node.unhandle('/ipfs/ping/1.0.0')
  return node
}

/**
 * Dials `address` and waits until the peer is identified; a peer identified before counts as it is.
 *
 * @returns {Promise<{ connection: object, dialMs: number, identifyMs: number, protocols: string[], agentVersion?: string }>}
 */
export async function dialAndIdentify (node, address, signal = AbortSignal.timeout(15_000)) {
  const waiting = Promise.withResolvers()
  waiting.promise.catch(() => {})
  const identified = new Map()
  let peer
  const onIdentify = ({ detail }) => {
    identified.set(detail.peerId.toString(), { ...detail, at: performance.now() })
    if (detail.peerId.toString() === peer) waiting.resolve()
  }
  node.addEventListener('peer:identify', onIdentify)
  signal.addEventListener('abort', () => waiting.reject(signal.reason))
  try {
    const start = performance.now()
    const connection = await node.dial(multiaddr(address), { signal })
    const dialled = performance.now()
    peer = connection.remotePeer.toString()
    if (!identified.has(peer) && connection.timeline.open < Date.now() - (dialled - start) - 1) {
      // The connection is older than this dial, and so may be its identification.
      const { protocols } = await node.peerStore.get(connection.remotePeer)
      if (protocols.length > 0) identified.set(peer, { protocols, at: dialled })
    }
    if (!identified.has(peer)) await waiting.promise
    const { at, protocols: spoken, agentVersion } = identified.get(peer)
    return { connection, dialMs: dialled - start, identifyMs: Math.max(0, at - dialled), protocols: spoken, agentVersion }
  } finally {
    node.removeEventListener('peer:identify', onIdentify)
  }
}

/** The bytes of a service's value key. */
export function serviceKey (name, network = 'main') {
  return new TextEncoder().encode(`/openred/${network}/service/${name}`)
}

/** The CID under which a service's providers are announced: v1, raw, sha2-256 of the value key. */
export async function serviceCid (name, network = 'main') {
  return CID.createV1(raw.code, await sha256.digest(serviceKey(name, network)))
}

/** Resolves once the node's routing table has `count` peers. */
export async function knowsPeers (node, count, signal = AbortSignal.timeout(10_000)) {
  const { routingTable } = node.services.dht
  if (routingTable.size >= count) return
  await new Promise((resolve, reject) => {
    const check = () => { if (routingTable.size >= count) resolve() }
    routingTable.addEventListener('peer:add', check)
    signal.addEventListener('abort', () => reject(signal.reason))
  })
}

/** The providers of `name`, and the time to the first one. Ends early once `enough` were found. */
export async function findProviders (node, name, { network = 'main', enough = Infinity, signal = AbortSignal.timeout(20_000) } = {}) {
  const start = performance.now()
  const providers = new Map()
  let firstMs
  for await (const event of node.services.dht.findProviders(await serviceCid(name, network), { signal })) {
    if (event.name !== 'PROVIDER') continue
    firstMs ??= performance.now() - start
    for (const { id, multiaddrs } of event.providers) providers.set(id.toString(), multiaddrs.map(String))
    if (providers.size >= enough) break
  }
  return { providers: Object.fromEntries(providers), firstMs, ms: performance.now() - start }
}

/** The first value under the key of `name`, or undefined. */
export async function getValue (node, name, { network = 'main', signal = AbortSignal.timeout(20_000) } = {}) {
  const start = performance.now()
  for await (const event of node.services.dht.get(serviceKey(name, network), { signal })) {
    if (event.name === 'VALUE') return { value: event.value, ms: performance.now() - start }
  }
  return { value: undefined, ms: performance.now() - start }
}

/** Asks one query of the DHT and resolves at its first answer. */
export async function firstAnswer (node, signal = AbortSignal.timeout(10_000)) {
  const key = crypto.getRandomValues(new Uint8Array(32))
  for await (const event of node.services.dht.getClosestPeers(key, { signal })) {
    if (event.name === 'PEER_RESPONSE') return
  }
  throw new Error('no peer of the DHT answered')
}

/** Opens a stream of `protocol` to a multiaddr or a connected peer, also over a relayed connection. */
export async function openStream (node, address, protocol, signal = AbortSignal.timeout(10_000)) {
  return node.dialProtocol(typeof address === 'string' ? multiaddr(address) : address, protocol, { signal, ...RELAYED })
}

/** Serves `protocol`, also over relayed connections. */
export async function serveProtocol (node, protocol, handler) {
  await node.handle(protocol, handler, RELAYED)
}

/** Resolves once a stream takes more, after `send` said that it does not. */
export async function drained (stream, signal = AbortSignal.timeout(10_000)) {
  if (!stream.writableNeedsDrain) return
  await new Promise((resolve, reject) => {
    stream.addEventListener('drain', resolve, { once: true })
    signal.addEventListener('abort', () => reject(signal.reason))
  })
}

/** Resolves with the node's first address through a relay. */
export async function reservation (node, signal = AbortSignal.timeout(10_000)) {
  const find = () => node.getMultiaddrs().map(String).find((address) => address.includes('/p2p-circuit'))
  const present = find()
  if (present !== undefined) return present
  return new Promise((resolve, reject) => {
    node.addEventListener('self:peer:update', () => {
      const address = find()
      if (address !== undefined) resolve(address)
    })
    signal.addEventListener('abort', () => reject(signal.reason))
  })
}
