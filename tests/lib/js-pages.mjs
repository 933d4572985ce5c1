/** Pages with js-libp2p in them. */
import { jsLibp2pPages } from './bundle.mjs'

/** A page that has js-libp2p, as `js`. */
export async function jsPage (world, options) {
  world.jsSite ??= await world.site({ pages: await jsLibp2pPages() })
  const page = await world.visit(world.jsSite.url, options)
  await page.waitForFunction(() => globalThis.js !== undefined)
  return page
}

/**
 * The same with a node in it, as `node`, which makes no use of anybody's STUN.
 *
 * @param {{ transports?: ('webRTC' | 'webRTCDirect')[], listen?: string[], pings?: boolean }} [settings] those of `createNode`
 */
export async function jsNodePage (world, { transports = ['webRTC'], ...settings } = {}, options = {}) {
  const page = await jsPage(world, options)
  await page.evaluate(async ({ transports, settings }) => {
    const make = { webRTC: () => js.webRTC({ rtcConfiguration: { iceServers: [] } }), webRTCDirect: () => js.webRTCDirect() }
    globalThis.node = await js.createNode({ ...settings, transports: transports.map((transport) => make[transport]()) })
  }, { transports, settings })
  return page
}

/** A page whose node has joined and has a place at the relay; beside `node` stand its `identity` and its `circuit`. */
export async function jsHost (world, relay, options) {
  const page = await jsPage(world, options)
  await page.evaluate(async (relay) => {
    globalThis.identity = await js.newIdentity()
    const transports = [js.webRTC({ rtcConfiguration: { iceServers: [] } })]
    globalThis.node = await js.createNode({ privateKey: identity.key, transports, listen: ['/webrtc', `${relay}/p2p-circuit`] })
    globalThis.circuit = await js.reservation(node)
  }, relay.webSocket)
  return page
}
