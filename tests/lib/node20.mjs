/** What current js-libp2p takes for granted and Node.js 20 does not have. Import it before js-libp2p. */
import { WebSocket } from 'ws'

globalThis.WebSocket ??= WebSocket

Promise.withResolvers ??= function withResolvers () {
  const deferred = {}
  deferred.promise = new this((resolve, reject) => Object.assign(deferred, { resolve, reject }))
  return deferred
}
