/** Ports of this machine, for stories in which a relay must have the same ports before and after. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { networkInterfaces } from 'node:os'

/** A port P such that TCP P, UDP P and UDP P + 1 are free on loopback: what a relay takes with `--http 127.0.0.1:P`. */
export async function freeRelayPort () {
  for (let attempt = 0; attempt < 50; attempt++) {
    const tcp = createServer().listen(0, '127.0.0.1')
    await once(tcp, 'listening')
    const { port } = tcp.address()
    const free = port < 65_535 && await udpFree(port) && await udpFree(port + 1)
    tcp.close()
    await once(tcp, 'close')
    if (free) return port
  }
  throw new Error('no free pair of ports on loopback after 50 attempts')
}

/** An IPv4 address of this machine that is not loopback, if it has one. What is sent to it does not leave the machine. */
export function ownAddress () {
  const addresses = Object.values(networkInterfaces()).flat()
  return addresses.find(({ family, internal }) => family === 'IPv4' && !internal)?.address
}

/** A TCP port that refuses connections: it was free a moment ago and nobody listens on it. */
export async function refusedPort () {
  const tcp = createServer().listen(0, '127.0.0.1')
  await once(tcp, 'listening')
  const { port } = tcp.address()
  tcp.close()
  await once(tcp, 'close')
  return port
}

async function udpFree (port) {
  const socket = createSocket('udp4')
  try {
    socket.bind(port, '127.0.0.1')
    await Promise.race([once(socket, 'listening'), once(socket, 'error').then(([error]) => { throw error })])
    return true
  } catch {
    return false
  } finally {
    try { socket.close() } catch { /* It never opened. */ }
  }
}
