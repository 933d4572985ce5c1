//! What a node remembers of the network: who it met, and what it was told.
//!
//! The cache is the second layer of every find, the reason why a second visit joins although each configured relay is
//! gone, and the memory that [`Output::Remember`](crate::Output) hands to the shell. It learns from what happens anyway:
//! links that stand, pings that come back, dials that fail, answers that are found.
//!
//! `peers` holds the servers of the DHT and the relays that were met, with the addresses at which they were reached.
//!
//! Bounds: each part has a cap in [`CacheConfig`]. The cache believes nothing that was not verified before, and asks
//! nobody itself.

pub(crate) mod peers;

use self::peers::Peers;

/// The caps of the cache.
#[derive(Clone, Debug)]
pub struct CacheConfig {
    /// Relays and DHT servers that are remembered. Joining needs a handful; 256 are a sample of the network in which some
    /// live on after the sudden loss of four fifths of it (all die with a chance of 0.8^256, below 10^-24). Each costs about
    /// 200 bytes, addresses included.
    pub max_peers: usize,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self { max_peers: 256 }
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Cache {
    /// Relays and DHT servers that were met.
    pub(crate) peers: Peers,
}

impl Cache {
    pub(crate) fn new(config: CacheConfig) -> Self {
        Self { peers: Peers::new(config.max_peers) }
    }
}
