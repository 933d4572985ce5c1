/**
 * `@openred/node`: any web page becomes a node of OpenRed.
 *
 * Importing this module does nothing by itself and is safe where there is no `window`; `OpenRed.join` starts everything.
 */

export { OpenRed } from './node.js'
export { OpenRedError, type ErrorCode } from './errors.js'
export type {
  CallOptions,
  EventsOptions,
  Explanation,
  FindOptions,
  Found,
  FoundRecord,
  HandlerRegistration,
  JoinEvent,
  JoinOptions,
  Layer,
  LayerReport,
  NodeEvent,
  NotDirect,
  Offer,
  OfferPatch,
  OpenOptions,
  Path,
  PeerInfo,
  Registration,
  ServiceHandler,
  ServiceRecord,
  ServiceStream,
  Stats,
  Status,
  TabRole,
  Target,
  Verdict,
} from './types.js'
