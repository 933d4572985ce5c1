/** Who this page is, and whom it is connected to and how. */

import type { NotDirect, OpenRed, PeerInfo } from '../../src/index.js'
import { byId, copyButton, h } from '../dom.js'
import { duration, hue, shortId } from '../format.js'
import { pathTag, whyRelayed } from '../path.js'

/** How often round trips are looked at again while the page is seen. */
const REFRESH_MS = 3_000
/** Connections listed; the rest are counted. */
const MAX_LISTED = 20

/** `kept`: whether the identity is that of the last visit; `remark`: what is to be said about it beyond that. */
export function showYou(node: OpenRed, kept: boolean, remark = ''): void {
  const dot = h('span', { class: 'dot large', 'aria-hidden': 'true' })
  dot.style.setProperty('--hue', String(hue(node.peerId)))
  byId('you').replaceChildren(
    h('p', { class: 'peer-id' }, dot, h('code', { 'data-testid': 'peer-id' }, node.peerId)),
    h('p', { class: 'row' }, copyButton('Copy peer id', () => node.peerId)),
    h(
      'p',
      { class: 'hint' },
      kept
        ? 'Made by this browser and kept for this site. It proves that you are the same as last time.'
        : 'Made for this visit; the next one gets another.',
    ),
    ...(remark === '' ? [] : [h('p', { class: 'hint', 'data-testid': 'identity-remark' }, remark)]),
    h(
      'p',
      { class: 'hint', 'data-testid': 'warm', 'data-warm': String(node.stats().warm) },
      node.stats().warm
        ? 'It joined with what an earlier visit here had learned of the network.'
        : 'It joined as if it was new; what it learns here is kept for the next visit.',
    ),
  )
}

export class PeersView {
  readonly #list = byId('peers')
  readonly #node: OpenRed
  #looks = 0

  constructor(node: OpenRed) {
    this.#node = node
    setInterval(() => {
      if (!document.hidden) this.refresh()
    }, REFRESH_MS)
    document.addEventListener('visibilitychange', () => this.refresh())
    this.refresh()
  }

  refresh(): void {
    void this.#look()
  }

  async #look(): Promise<void> {
    const look = (this.#looks += 1)
    let peers: PeerInfo[] = []
    try {
      peers = this.#node.peers()
    } catch {
      // A node that has ended has no connections.
    }
    const shown = sorted(peers).slice(0, MAX_LISTED)
    const rows = await Promise.all(shown.map(async (peer) => peerRow(peer, peer.path === 'relayed' ? await whyRelayed(this.#node, peer.peerId) : undefined)))
    if (look === this.#looks) this.#show(rows, peers.length - shown.length)
  }

  #show(rows: HTMLElement[], rest: number): void {
    if (rows.length === 0) {
      this.#list.replaceChildren(h('li', { class: 'empty' }, 'None yet.'))
      return
    }
    this.#list.replaceChildren(...rows, rest > 0 ? h('li', { class: 'empty' }, `and ${rest} more`) : '')
  }
}

/** Relays first, then whoever is here longest. */
function sorted(peers: PeerInfo[]): PeerInfo[] {
  return [...peers].sort((a, b) => Number(b.roles.includes('relay')) - Number(a.roles.includes('relay')) || a.since - b.since)
}

function peerRow(peer: PeerInfo, why: NotDirect | undefined): HTMLElement {
  const dot = h('span', { class: 'dot', 'aria-hidden': 'true' })
  dot.style.setProperty('--hue', String(hue(peer.peerId)))
  // A peer that has not told its role yet is one this page dialled, so it is no page, unless only pages can be reached so.
  const isPage = peer.path === 'relayed' || peer.transport === 'webrtc'
  const kind = peer.roles.includes('relay') ? 'relay' : isPage ? 'page' : 'node'
  return h(
    'li',
    { class: 'peer', title: peer.address },
    dot,
    h('code', { title: peer.peerId }, shortId(peer.peerId)),
    h('span', { class: 'tag' }, kind),
    pathTag(peer.path, why),
    h('span', { class: 'muted' }, peer.transport),
    peer.rttMs !== undefined && h('span', { class: 'muted rtt' }, duration(peer.rttMs)),
  )
}
