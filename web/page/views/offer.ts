/** Offering chat rooms: a name, a live word on what is wrong with it, and what stands. */

import type { OpenRed } from '../../src/index.js'
import { clearError, showError } from '../advice.js'
import { HostedRoom } from '../chat/hosted.js'
import type { ChatView } from '../chat/view.js'
import { byId, copyButton, h } from '../dom.js'
import { nameHint } from '../names.js'
import { linkTo } from '../place.js'

export class OfferView {
  readonly #input = byId<HTMLInputElement>('offer-name')
  readonly #hint = byId('offer-hint')
  readonly #error = byId('offer-error')
  readonly #list = byId('offer-list')
  readonly #node: Promise<OpenRed>
  readonly #chat: ChatView
  readonly #rooms = new Set<HostedRoom>()
  #offering: string | undefined

  constructor(node: Promise<OpenRed>, chat: ChatView) {
    this.#node = node
    this.#chat = chat
    this.#input.addEventListener('input', () => this.#check())
    byId('offer-form').addEventListener('submit', (event) => {
      event.preventDefault()
      void this.offer(this.#input.value.trim())
    })
  }

  async offer(name: string): Promise<void> {
    if (this.#offering !== undefined) return
    clearError(this.#error)
    this.#offering = name
    this.#show()
    try {
      const room = await HostedRoom.open(await this.#node, name)
      this.#input.value = this.#hint.textContent = ''
      this.#rooms.add(room)
      room.watch(() => {
        if (room.state === 'over') this.#rooms.delete(room)
        this.#show()
      })
      this.#chat.show(room)
    } catch (error) {
      showError(this.#error, error)
    } finally {
      this.#offering = undefined
      this.#show()
    }
  }

  #check(): void {
    const name = this.#input.value
    const wrong = name === '' ? undefined : nameHint(name)
    this.#hint.textContent = wrong ?? (name === '' ? '' : 'Others will find it by this name.')
    this.#hint.dataset['wrong'] = String(wrong !== undefined)
    this.#input.setAttribute('aria-invalid', String(wrong !== undefined))
  }

  #show(): void {
    const rows = [...this.#rooms].map((room, index) =>
      h(
        'li',
        { class: 'offer' },
        h('div', {}, h('strong', {}, room.name), h('span', { class: 'muted' }, room.summary)),
        h('button', { type: 'button', class: 'quiet', onclick: () => this.#chat.show(room) }, 'Show'),
        copyButton('Copy link', () => linkTo(room)),
        h(
          'button',
          { type: 'button', class: 'quiet', 'data-testid': `withdraw-${index}`, onclick: () => void this.#withdraw(room) },
          'Withdraw',
        ),
      ),
    )
    const waiting = this.#offering !== undefined && h('li', { class: 'muted', role: 'status' }, 'Offering: waiting until others can reach this page…')
    this.#list.replaceChildren(...rows, ...(waiting ? [waiting] : []))
  }

  async #withdraw(room: HostedRoom): Promise<void> {
    await this.#chat.leave(room).catch((error: unknown) => showError(this.#error, error))
  }
}
