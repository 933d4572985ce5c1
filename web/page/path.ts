/** How a peer is reached, and why not better, in words for people. */

import type { NotDirect, OpenRed, Path } from '../src/index.js'
import { h } from './dom.js'

const WORDS: { [code in string]?: string } = {
  RELAYED_ONLY: 'this page uses relayed paths only',
  WEBRTC_OFF: 'this browser has no WebRTC',
  WEBRTC_OFF_THERE: 'the other side takes no direct connections',
  UNUSED: 'a direct path is tried once it is used',
  TRYING: 'a direct path is being tried',
  QUOTA: 'this page has no direct connections left',
  ICE_FAILED: 'no direct path between the two networks works',
  UDP_BLOCKED: 'a network in between blocks UDP',
  REFUSED: 'the other side refused a direct path',
  GONE: 'the other side is gone',
  LOST: 'the direct path was lost; another one will be tried',
  BUSY: 'other direct paths are tried first',
  TIMEOUT: 'the direct path took too long',
  FAILED: 'the direct path failed',
  NO_COMMON_RELAY: 'no relay leads to both sides',
}

/** Why there is no direct path to a peer; undefined if there is one or nobody knows. */
export async function whyRelayed(node: OpenRed, peerId: string): Promise<NotDirect | undefined> {
  const explained = await node.explain(peerId).catch(() => undefined)
  return explained?.notDirect
}

/** `direct`, or `relayed` and why. What the node says in full stands in the tooltip. */
export function pathTag(path: Path, why: NotDirect | undefined, testId?: string): HTMLElement {
  const words = path === 'relayed' && why && (WORDS[why.code] ?? why.reason)
  return h(
    'span',
    { class: 'path' },
    h('span', { class: `tag ${path}`, 'data-testid': testId }, path),
    words && h('span', { class: 'why muted', 'data-code': why.code, title: why.reason }, words),
  )
}
