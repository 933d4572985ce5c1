//! The libp2p shell around `openred-core`, native and in the browser.
//!
//! [`Node`] is what applications hold. Behind it one task, the driver, owns a libp2p swarm and a core machine and
//! translates between them.
#![doc = include_str!("../../ARCHITECTURE.md")]

mod behaviour;
mod command;
mod config;
mod driver;
mod events;
mod handlers;
mod memory;
mod muxer;
mod node;
mod operator;
mod shared;
mod stats;
#[cfg(test)]
mod testing;

pub mod framing;
pub mod meter;
pub mod platform;
pub mod service_stream;
pub mod streams;

pub use config::{Config, RelayLimits, Role};
pub use events::Events;
pub use handlers::Handler;
pub use libp2p::{Multiaddr, PeerId, identity::Keypair};
pub use memory::Keeper;
pub use node::Node;
pub use openred_core as core;
pub use operator::Registration;
// The browser has nothing of its own to add.
#[allow(unused_imports, unreachable_pub)]
pub use platform::public::*;
pub use service_stream::ServiceStream;
pub use stats::Stats;
