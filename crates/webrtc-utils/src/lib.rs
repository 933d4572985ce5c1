//! What runs on the data channels of a WebRTC connection, at both ends and whoever makes them: streams, the Noise handshake
//! that authenticates the connection, SDP, certificate fingerprints. Our transports stand on it, that of native nodes
//! (`openred-node`) and those of the browser (`openred-webrtc`).
//!
//! # Why it has this name
//!
//! It bears the name and the version of the published `libp2p-webrtc-utils` 0.5.0 and takes its place below
//! [`libp2p-webrtc`](https://docs.rs/libp2p-webrtc) by `[patch.crates-io]`, for the tests in which our transport meets that
//! one. The published one does not know `FIN_ACK`, the last flag of the [specification]: a js-libp2p node that closes a stream
//! sends `FIN` and waits for `FIN_ACK`, which costs each close, and with it identify, five seconds. It also leaves the data
//! channel of every stream open, and takes no message over 8 KiB.
//!
//! It is written from the specification and from what libp2p-webrtc calls; it shares no code with the published one.
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
//! listener its owner may drop. A stream that is dropped without having read to the end does not tell the remote to
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
