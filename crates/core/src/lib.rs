//! The decisions of an OpenRed node.
//!
//! A [`Machine`] is one node without its network: it does no input or output, reads no clock, draws no randomness and
//! knows no async. A shell (the crate `openred-node`, or the simulator) connects it to a world.
//!
//! # Driving a machine
//!
//! The methods of a machine are of four kinds. *Getters* tell. *Orders* of the application ([`Machine::find`],
//! [`Machine::provide`] and so on) name an operation by an id and end with one [`Output::Done`]. [`Machine::handle_input`]
//! and [`Machine::handle_timeout`] take facts from the world. [`Machine::poll_output`] and [`Machine::poll_timeout`] give
//! what comes of it. After each order or fact: call `poll_output` until it gives none, then `poll_timeout`, then wait for
//! the next fact or that time, whichever is first.
//!
//! ```
//! use openred_core::{Config, Machine, Now, Output, Role, address::RelayAddress, event::Event, name::NetworkName};
//!
//! let relay = RelayAddress::parse("127.0.0.1:8080", false)?;
//! let config = Config::new(NetworkName::default(), Role::Client, vec![relay]);
//! let keypair = libp2p_identity::Keypair::ed25519_from_bytes([7; 32])?;
//! let now = Now { elapsed: std::time::Duration::ZERO, unix_ms: 1_795_000_000_000 };
//! let mut machine = Machine::new(config, keypair, 42, now);
//! let mut dialled = false;
//! while let Some(output) = machine.poll_output() {
//!     dialled |= matches!(output, Output::Dial { .. });
//! }
//! assert!(dialled, "a new node dials its relays at once");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod backoff;
mod boundary;
mod config;
mod context;
mod hearsay;
mod join;
mod ladder;
mod links;
mod machine;
mod orders;
mod reach;
mod reservations;
mod topology;

pub mod address;
pub mod bootstrap;
pub mod bundle;
pub mod cache;
pub mod dht;
pub mod error;
pub mod event;
pub mod find;
#[cfg(feature = "server")]
pub mod lifecycle;
pub mod map;
pub mod name;
pub mod open;
#[cfg(feature = "tokens")]
pub mod peer_auth;
pub mod peer_record;
pub mod publish;
pub mod record;
pub mod time;
#[cfg(feature = "tokens")]
pub mod token;
pub mod wire;

pub use boundary::{
    ConnectionId, DialFailure, DialId, DirectFailure, FetchId, InboundId, Input, OpId, OpenId, Outcome, Output,
    RegistrationId, RequestId, Response, Timer,
};
pub use config::{Config, PeerConnections, Role};
pub use error::Error;
pub use ladder::MAX_STUN_SERVERS;
pub use machine::{Explanation, Machine, NotDirect, PeerInfo, Stats};
pub use time::Now;
