/**
 * This tab's part in a node: where the node comes from, what stands of it while it changes, and the life of the page that
 * makes it change.
 */

import type { Binding, RawOptions } from './binding.js'
import type { OpenRedError } from './errors.js'
import type { Identity, Warning } from './identity.js'
import { LastingNode } from './lasting/node.js'
import { watchPage } from './life.js'
import { startNode, type LocalNode } from './local.js'
import { openMemory, type Memory } from './memory.js'
import { Alone, type Source, type SourceEvents } from './source.js'
import { Share, type SharePlatform } from './tabs/share.js'
import type { NodeEvent } from './types.js'
import type { Upstream } from './upstream.js'

/** Pause before a tab that could not get a node tries again, in ms. */
const AGAIN_MS = 5_000

export interface TabParts {
  binding: Binding
  identity: Identity
  options: RawOptions
  network: string
  memory: 'kept' | 'none'
  /** What an earlier visit left, read while the code was loading. */
  remembered: Promise<Memory>
  /** What tabs agree with; undefined where they cannot. */
  platform: SharePlatform | undefined
  /** Is told everything that happens. */
  tell: (event: NodeEvent) => void
}

export class Tab {
  readonly node: LastingNode
  readonly #parts: TabParts
  readonly #source: Source
  readonly #unwatch: () => void
  /** For the first node of this tab; later ones read anew what others have kept meanwhile. */
  #remembered: Promise<Memory> | undefined
  #memory: Memory | undefined
  #options: RawOptions
  #local: LocalNode | undefined
  /** Grows when the node of this tab is to stop. */
  #life = 0
  #again: ReturnType<typeof setTimeout> | undefined
  #over = false

  constructor(parts: TabParts) {
    this.#parts = parts
    this.#remembered = parts.remembered
    this.#options = parts.options
    const { identity, network, platform, binding, tell } = parts
    const { bytes, peerId } = identity
    const checkName = (name: string): void => binding.checkName(name)
    this.node = new LastingNode({ peerId, identity: bytes, checkName, tell, leave: () => this.#leave() })
    const events: SourceEvents = {
      lead: () => this.#lead(),
      restrict: () => {
        this.#options = { ...this.#options, relayedOnly: true }
      },
      stop: () => this.#stop(),
      up: (upstream, role) => {
        this.#remembered = undefined
        this.node.up(upstream, role)
      },
      down: (reason) => this.node.down({ state: 'joining', reason }),
      failed: (error) => this.#failed(error),
    }
    const shared = identity.shared && platform
    const { relayedOnly } = parts.options
    const scope = `openred:${network}:${peerId}`
    this.#source = shared ? new Share({ scope, identity: bytes, relayedOnly }, platform, events) : new Alone(events)
    this.#unwatch = watchPage({
      wake: () => void this.node.wake().catch(() => {}),
      changed: () => void this.node.networkChanged().catch(() => {}),
      offline: () => void this.node.networkGone().catch(() => {}),
      freeze: () => this.#source.freeze(),
      thaw: () => this.#start(),
      putAway: () => {
        this.#source.stop()
        this.node.down({ state: 'offline', reason: 'the page was put away' })
      },
      show: () => this.#start(),
      vanish: () => {
        this.#local?.hangUp()
        this.#source.vanish()
      },
    })
    this.#start()
  }

  /** The code of this page has crashed: nothing of it is entered again. */
  crashed(error: OpenRedError): void {
    this.#over = true
    this.#local?.calls.end(error)
    this.#source.stop()
    this.node.abandon()
    this.#end()
  }

  /** Resolves when everything that is to be remembered is kept. */
  async settled(): Promise<void> {
    await this.#memory?.settled()
  }

  #start(): void {
    if (!this.#over) this.#source.start()
  }

  async #leave(): Promise<void> {
    this.#over = true
    this.#unwatch()
    await this.#source.leave()
    this.#end()
  }

  #end(): void {
    this.#over = true
    clearTimeout(this.#again)
    this.#unwatch()
  }

  async #lead(): Promise<Upstream> {
    const life = this.#life
    const { binding, memory: choice, network, tell } = this.#parts
    const warn = (warning: Warning): void => tell({ type: 'warning', ...warning })
    const memory = await (this.#remembered ?? openMemory(choice, network, warn))
    if (life !== this.#life) throw new Error('stopped before it began')
    if (memory.warning) warn(memory.warning)
    this.#memory = memory
    this.#local = startNode(binding, this.#options, memory)
    return this.#local
  }

  #stop(): void {
    this.#life += 1
    this.#local?.abandon()
    this.#local = undefined
  }

  /** Another tab may lead meanwhile, and this one follow. */
  #failed(error: OpenRedError): void {
    this.#source.stop()
    this.node.failed(error)
    clearTimeout(this.#again)
    this.#again = setTimeout(() => this.#start(), AGAIN_MS)
  }
}
