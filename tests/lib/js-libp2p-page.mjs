/** What a page gets of js-libp2p: the same tools as in Node.js, and the transports only a browser has natively. */
import { webRTC, webRTCDirect } from '@libp2p/webrtc'
import * as tools from './js-libp2p.mjs'
import { bundle, newIdentity, signedRecord } from './records.mjs'
import * as streams from './service-stream.mjs'
import * as signalling from './signalling.mjs'

globalThis.js = { ...tools, ...streams, ...signalling, bundle, newIdentity, signedRecord, webRTC, webRTCDirect }
