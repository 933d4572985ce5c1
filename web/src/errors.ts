/**
 * What can go wrong, told apart by `code`. The list is stable: codes are added, never renamed.
 *
 * - `INVALID_NAME`, `INVALID_OPTION`, `INVALID_ADDRESS`: what was handed in cannot work; the message says what would.
 * - `RECORD_TOO_LARGE`: an offer is over the 2 KiB of a record or the 1 KiB of metadata.
 * - `NO_RELAY`, `WRONG_NETWORK`: no relay answered, or only relays of another network did.
 * - `TIMEOUT`, `ABORTED`: time ran out, or the caller's signal said stop (`cause` is the signal's reason).
 * - `CLOSED`, `CRASHED`: the node was closed, or its code failed and every node of the page is lost until a reload.
 * - `NOT_FOUND`, `UNREACHABLE`, `REFUSED`: nobody offers it, the provider cannot be reached, the provider said no.
 * - `STREAM_RESET`: the other side or the network cut the stream.
 * - `QUOTA`, `STORAGE`, `UNSUPPORTED`: a limit is reached, the browser's storage is denied, the platform lacks something.
 */
export type ErrorCode =
  | 'INVALID_NAME'
  | 'INVALID_OPTION'
  | 'INVALID_ADDRESS'
  | 'RECORD_TOO_LARGE'
  | 'NO_RELAY'
  | 'WRONG_NETWORK'
  | 'TIMEOUT'
  | 'ABORTED'
  | 'CLOSED'
  | 'CRASHED'
  | 'NOT_FOUND'
  | 'UNREACHABLE'
  | 'REFUSED'
  | 'STREAM_RESET'
  | 'QUOTA'
  | 'STORAGE'
  | 'UNSUPPORTED'

/** The only error this package rejects or throws with. */
export class OpenRedError extends Error {
  /** What went wrong, for programs. The message is for people. */
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'OpenRedError'
    this.code = code
  }
}
