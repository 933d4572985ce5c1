/** The conversation on the page: one room at a time, the others as tabs. */

import { byId, h } from '../dom.js'
import { clock, hue, plural, shortId } from '../format.js'
import { showError } from '../advice.js'
import { pathTag } from '../path.js'
import type { Room } from './room.js'
import { VisitedRoom } from './visited.js'
import { MAX_TEXT } from './wire.js'

export class ChatView {
  readonly #place = byId('chat')
  readonly #rooms: Room[] = []
  #shown: Room | undefined
  #log = h('div')
  #rendered = 0
  /** The parts of the shown room that change. */
  #update: () => void = () => {}
  onShow: (room: Room | undefined) => void = () => {}

  constructor() {
    this.#render()
  }

  /** The room of this name (and host, if it is given) that this page is in. */
  find(name: string, host?: string): Room | undefined {
    return this.#rooms.find((room) => room.name === name && room.state !== 'over' && (host === undefined || room.host === host))
  }

  show(room: Room, focus = true): void {
    if (!this.#rooms.includes(room)) {
      for (const old of this.#rooms.filter((other) => other.key === room.key)) this.#forget(old)
      this.#rooms.push(room)
      room.watch(() => {
        if (room === this.#shown) this.#update()
      })
    }
    this.#shown = room
    this.#render()
    this.onShow(room)
    if (!focus) return
    byId('talk').scrollIntoView({ block: 'nearest' })
    this.#place.querySelector('input')?.focus({ preventScroll: true })
  }

  async leave(room: Room): Promise<void> {
    this.#forget(room)
    if (this.#shown === room) {
      this.#shown = this.#rooms.at(-1)
      this.#render()
      this.onShow(this.#shown)
    }
    if (room.state !== 'over') await room.leave()
  }

  #forget(room: Room): void {
    const at = this.#rooms.indexOf(room)
    if (at >= 0) this.#rooms.splice(at, 1)
  }

  #render(): void {
    const room = this.#shown
    if (!room) {
      this.#update = () => {}
      this.#place.replaceChildren(
        h('p', { class: 'empty' }, 'No conversation yet. Find a room and open it, or offer one and wait for company.'),
      )
      return
    }
    const tabs = this.#rooms.map((other) => {
      const attributes = { type: 'button', class: 'tab', 'aria-pressed': String(other === room), onclick: () => this.show(other) }
      return h('button', attributes, other.name)
    })
    const facts = h('p', { class: 'facts', 'aria-live': 'polite' })
    const trouble = h('div')
    this.#log = h('div', {
      class: 'chat-log',
      'data-testid': 'chat-log',
      role: 'log',
      'aria-label': `Conversation in ${room.name}`,
      tabindex: '0',
    })
    this.#rendered = room.total - room.lines.length
    const input = h('input', {
      id: 'chat-input',
      'data-testid': 'chat-input',
      autocomplete: 'off',
      maxlength: String(MAX_TEXT),
      enterkeyhint: 'send',
      'aria-label': `Say something in ${room.name}`,
      placeholder: 'Say something',
    })
    const send = h('button', { 'data-testid': 'chat-send' }, 'Send')
    const form = h('form', { class: 'row' }, input, send)
    form.addEventListener('submit', (event) => {
      event.preventDefault()
      const text = input.value.trim()
      if (text === '' || room.state !== 'open') return
      room.say(text)
      input.value = ''
    })
    const onclick = (): void => void this.leave(room)
    const leave = h('button', { type: 'button', class: 'quiet', 'data-testid': 'chat-leave', onclick }, room.hosting ? 'Close room' : 'Leave')
    this.#place.replaceChildren(
      tabs.length > 1 ? h('div', { class: 'tabs', role: 'group', 'aria-label': 'Your rooms' }, ...tabs) : '',
      h('div', { class: 'chat-head' }, h('div', {}, h('h3', {}, room.name), facts), leave),
      this.#log,
      trouble,
      form,
    )
    this.#update = () => {
      facts.replaceChildren(...this.#facts(room))
      this.#append(room)
      input.disabled = send.disabled = room.state === 'over'
      this.#troubles(room, trouble)
    }
    this.#update()
  }

  #facts(room: Room): (Node | string)[] {
    const host = room.hosting ? 'hosted by you' : h('span', {}, 'hosted by ', h('code', { title: room.host }, shortId(room.host)))
    const people = plural(room.members, 'person', 'people')
    const link = room.path && pathTag(room.path, room.why, 'chat-path')
    const state = { connecting: 'connecting', open: '', over: 'over' }[room.state]
    return [host, h('span', {}, people), ...(link ? [link] : []), ...(state ? [h('span', { class: 'tag' }, state)] : [])]
  }

  /** Adds what is new; what screen readers have read stays. */
  #append(room: Room): void {
    const atEnd = this.#log.scrollHeight - this.#log.scrollTop - this.#log.clientHeight < 40
    const fresh = room.total - this.#rendered
    for (const line of fresh > 0 ? room.lines.slice(-fresh) : []) {
      if (line.kind === 'note') {
        this.#log.append(h('p', { class: 'note-line' }, line.text))
        continue
      }
      const who = line.mine ? 'you' : shortId(line.from)
      const dot = h('span', { class: 'dot', 'aria-hidden': 'true' })
      dot.style.setProperty('--hue', String(hue(line.from)))
      this.#log.append(
        h(
          'div',
          { class: line.mine ? 'said mine' : 'said' },
          h('p', { class: 'who' }, dot, h('span', { title: line.from }, who), ' ', h('time', {}, clock(line.at))),
          h('p', { class: 'text' }, line.text),
        ),
      )
    }
    while (this.#log.children.length > room.lines.length) this.#log.firstChild?.remove()
    this.#rendered = room.total
    if (atEnd) this.#log.scrollTop = this.#log.scrollHeight
  }

  #troubles(room: Room, place: HTMLElement): void {
    place.replaceChildren()
    if (room.state !== 'over' || !(room instanceof VisitedRoom)) return
    const again = h('button', { type: 'button', class: 'quiet' }, 'Call again')
    again.addEventListener('click', async () => {
      again.disabled = true
      await room.again().catch((error: unknown) => {
        again.disabled = false
        showError(place, error, again)
      })
    })
    if (room.trouble) showError(place, room.trouble, again)
    else place.replaceChildren(again)
  }
}
