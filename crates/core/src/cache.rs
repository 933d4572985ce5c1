//! What a node remembers of the network: who it met, and what it was told.
//!
//! The cache is the second layer of every find, the reason why a second visit joins although each configured relay is
//! gone, and the memory that [`Output::Remember`](crate::Output) hands to the shell. It learns from what happens anyway:
//! links that stand, pings that come back, dials that fail, answers that are found, streams that open.
//!
//! - `peers`: the servers of the DHT and the relays that were met, with the addresses at which they were reached.
//! - `services`: the records that were found, with when they were confirmed and how often they were asked for.
//! - `providers`: how those who offer services have done.
//! - Best routes have their place in what is written down (`proto/cache.proto`) and are not measured by this version.
//!
//! Bounds: each part has a cap in [`CacheConfig`]. The cache believes nothing that was not verified, and asks nobody itself.

pub(crate) mod memory;
pub(crate) mod peers;
pub(crate) mod providers;
pub(crate) mod services;

use std::time::Duration;

use libp2p_identity::PeerId;

use self::{memory::Memory, peers::Peers, providers::Providers, services::Services};
use crate::{name::NetworkName, time::Now};

/// The caps of the cache.
#[derive(Clone, Debug)]
pub struct CacheConfig {
    /// Relays and DHT servers that are remembered. Joining needs a handful; 256 are a sample of the network in which some
    /// live on after the sudden loss of four fifths of it (all die with a chance of 0.8^256, below 10^-24). Each costs about
    /// 200 bytes, addresses included.
    pub max_peers: usize,
    /// Service names that are remembered; a person uses tens, a gateway some hundreds. A guess.
    pub max_services: usize,
    /// Bytes of records that are remembered. What is decoded beside them takes about as much again. Twice what is written
    /// down, since a life may need more than the next one does; a guess.
    pub max_bytes: usize,
    /// Providers whose performance is remembered, at 100 bytes each: one for each name.
    pub max_providers: usize,
    /// The most bytes that are written down for the next life: a browser's storage takes that in milliseconds.
    pub max_memory: usize,
    /// Time between two writings, if something changed. What is lost in a crash is half a minute of learning; a browser's
    /// disk is spared.
    pub remember_every: Duration,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            max_peers: 256,
            max_services: 512,
            max_bytes: 512 * 1024,
            max_providers: 512,
            max_memory: 256 * 1024,
            remember_every: Duration::from_secs(30),
        }
    }
}

/// When something happened, in this life or an earlier one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stamp {
    /// By the monotonic clock of this life.
    Here(Duration),
    /// By the wall clock of an earlier life, in milliseconds since the Unix epoch.
    Earlier(u64),
}

impl Stamp {
    pub(crate) fn at(now: Now) -> Self {
        Self::Here(now.elapsed)
    }

    pub(crate) fn remembered(unix_ms: u64) -> Self {
        Self::Earlier(unix_ms)
    }

    /// How long ago that was; none if it would lie in the future, because a clock was set.
    pub(crate) fn age(&self, now: Now) -> Option<Duration> {
        match self {
            Self::Here(at) => Some(now.elapsed.saturating_sub(*at)),
            Self::Earlier(at) => now.unix_ms.checked_sub(*at).map(Duration::from_millis),
        }
    }

    /// The same by the wall clock, in milliseconds since the Unix epoch; 0 if it is not known.
    pub(crate) fn unix_ms(&self, now: Now) -> u64 {
        self.age(now).map_or(0, |age| now.unix_ms.saturating_sub(crate::time::millis(age)))
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Cache {
    /// Relays and DHT servers that were met.
    pub(crate) peers: Peers,
    /// Records that were found.
    pub(crate) services: Services,
    /// How providers have done.
    pub(crate) providers: Providers,
    /// When it is written down.
    pub(crate) memory: Memory,
}

impl Cache {
    pub(crate) fn new(config: &CacheConfig, network: &NetworkName, local: PeerId) -> Self {
        Self {
            peers: Peers::new(config.max_peers),
            services: Services::new(network.clone(), local, config),
            providers: Providers::new(config.max_providers),
            memory: Memory::default(),
        }
    }
}
