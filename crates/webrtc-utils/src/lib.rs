//! What [`libp2p-webrtc`](https://docs.rs/libp2p-webrtc) needs around a WebRTC connection: streams over data
//! channels, the Noise handshake that authenticates the connection, SDP, certificate fingerprints.
//!
//! # Why this crate exists
//!
//! It bears the name and the version of the published `libp2p-webrtc-utils` 0.5.0 and takes its place by
//! `[patch.crates-io]`, because that one does not know `FIN_ACK`, the last flag of the [specification]. A js-libp2p
//! node that closes a stream sends `FIN` and waits for `FIN_ACK`; over the published crate each close, and with it
//! identify, costs five seconds. The published crate also leaves the data channel of every stream open, and takes no
//! message over 8 KiB, for a clone of a `PollDataChannel` forgets how long its read buffer was to be.
//!
//! It is written from the specification and from what libp2p-webrtc calls; it shares no code with the published one.
//! Our own transports in the browser, `openred-webrtc`, stand on it too: streams, handshake and SDP are the same code at
//! both ends. A release of `libp2p-webrtc-utils` that answers `FIN`, drains what arrives after a stream was dropped and
//! closes its data channels makes the entry under `[patch.crates-io]` unnecessary; then this crate can have a name of
//! its own.
//!
//! # How it works
//!
//! [`framing`] turns messages into bytes and back, [`state`] knows what each half of a stream may still do and which
//! flag is due, [`window`] how much of a stream may be under way. All are pure. [`Stream`] and [`DropListener`] share one data channel and one [`state::State`]: the
//! stream is its owner's handle, the listener is polled by the connection, answers the remote when the owner does
//! not, and closes the data channel in the end.
//!
//! # What it does not do
//!
//! It opens no connection and no data channel, and it does not close the channel of the Noise handshake, whose
//! listener libp2p-webrtc drops. A stream that is dropped without having read to the end does not tell the remote to
//! stop: what still comes is read and forgotten until the channel closes.
//!
//! [specification]: https://github.com/libp2p/specs/blob/master/webrtc/README.md

mod channel;
mod dial;
mod fingerprint;
pub mod framing;
pub mod noise;
pub mod protobuf;
pub mod sdp;
pub mod state;
mod stream;
pub mod window;

pub use channel::{Closing, DataChannel};
pub use dial::parse_webrtc_dial_addr;
pub use fingerprint::{Fingerprint, SHA256};
pub use framing::MAX_MSG_LEN;
pub use stream::{DropListener, Stream, open_channels};
