/**
 * Turns whatever the wasm side rejects or throws with into an `OpenRedError`.
 *
 * The raw binding rejects with plain `{ code, message }` objects. Anything else is a fault of the code itself (a wasm
 * trap, a broken promise of the binding) and is told as `CRASHED` with the original as `cause`.
 */

import { OpenRedError, type ErrorCode } from './errors.js'

export function asOpenRedError(thrown: unknown): OpenRedError {
  if (thrown instanceof OpenRedError) return thrown
  if (typeof thrown === 'object' && thrown !== null && 'code' in thrown && 'message' in thrown && !(thrown instanceof Error)) {
    return new OpenRedError(String(thrown.code) as ErrorCode, String(thrown.message))
  }
  const text = thrown instanceof Error ? thrown.message : String(thrown)
  return new OpenRedError('CRASHED', `the node failed: ${text}`, { cause: thrown })
}

export function aborted(signal: AbortSignal): OpenRedError {
  return new OpenRedError('ABORTED', 'the call was aborted by its signal', { cause: signal.reason })
}

export function closed(): OpenRedError {
  return new OpenRedError('CLOSED', 'this node was closed')
}

export function crashed(message: string): OpenRedError {
  return new OpenRedError('CRASHED', `the node crashed: ${message}; reload the page to start again`)
}

/** What a node says of an offer that it does not take. After any other failure it has it, and goes on telling the network. */
const NOT_TAKEN: readonly ErrorCode[] = ['INVALID_NAME', 'INVALID_OPTION', 'RECORD_TOO_LARGE', 'NOT_FOUND']

/** Whether a node that was asked to change an offer, and failed so, has it as it was. */
export function leavesOffer(thrown: unknown): boolean {
  return NOT_TAKEN.includes(asOpenRedError(thrown).code)
}
