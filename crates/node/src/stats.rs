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
    /// Finds that found something, by the layer that answered first, in the order of
    /// [`Layer::ALL`](openred_core::find::Layer::ALL).
    pub finds_by_layer: [u64; 5],
    /// Finds that were answered from the cache without asking the network.
    pub cache_hits: u64,
    /// Finds for which the cache was asked and the network had to be asked as well.
    pub cache_misses: u64,
    /// Names in the cache.
    pub cached_services: usize,
    /// Bytes they take.
    pub cached_bytes: usize,
    /// Relays and DHT servers that are remembered.
    pub remembered_peers: usize,
    /// Servers of this network that were linked, vanished, and are looked for.
    pub lost_peers: usize,
    /// DHT requests sent to other peers.
    pub dht_requests: u64,
    /// DHT requests of other peers that were looked at.
    pub dht_served: u64,
    /// DHT requests of other peers that exceeded their quota.
    pub dht_refused: u64,
    /// DHT walks that have ended.
    pub dht_walks: u64,
}
