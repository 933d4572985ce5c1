//! What a node counts.

use std::time::Duration;

/// Counters up to one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Time since the node's start.
    pub uptime: Duration,
    /// Connected peers.
    pub peers: usize,
    /// Connected relays of this network.
    pub relays: usize,
    /// Reservations that relays hold for this node.
    pub reservations: usize,
    /// Bytes received, below encryption.
    pub bytes_in: u64,
    /// Bytes sent, below encryption.
    pub bytes_out: u64,
    /// Finds that have ended.
    pub finds: u64,
    /// The mean time of a find.
    pub find_time: Duration,
    /// WebRTC connections made in this page's life; browsers allow 500.
    pub peer_connections: u64,
    /// Reservations that this node holds for others, as a relay.
    pub reservations_held: usize,
    /// Circuits through this node, as a relay.
    pub circuits: usize,
    /// Service names stored for others.
    pub stored_services: usize,
    /// Bytes stored for others.
    pub stored_bytes: usize,
    /// Peers in the routing table.
    pub routing_table: usize,
}
