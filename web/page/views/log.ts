/** Everything the node tells, for those who want to know. */

import type { NodeEvent } from '../../src/index.js'
import { byId, h } from '../dom.js'
import { shortId } from '../format.js'

const MAX_SHOWN = 200

export function logEvent(event: NodeEvent): void {
  const { type, ...rest } = event
  const facts = Object.entries(rest).map(([key, value]) => `${key} ${fact(value)}`)
  addLine(type, facts.join(', '))
}

export function logNote(text: string): void {
  addLine('page', text)
}

function addLine(type: string, text: string): void {
  const list = byId('events')
  const seconds = (performance.now() / 1_000).toFixed(3)
  list.prepend(h('li', {}, h('time', {}, `${seconds} s`), h('strong', {}, type), h('span', {}, text)))
  while (list.children.length > MAX_SHOWN) list.lastChild?.remove()
}

function fact(value: unknown): string {
  if (typeof value === 'string') return value.startsWith('12D3KooW') ? shortId(value) : value
  if (typeof value === 'object' && value !== null && 'name' in value && 'provider' in value) return `${value.name}@${shortId(String(value.provider))}`
  return JSON.stringify(value)
}
