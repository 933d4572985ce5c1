/** Joining, step by step as it happens: what is done, how long it took, what fails and why. */

import type { JoinEvent, NodeEvent, Status } from '../../src/index.js'
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

interface Row {
  item: HTMLLIElement
  time: HTMLElement
  word: HTMLElement
}

export class JoiningView {
  readonly #status = byId('status')
  readonly #rows = new Map<Step, Row>()
  readonly #troubles = byId('relay-troubles')
  readonly #failed = new Map<string, JoinEvent>()
  /** Index of the step under way; all before it are done. */
  #at = 0
  #since = performance.now()
  #state: Status['state'] = 'joining'
  #start = this.#since
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
    this.#at = STEPS.findIndex(({ step }) => step === from)
    for (const { step } of STEPS.slice(this.#at)) this.#rows.get(step)!.time.textContent = ''
    this.#since = this.#start = performance.now()
    this.#joinedMs = undefined
    this.#paint()
  }

  see(event: NodeEvent): void {
    if (event.type === 'status') this.#see(event)
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

  #see({ state }: Status): void {
    if (this.#state === 'ready' && state !== 'ready') this.restart('dial')
    if (state === 'ready') this.#joinedMs ??= performance.now() - this.#start
    this.#state = state
    this.#paint()
  }

  /** Several relays are called side by side; the line shows the one that is furthest. */
  #reach(step: Step, relay: string): void {
    if (step !== 'dial') this.#failed.delete(relay)
    const index = STEPS.findIndex((other) => other.step === step)
    if (index < this.#at) return
    const now = performance.now()
    this.#rows.get(step)!.time.textContent = duration(now - this.#since)
    this.#since = now
    this.#at = index + 1
  }

  #paint(): void {
    const stuck = this.#state === 'joining' ? this.#failed.size > 0 : this.#state !== 'ready'
    for (const [index, { step }] of STEPS.entries()) {
      const { item, word } = this.#rows.get(step)!
      let state: StepState = 'waiting'
      if (index < this.#at) state = 'done'
      else if (index === this.#at) state = stuck ? 'failed' : 'active'
      item.dataset['state'] = state
      word.textContent = `: ${WORDS[state]}`
    }
    this.#status.dataset['state'] = this.#state
    const text = this.#text()
    if (this.#status.textContent !== text) this.#status.textContent = text
    this.#troubles.replaceChildren(...[...this.#failed.values()].map(trouble))
  }

  #text(): string {
    if (this.#state === 'ready') return this.#joinedMs === undefined ? 'ready' : `ready in ${duration(this.#joinedMs)}`
    const doing = STEPS[this.#at]?.doing
    return this.#state === 'joining' && doing ? `joining: ${doing}` : this.#state
  }
}

function trouble({ relay, code, reason, retryInMs }: JoinEvent): HTMLElement {
  const again = retryInMs === undefined ? '' : ` Called again in ${duration(retryInMs)}.`
  return h('li', {}, h('code', {}, relay), ` ${reason ?? 'does not serve'}. `, code && h('code', { class: 'code' }, code), again)
}
