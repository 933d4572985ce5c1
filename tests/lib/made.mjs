/** Runs in a page before its own scripts: every peer connection that it makes stands in `made`. */
export function remember () {
  const Native = globalThis.RTCPeerConnection
  globalThis.made = []
  globalThis.RTCPeerConnection = class extends Native {
    constructor (...configuration) {
      super(...configuration)
      globalThis.made.push(this)
    }
  }
}
