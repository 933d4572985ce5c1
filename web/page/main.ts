/** The page: joins by being opened, then shows the node and what can be done with it. */

import { OpenRed, OpenRedError, type FoundRecord, type JoinOptions, type NodeEvent } from '../src/index.js'
import { clearError, showError } from './advice.js'
import { ChatView } from './chat/view.js'
import { VisitedRoom } from './chat/visited.js'
import { byId, h } from './dom.js'
import { placeOf, placeWanted } from './place.js'
import { FindView } from './views/find.js'
import { JoiningView } from './views/joining.js'
import { logEvent, logNote } from './views/log.js'
import { OfferView } from './views/offer.js'
import { PeersView, showYou } from './views/you.js'

declare global {
  interface Window {
    /** For curious people and tests. */
    openred: { OpenRed: typeof OpenRed; node: OpenRed | undefined }
  }
}

/** Pause before joining is tried again by itself. */
const AGAIN_MS = 5_000

/** Codes at which trying again cannot help. */
const HOPELESS = ['INVALID_OPTION', 'INVALID_ADDRESS', 'UNSUPPORTED', 'CRASHED']

/** Warnings that this visit's identity is one of the moment. */
const NOT_KEPT = ['LOCKS_MISSING', 'IDENTITY_NEWER']

window.openred = { OpenRed, node: undefined }

const joining = new JoiningView()
const chat = new ChatView()
const joined = enter()
const offer = new OfferView(joined, chat)
const find = new FindView({ node: joined, open: visit, offer: (name) => void offer.offer(name) })

chat.onShow = (room) => history.replaceState(null, '', placeOf(room))
addEventListener('hashchange', () => void follow())

void joined.then(async (node) => {
  const peers = new PeersView(node)
  void follow()
  for await (const event of node.events()) {
    if (event.type.startsWith('peer:') || event.type === 'status') peers.refresh()
  }
})

/** Joins, however often it takes. */
async function enter(): Promise<OpenRed> {
  const query = new URLSearchParams(location.search)
  const relays = query.getAll('relay')
  const network = query.get('network')
  let identity: JoinOptions['identity'] = query.get('identity') === 'ephemeral' ? 'ephemeral' : 'persistent'
  for (;;) {
    let kept = identity === 'persistent'
    let remark = ''
    const onEvent = (event: NodeEvent): void => {
      if (event.type === 'warning' && NOT_KEPT.includes(event.code)) kept = false
      if (event.type === 'warning' && event.code.startsWith('IDENTITY_')) remark = event.message
      joining.see(event)
      logEvent(event)
      if (event.type === 'status' && event.state === 'crashed') crashed(event.reason)
    }
    try {
      const options: JoinOptions = { identity, onEvent }
      if (relays.length > 0) options.relays = relays
      if (network !== null) options.network = network
      const node = await OpenRed.join(options)
      joining.joined()
      clearError(byId('join-error'))
      showYou(node, kept, remark)
      window.openred.node = node
      return node
    } catch (error) {
      if (error instanceof OpenRedError && error.code === 'STORAGE' && identity === 'persistent') {
        logNote(error.message)
        identity = 'ephemeral'
        continue
      }
      joining.failed()
      await nextAttempt(error)
      joining.restart('loaded')
    }
  }
}

/** Shows why joining failed; resolves when it is time to try again. */
function nextAttempt(error: unknown): Promise<void> {
  const place = byId('join-error')
  const hopeless = error instanceof OpenRedError && HOPELESS.includes(error.code)
  if (hopeless && error.code === 'CRASHED') {
    showError(place, error, reloadButton())
    return new Promise(() => {})
  }
  return new Promise((resolve) => {
    const again = h('button', { type: 'button', class: 'quiet', onclick: () => resolve() }, 'Try now')
    showError(place, error, again)
    if (!hopeless) setTimeout(resolve, AGAIN_MS)
  })
}

function crashed(reason: string | undefined): void {
  showError(byId('join-error'), new OpenRedError('CRASHED', reason ?? 'the node crashed'), reloadButton())
}

function reloadButton(): HTMLElement {
  return h('button', { type: 'button', class: 'quiet', onclick: () => location.reload() }, 'Reload the page')
}

/** Enters the room of a record, or shows it when this page is in it already. */
async function visit(record: Pick<FoundRecord, 'name' | 'provider'>): Promise<void> {
  const node = await joined
  const here = chat.find(record.name, record.provider)
  if (here) return chat.show(here)
  if (record.provider === node.peerId) throw new Error('This browser offers it itself: the room is open in another of its tabs.')
  chat.show(await VisitedRoom.open(node, 'endpoints' in record ? (record as FoundRecord) : { peer: record.provider, name: record.name }))
}

/** Goes where the page's address says. */
async function follow(): Promise<void> {
  const wanted = placeWanted()
  if (wanted === undefined) return
  const [name, host] = wanted.split('@')
  const here = chat.find(name ?? '', host)
  if (here) return chat.show(here)
  const found = await find.find(wanted)
  const node = await joined
  const rooms = found?.records.filter((record) => record.type === 'chat') ?? []
  const record = rooms.find((record) => record.provider !== node.peerId) ?? rooms[0]
  if (record) await visit(record).catch((error: unknown) => showError(byId('find-error'), error))
}
