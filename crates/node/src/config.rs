//! What a node is told once, at its start.

use std::time::Duration;

use libp2p::{Multiaddr, identity::Keypair};
use openred_core::{address::RelayAddress, bootstrap::BootstrapList, name::NetworkName};

use crate::{memory::Keeper, platform};

/// The settings of one node.
#[derive(Debug)]
pub struct Config {
    /// The network; nodes of different networks never mix.
    pub network: NetworkName,
    /// The node's key; its public half is the peer id.
    pub identity: Keypair,
    /// Client or relay.
    pub role: Role,
    /// First contacts.
    pub relays: Vec<RelayAddress>,
    /// More first contacts, as somebody listed them by region.
    pub bootstrap: BootstrapList,
    /// URLs of such lists, fetched while connections lack.
    pub lists: Vec<String>,
    /// Where the node stands; may be empty.
    pub region: String,
    /// Addresses to listen on.
    pub listen: Vec<Multiaddr>,
    /// Addresses by which others reach this node; those it listens on if empty.
    pub announce: Vec<Multiaddr>,
    /// Bytes per second, both directions together; unlimited if none.
    pub max_bandwidth: Option<u64>,
    /// Whether private addresses learned from others are dialled; a page of the public web must not.
    pub dial_private: bool,
    /// Whether peers are reached through relays only, so that they do not learn this node's address.
    pub relayed_only: bool,
    /// What an earlier life of this node left; what cannot be read of it is set aside with a warning.
    pub memory: Option<Vec<u8>>,
    /// Takes what this life leaves; nobody does if none.
    pub keeper: Option<Keeper>,
    /// What the platform gives.
    pub platform: platform::Config,
}

impl Config {
    /// A client with every setting at its default.
    pub fn client(network: NetworkName, identity: Keypair, relays: Vec<RelayAddress>) -> Self {
        Self {
            network,
            identity,
            role: Role::Client,
            relays,
            bootstrap: BootstrapList::default(),
            lists: Vec::new(),
            region: String::new(),
            listen: Vec::new(),
            announce: Vec::new(),
            max_bandwidth: None,
            dial_private: true,
            relayed_only: false,
            memory: None,
            keeper: None,
            platform: platform::Config::default(),
        }
    }
}

/// What a node is to others.
#[derive(Clone, Debug)]
pub enum Role {
    /// Takes part and is reached through relays.
    Client,
    /// Serves others within limits.
    Relay(RelayLimits),
}

/// What a relay gives.
#[derive(Clone, Debug)]
pub struct RelayLimits {
    /// Nodes for which a place is held. A reservation costs a connection, some 50 KiB with its buffers.
    pub max_reservations: usize,
    /// Places for one peer; one for each of its connections.
    pub max_reservations_per_peer: usize,
    /// How long a place is held without renewal.
    pub reservation_duration: Duration,
    /// Circuits at once.
    pub max_circuits: usize,
    /// Circuits from one peer at once.
    pub max_circuits_per_peer: usize,
    /// How long a circuit may live; zero is for ever.
    pub circuit_duration: Duration,
    /// Bytes through one circuit, both directions together; zero is unlimited.
    pub circuit_bytes: u64,
}

impl Default for RelayLimits {
    fn default() -> Self {
        Self {
            max_reservations: 1024,
            max_reservations_per_peer: 4,
            reservation_duration: Duration::from_secs(3600),
            max_circuits: 4096,
            max_circuits_per_peer: 64,
            circuit_duration: Duration::from_secs(4 * 3600),
            circuit_bytes: 1 << 30,
        }
    }
}
