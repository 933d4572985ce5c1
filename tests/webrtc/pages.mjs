/** Pages for the WebRTC stories: one that runs the rig, and one that runs js-libp2p. */
import { join } from 'node:path'
import { jsNodePage } from '../lib/js-pages.mjs'
import { remember } from '../lib/made.mjs'
import { target } from '../lib/workspace.mjs'

/** Where `cargo xtask rig` puts the module. */
const FOLDER = process.env.OPENRED_WEBRTC_RIG ?? join(target, 'webrtc-rig')

const RIG = `<!doctype html><html lang="en"><meta charset="utf-8"><title>rig</title><link rel="icon" href="data:,">
<script type="module">
  import init, * as rig from '/webrtc_rig.js'
  await init({ module_or_path: '/webrtc_rig_bg.wasm' })
  globalThis.rig = rig
</script>`

/** A page with a node of the rig in it: `node`, and the module as `rig`. */
export async function rigPage (world, { timeout, offers, ...options } = {}) {
  world.rigSite ??= await world.site({ pages: { '/': RIG }, folder: FOLDER })
  const page = await world.visit(world.rigSite.url, { init: remember, ...options })
  await page.waitForFunction(() => globalThis.rig !== undefined)
  await page.evaluate(({ timeout, offers }) => { globalThis.node = new rig.Rig(timeout, offers) }, { timeout, offers })
  return page
}

/**
 * Two pages of the rig, one of which can be dialled: `{ caller, listener, address, peer }`.
 */
export async function rigPages (world, options) {
  const relay = await world.relay()
  const [caller, listener] = [await rigPage(world, options), await rigPage(world, options)]
  const { address, peer } = await listen(listener, relay)
  return { relay, caller, listener, address, peer }
}

/** Gives the rig of `page` a place at `relay`. The address is that of the browser behind it. */
export async function listen (page, relay) {
  const circuit = await page.evaluate((relay) => node.reserve(relay), relay.address('webrtc-direct'))
  const peer = await page.evaluate(() => node.peerId)
  return { address: circuit.replace('/p2p-circuit/', '/p2p-circuit/webrtc/'), circuit, peer }
}

/** A page with js-libp2p in it. With `byHand` it leaves signalling to the story. */
export async function jsPage (world, { listen = [], byHand = false } = {}) {
  const transports = byHand ? ['webRTCDirect'] : ['webRTCDirect', 'webRTC']
  return jsNodePage(world, { transports, listen }, { init: remember })
}

/** Resolves once the rig of `page` has noted something that contains `text`. Gives the note. */
export async function noted (page, text, ms = 10_000) {
  const found = await page.waitForFunction(
    (text) => node.notes().find((note) => note.includes(text)), text, { timeout: ms, polling: 20 }
  )
  return found.jsonValue()
}
