//! WebRTC for libp2p in the browser, over the browser's own `RTCPeerConnection`.
//!
//! Two transports, which share everything below them:
//!
//! - [`direct`] dials servers at `/udp/../webrtc-direct/certhash/..`, as
//!   [WebRTC Direct](https://github.com/libp2p/specs/blob/master/webrtc/webrtc-direct.md) has it;
//! - [`peer`] connects two browsers that reach each other through a relay, at `<relay>/p2p-circuit/webrtc/p2p/<peer>`,
//!   as [WebRTC](https://github.com/libp2p/specs/blob/master/webrtc/webrtc.md) has it. It is a transport and a behaviour:
//!   the behaviour does the signalling on relayed connections and hands finished connections to the transport.
//!
//! Both give a [`Muxer`]. What runs on its data channels is told by the crate `libp2p-webrtc-utils`, which the relay's
//! transport stands on too: the framing and the state of a stream are the same code at both ends.
//!
//! # How it works
//!
//! [`signalling`] is pure: no I/O, no clock. `peer_connection` and `channel` are the browser's objects with what comes
//! from their events kept until it is asked for. Everything is driven by events; the timers are the deadline of a
//! negotiation and the grace of a connection that is said to be disconnected. Every handler is detached before what it
//! calls is dropped, so no event finds a closure that is gone, and no exception leaves a call into the browser.
//!
//! # Bounds
//!
//! [`muxer::MAX_CHANNELS`] channels a connection, [`MAX_UNREAD`] bytes unread a channel and
//! [`MAX_UNREAD_OF_CONNECTION`] a connection, [`MAX_UNSENT`] bytes waiting in the browser a channel;
//! [`peer::Config`] bounds negotiations, and [`signalling`] what they say.
//!
//! # What it does not do
//!
//! A browser takes what comes on a data channel whether it is read or not, and the protocol has no windows. Browsers that
//! both run this agree on some ([`libp2p_webrtc_utils::window`]); any other that sends faster than its stream is read for
//! long loses that stream: nothing here slows it down. It does not decide
//! whom to connect or how many connections a page can afford ([`peer_connections`] counts them), and it does not listen
//! for WebRTC-direct, which browsers cannot.

mod address;
mod channel;
mod error;
mod js;
mod peer_connection;

pub mod direct;
pub mod muxer;
pub mod peer;
pub mod signalling;

pub use channel::{MAX_UNREAD, MAX_UNREAD_OF_CONNECTION, MAX_UNSENT};
pub use error::Error;
pub use muxer::Muxer;
pub use peer_connection::{is_supported, peer_connections};
