/** HTTP as it goes over the wire: any method, any header, any bytes, and an answer with how long it took. */
import { request } from 'node:http'

/** Nothing here takes a hundredth of this; who needs more hangs. */
const PATIENCE_MS = 5_000

/** The status of a request whose body was too large for the server to read to its end. */
export const CUT = 0

/** A body that a server need not read to its end, in bytes. */
const LARGE = 100 * 1024

export class Asker {
  /** @param {string} url the server's */
  constructor (url) {
    this.url = new URL(url)
  }

  /**
   * Sends one request on a connection of its own. Of a stream of events the first piece is the answer. A server may end a
   * connection whose body it does not want to read; if that loses its answer, the status is `CUT`.
   *
   * @param {{ method?: string, target: string, headers?: string[], body?: Buffer }} what `headers` in turn a name and a value
   * @returns {Promise<{ status: number, type: string, headers: object, body: Buffer, ms: number }>}
   */
  ask ({ method = 'GET', target, headers = [], body }) {
    const start = performance.now()
    const host = headers.some((name, at) => at % 2 === 0 && name === 'host') ? [] : ['host', this.url.host]
    const length = body === undefined ? [] : ['content-length', String(body.length)]
    return new Promise((resolve, reject) => {
      const sent = request(
        { hostname: this.url.hostname, port: this.url.port, agent: false, method, path: target, headers: [...host, ...length, ...headers], timeout: PATIENCE_MS },
        (response) => {
          const type = (response.headers['content-type'] ?? '').split(';')[0]
          const pieces = []
          const done = () => resolve({ status: response.statusCode, type, headers: response.headers, body: Buffer.concat(pieces), ms: performance.now() - start })
          response.on('data', (piece) => {
            pieces.push(piece)
            if (type === 'text/event-stream') {
              done()
              sent.destroy()
            }
          })
          response.on('end', done)
          response.on('error', reject)
        }
      )
      sent.on('timeout', () => sent.destroy(new Error(`${method} ${target.slice(0, 200)}: no answer within ${PATIENCE_MS} ms`)))
      sent.on('error', (error) => {
        if (!['ECONNRESET', 'EPIPE'].includes(error.code)) return reject(error)
        if (body?.length > LARGE) return resolve({ status: CUT, type: '', headers: {}, body: Buffer.alloc(0), ms: performance.now() - start })
        reject(error)
      })
      sent.end(body)
    })
  }
}

/** Text as a part of a URL; also such that is no Unicode. */
export function escaped (text) {
  return Array.from(Buffer.from(text), (byte) => {
    const letter = String.fromCharCode(byte)
    return /[A-Za-z0-9_~.-]/.test(letter) ? letter : `%${byte.toString(16).padStart(2, '0').toUpperCase()}`
  }).join('')
}
