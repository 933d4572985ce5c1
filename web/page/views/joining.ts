/** Joining, step by step as it happens: what is done, how long it took, what fails and why. */

import type { JoinEvent, NodeEvent, Status, TabRole } from '../../src/index.js'
import { byId, h } from '../dom.js'
import { duration } from '../format.js'

type Step = Exclude<JoinEvent['step'], 'failed'>
type StepState = 'waiting' | 'active' | 'done' | 'failed'

const STEPS: { step: Step; label: string; doing: string }[] = [
  { step: 'loaded', label: 'Node loaded', doing: 'loading the node' },
  { step: 'dial', label: 'Relay called', doing: 'calling a relay' },
  { step: 'connected', label: 'Relay answered', doing: 'waiting for an answer' },
  { step: 'identified', label: 'Recognised', doing: 'introducing itself' },
  { step: 'dht', label: 'DHT answers', doing: 'asking the DHT' },
  { step: 'reserved', label: 'Reachable by others', doing: 'asking to be reachable' },
]

const WORDS: { [state in StepState]: string } = { waiting: 'to come', active: 'under way', done: 'done', failed: 'failed' }

const FOLLOWING =
  'This tab uses the node of another tab of this page, and is the same peer. When that tab goes, this one takes over.'

interface Row {
  item: HTMLLIElement
  time: HTMLElement
  word: HTMLElement
}

export class JoiningView {
  readonly #status = byId('status')
  readonly #rows = new Map<Step, Row>()
  readonly #troubles = byId('relay-troubles')
  readonly #note = byId('tab-note')
  readonly #reason = byId('status-reason')
  readonly #failed = new Map<string, JoinEvent>()
  /** Steps that some relay has reached. */
  readonly #done = new Set<Step>()
  #state: Status['state'] = 'joining'
  /** Why the node is in no network. */
  #why: string | undefined
  #role: TabRole = 'alone'
  #start = performance.now()
  #joinedMs: number | undefined

  constructor() {
    byId('steps').replaceChildren(
      ...STEPS.map(({ step, label }) => {
        const time = h('span', { class: 'time' })
        const word = h('span', { class: 'offscreen' })
        const item = h('li', { 'data-testid': `join-step-${step}` }, h('span', { class: 'label' }, label), ' ', time, word)
        this.#rows.set(step, { item, time, word })
        return item
      }),
    )
    this.#paint()
  }

  /** Starts over: a new attempt, or the way back after the network was lost. */
  restart(from: Step): void {
    this.#state = 'joining'
    for (const { step } of STEPS.slice(STEPS.findIndex((other) => other.step === from))) {
      this.#done.delete(step)
      this.#rows.get(step)!.time.textContent = ''
    }
    this.#start = performance.now()
    this.#joinedMs = undefined
    this.#paint()
  }

  see(event: NodeEvent): void {
    if (event.type === 'status') this.#see(event)
    if (event.type === 'tab') {
      this.#role = event.role
      this.#paint()
    }
    if (event.type !== 'join') return
    if (event.step === 'failed') this.#failed.set(event.relay, event)
    else this.#reach(event.step, event.relay)
    this.#paint()
  }

  /** The node has joined; its reservation may still be under way. */
  joined(): void {
    this.#joinedMs = performance.now() - this.#start
    this.#state = 'ready'
    this.#paint()
  }

  /** Joining was given up; the error that is shown names every relay. */
  failed(): void {
    this.#state = 'offline'
    this.#failed.clear()
    this.#paint()
  }

  #see({ state, reason }: Status): void {
    if (this.#state === 'ready' && state !== 'ready') this.restart('dial')
    if (state === 'ready') this.#joinedMs ??= performance.now() - this.#start
    this.#state = state
    this.#why = reason
    this.#paint()
  }

  /** Several relays are called side by side; each step shows when the first one reached it. */
  #reach(step: Step, relay: string): void {
    if (step !== 'dial') this.#failed.delete(relay)
    if (this.#done.has(step)) return
    this.#done.add(step)
    this.#rows.get(step)!.time.textContent = duration(performance.now() - this.#start)
  }

  #next(): { step: Step; doing: string } | undefined {
    return STEPS.find(({ step }) => !this.#done.has(step))
  }

  #paint(): void {
    const stuck = this.#state === 'joining' ? this.#failed.size > 0 : this.#state !== 'ready'
    const next = this.#next()?.step
    for (const [step, { item, word }] of this.#rows) {
      let state: StepState = this.#done.has(step) ? 'done' : 'waiting'
      if (step === next) state = stuck ? 'failed' : 'active'
      item.dataset['state'] = state
      word.textContent = `: ${WORDS[state]}`
    }
    // The steps are those of the tab that runs the node.
    byId('steps').hidden = this.#role === 'following'
    this.#note.textContent = this.#role === 'following' ? FOLLOWING : ''
    const again = this.#state === 'joining' || this.#state === 'offline' ? ' It comes back by itself.' : ''
    this.#reason.textContent = this.#state === 'ready' || this.#why === undefined ? '' : `${sentence(this.#why)}${again}`
    this.#status.dataset['state'] = this.#state
    const text = this.#text()
    if (this.#status.textContent !== text) this.#status.textContent = text
    this.#troubles.replaceChildren(...[...this.#failed.values()].map(trouble))
  }

  #text(): string {
    if (this.#state === 'ready') return this.#joinedMs === undefined ? 'ready' : `ready in ${duration(this.#joinedMs)}`
    const doing = this.#next()?.doing
    return this.#state === 'joining' && doing ? `joining: ${doing}` : this.#state
  }
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${text.endsWith('.') ? '' : '.'}`
}

function trouble({ relay, code, reason, retryInMs }: JoinEvent): HTMLElement {
  const again = retryInMs === undefined ? '' : ` Trying again in ${duration(retryInMs)}.`
  return h('li', {}, h('code', {}, relay), ` ${reason ?? 'does not serve'}. `, code && h('code', { class: 'code' }, code), again)
}
