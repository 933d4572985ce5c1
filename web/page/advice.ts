/** What a person can do about an error, by its code. */

import { OpenRedError, type ErrorCode } from '../src/index.js'
import { h } from './dom.js'

const ADVICE: { [code in ErrorCode]?: string } = {
  INVALID_ADDRESS: 'Check the relay in this page’s address (?relay=…).',
  INVALID_OPTION: 'Check this page’s address (?relay=… and ?network=…).',
  NO_RELAY: 'Check that you are online and that the relay runs. This page tries again by itself.',
  WRONG_NETWORK: 'This relay serves another network. Use one of yours, or name the network (?network=…).',
  TIMEOUT: 'The network is slow or away. Trying again often helps.',
  NOT_FOUND: 'Nobody offers it right now.',
  UNREACHABLE: 'Whoever offered it may have closed the page. Find the name again to see who offers it now.',
  REFUSED: 'The other side does not serve this name.',
  STREAM_RESET: 'The other side left, or the relay between you did.',
  RECORD_TOO_LARGE: 'Say it shorter.',
  QUOTA: 'A relay is at its limit. Try later, or through another relay.',
  CRASHED: 'Reload the page; nothing on this device is lost.',
  UNSUPPORTED: 'This browser cannot do it. Use a current one, or a relay address that browsers can dial (https or wss).',
}

/** Shows an error where it happened, read out at once. An empty place shows nothing. */
export function showError(place: HTMLElement, error: unknown, ...more: HTMLElement[]): void {
  const code = error instanceof OpenRedError ? error.code : undefined
  const message = error instanceof Error ? error.message : String(error)
  const advice = code && ADVICE[code]
  place.replaceChildren(
    h(
      'div',
      { class: 'error', role: 'alert', 'data-testid': 'error', 'data-code': code },
      code && h('p', {}, h('code', {}, code)),
      h('p', {}, message),
      advice && h('p', { class: 'advice' }, advice),
      ...more,
    ),
  )
}

export function clearError(place: HTMLElement): void {
  place.replaceChildren()
}
