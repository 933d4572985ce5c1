/** How one page reaches another, as it says itself. */

/** Two pages on one machine need a tenth of a second; a machine with two cores that also runs relays and browsers gets this. */
const PATIENCE_MS = 15_000

/** `{ path, transport }`, or undefined if the two are not connected. */
export async function pathTo (page, peer) {
  return page.evaluate((peer) => {
    const found = node.peers().find(({ peerId }) => peerId === peer)
    return found && { path: found.path, transport: found.transport }
  }, peer)
}

/** Resolves once `page` says that it reaches `peer` by `path`. */
export async function reaches (page, peer, path) {
  await page.waitForFunction(
    ({ peer, path }) => node.peers().some((one) => one.peerId === peer && one.path === path), { peer, path },
    { timeout: PATIENCE_MS, polling: 20 }
  )
}
