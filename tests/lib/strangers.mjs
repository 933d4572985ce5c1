/** Servers that are no relays: what a mistyped address may lead to. */
import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import { createServer as createTcpServer } from 'node:net'
import { once } from 'node:events'

const ACCEPT_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

/** A WebSocket server that accepts everybody and answers every byte with text that is no libp2p. */
export async function babblingWebSocket () {
  const sockets = new Set()
  const server = createServer((request, response) => response.end('just a web site'))
  server.on('upgrade', (request, socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    const accept = createHash('sha1').update(request.headers['sec-websocket-key'] + ACCEPT_GUID).digest('base64')
    const protocol = request.headers['sec-websocket-protocol']?.split(',')[0].trim()
    socket.write([
      'HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade', `Sec-WebSocket-Accept: ${accept}`,
      ...(protocol === undefined ? [] : [`Sec-WebSocket-Protocol: ${protocol}`]), '', ''
    ].join('\r\n'))
    socket.on('data', () => {
      const text = Buffer.from('hello, this is a chat server\n')
      socket.write(Buffer.concat([Buffer.from([0x82, text.length]), text]))
    })
  })
  return listening(server, sockets)
}

/** A TCP server that accepts and never says a word. */
export async function silentServer () {
  const sockets = new Set()
  const server = createTcpServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
  })
  return listening(server, sockets)
}

async function listening (server, sockets) {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  return {
    url: `http://127.0.0.1:${port}`,
    host: `127.0.0.1:${port}`,
    async end () {
      for (const socket of sockets) socket.destroy()
      server.closeAllConnections?.()
      server.close()
      await once(server, 'close')
    }
  }
}
