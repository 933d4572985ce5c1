/** Finding who offers a name, and opening a conversation with one of them. */

import type { Found, FoundRecord, Layer, LayerReport, OpenRed } from '../../src/index.js'
import { clearError, showError } from '../advice.js'
import { byId, copyButton, h } from '../dom.js'
import { ago, duration, hue, plural, shortId } from '../format.js'
import { targetHint } from '../names.js'

/** The layers of a find, in words for people. */
const LAYERS: { [layer in Layer]: string } = {
  own: 'this page',
  cache: 'the cache',
  dht: 'the DHT',
  'super-node': 'a super-node',
  directory: 'a directory',
}

export interface FindActions {
  /** The node, as soon as there is one. */
  node: Promise<OpenRed>
  open(record: FoundRecord): Promise<void>
  offer(name: string): void
}

export class FindView {
  readonly #input = byId<HTMLInputElement>('find-name')
  readonly #hint = byId('find-hint')
  readonly #error = byId('find-error')
  readonly #results = byId('find-results')
  readonly #actions: FindActions
  #asking: AbortController | undefined

  constructor(actions: FindActions) {
    this.#actions = actions
    this.#input.addEventListener('input', () => this.#check())
    byId('find-form').addEventListener('submit', (event) => {
      event.preventDefault()
      void this.find(this.#input.value.trim())
    })
  }

  /** Gives what was found, or undefined when it could not ask. */
  async find(name: string): Promise<Found | undefined> {
    this.#input.value = name
    this.#asking?.abort()
    const asking = (this.#asking = new AbortController())
    clearError(this.#error)
    this.#results.replaceChildren(h('p', { class: 'muted' }, 'Looking…'))
    try {
      const node = await this.#actions.node
      const found = await node.find(name, { signal: asking.signal })
      this.#show(name, found, node.peerId)
      return found
    } catch (error) {
      if (asking.signal.aborted) return undefined
      this.#results.replaceChildren()
      showError(this.#error, error)
      return undefined
    }
  }

  #check(): void {
    const wrong = this.#input.value === '' ? undefined : targetHint(this.#input.value)
    this.#hint.textContent = wrong ?? ''
    this.#input.setAttribute('aria-invalid', String(wrong !== undefined))
  }

  #show(name: string, { records, layer, elapsedMs, layers }: Found, me: string): void {
    if (records.length === 0) {
      const offer = h('button', { type: 'button', class: 'quiet', onclick: () => this.#actions.offer(name) }, 'Offer it yourself')
      this.#results.replaceChildren(
        h('p', {}, 'Nobody offers ', h('strong', {}, name), ` right now. Asked in ${duration(elapsedMs)}.`),
        layerList(layers),
        ...(name.includes('@') ? [] : [offer]),
      )
      return
    }
    this.#results.replaceChildren(
      h('p', { class: 'muted' }, `${plural(records.length, 'provider', 'providers')} in ${duration(elapsedMs)}, first told by ${layer === undefined ? 'nobody' : LAYERS[layer]}.`),
      layerList(layers),
      h('ul', { class: 'list' }, ...records.map((record, index) => this.#row(record, index, me))),
    )
  }

  #row(record: FoundRecord, index: number, me: string): HTMLElement {
    const dot = h('span', { class: 'dot', 'aria-hidden': 'true' })
    dot.style.setProperty('--hue', String(hue(record.provider)))
    const error = h('div')
    const open = h('button', { type: 'button', 'data-testid': `open-${index}` }, record.provider === me ? 'Show room' : 'Open chat')
    open.addEventListener('click', async () => {
      open.disabled = true
      clearError(error)
      try {
        await this.#actions.open(record)
      } catch (thrown) {
        showError(error, thrown)
      } finally {
        open.disabled = false
      }
    })
    return h(
      'li',
      { class: 'result' },
      h(
        'div',
        { class: 'result-head' },
        dot,
        h('div', { class: 'result-name' }, h('strong', {}, record.name), h('code', { title: record.provider }, `@${shortId(record.provider)}`)),
        record.type === 'chat' ? open : h('span', { class: 'muted' }, 'no chat room'),
      ),
      h(
        'p',
        { class: 'facts' },
        record.provider === me && h('span', { class: 'tag' }, 'you'),
        record.type !== '' && h('span', { class: 'tag' }, record.type),
        h('span', {}, `from ${record.layer}`),
        h('span', {}, `signed ${ago(record.ageMs)}`),
        record.region !== '' && h('span', {}, record.region),
        record.verdict !== 'unknown' && h('span', {}, record.verdict),
        copyButton('Copy name@peer id', () => `${record.name}@${record.provider}`),
      ),
      error,
    )
  }
}

/** What each layer did that was asked, for whoever wants to know. */
function layerList(layers: LayerReport[]): HTMLElement | '' {
  const asked = layers.filter(({ outcome }) => outcome !== 'not-asked' && outcome !== 'absent')
  if (asked.length === 0) return ''
  const words = ({ outcome, records, tookMs, reason }: LayerReport): string => {
    if (outcome === 'answered') return `${plural(records, 'record', 'records')} in ${duration(tookMs)}`
    if (outcome === 'empty') return `knows nobody, ${duration(tookMs)}`
    if (outcome === 'overtaken') return `not waited for after ${duration(tookMs)}`
    return `failed: ${reason ?? 'it did not say why'}`
  }
  return h(
    'ul',
    { class: 'facts', 'data-testid': 'find-layers', 'aria-label': 'Who was asked' },
    ...asked.map((report) => h('li', { 'data-layer': report.layer }, `${LAYERS[report.layer]}: ${words(report)}`)),
  )
}
