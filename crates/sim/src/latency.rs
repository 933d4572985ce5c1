//! How long a packet travels between two nodes, where nodes stand, and which packets are lost on the way.
//!
//! Three worlds: *even* (a base time, stretched by a factor of the pair), [`cities`] (great circles between real cities,
//! in regions) and [`measured`] (round-trip times between real hosts, changing over time). To the time of the pair comes
//! jitter of each packet. Single pairs can be set apart. Everything is drawn from the network's seed.
//!
//! **Loss.** Transports repeat what is lost, so a lost packet is a late one: each trip of a way is lost with the
//! probability [`Latency::loss`] (or that of [`Latency::losing`], in one direction), again and again, and each loss costs
//! the time after which it is sent once more, which doubles. That time is 1 s for a connection's first packet (RFC 6298
//! for TCP; RFC 9002 says 999 ms for QUIC) and two round trips, at least 200 ms, on a connection that stands (Linux's
//! least retransmission time). That others on the same connection wait behind it is not simulated.

pub mod cities;
pub mod measured;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    time::Duration,
};

use fastrand::Rng;

use self::{cities::Cities, measured::Measured};
use crate::{
    NodeId,
    map::{fraction, mix},
    wire::Hops,
};

/// Time after which a connection's first packet is sent again.
const REPEAT_FIRST: Duration = Duration::from_secs(1);

/// The least time after which a packet is sent again on a connection that stands.
const REPEAT: Duration = Duration::from_millis(200);

/// Losses in a row of one packet; the connection would be given up soon after.
const MAX_REPEATS: u32 = 6;

/// The latency model of a network.
#[derive(Clone, Debug)]
pub struct Latency {
    /// One-way time of the nearest pair in an even world, without jitter.
    pub base: Duration,
    /// How much farther than that the farthest pair is: 0 makes all pairs alike, 1 draws factors from 1 to 2.
    pub spread: f64,
    /// The most that jitter adds to a packet's time, as a part of it.
    pub jitter: f64,
    /// The probability that a packet is lost, in each direction.
    pub loss: f64,
    seed: u64,
    world: World,
    pairs: BTreeMap<(NodeId, NodeId), Duration>,
    losing: BTreeMap<(NodeId, NodeId), f64>,
    homes: BTreeSet<NodeId>,
}

/// Where the nodes are.
#[derive(Clone, Debug, Default)]
pub enum World {
    /// Nowhere: all pairs are alike, but for [`Latency::spread`].
    #[default]
    Even,
    /// In cities.
    Cities(Cities),
    /// At the hosts of a measurement.
    Measured(Measured),
}

impl Latency {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            base: Duration::from_millis(5),
            spread: 0.0,
            jitter: 0.1,
            loss: 0.0,
            seed,
            world: World::Even,
            pairs: BTreeMap::new(),
            losing: BTreeMap::new(),
            homes: BTreeSet::new(),
        }
    }

    /// Moves everybody to another world. Nodes that exist keep their addresses.
    pub fn settle(&mut self, world: World) {
        self.world = world;
    }

    /// Sets the one-way time of one pair.
    pub fn between(&mut self, one: NodeId, other: NodeId, one_way: Duration) {
        self.pairs.insert(pair(one, other), one_way);
    }

    /// Sets the probability that a packet from one node to another is lost; the other direction stays as it is.
    pub fn losing(&mut self, from: NodeId, to: NodeId, probability: f64) {
        self.losing.insert((from, to), probability);
    }

    /// A node stands in somebody's home and not in a data centre; counts among cities.
    pub fn at_home(&mut self, id: NodeId) {
        self.homes.insert(id);
    }

    /// The region where a node stands; empty in a world without regions.
    pub fn region(&self, id: NodeId) -> &'static str {
        match &self.world {
            World::Cities(cities) => cities.region(self.seed, id),
            World::Even | World::Measured(_) => "",
        }
    }

    /// A node's IP address. In cities, those of one city share few networks of 65 536 addresses, as those of real cities do.
    pub(crate) fn host(&self, id: NodeId) -> Ipv4Addr {
        match &self.world {
            World::Cities(cities) => cities.host(self.seed, id),
            World::Even | World::Measured(_) => {
                let (net, host) = (id.0 / 250, id.0 % 250);
                Ipv4Addr::new(10, (net / 256) as u8, (net % 256) as u8, host as u8 + 1)
            }
        }
    }

    /// One way to a host that nobody has, where another machine refuses.
    pub(crate) fn nowhere(&self, rng: &mut Rng) -> Duration {
        self.base.mul_f64(1.0 + self.jitter * rng.f64())
    }

    /// The time of a packet's trips between two neighbours on its way.
    pub(crate) fn travel(&self, from: NodeId, to: NodeId, hops: Hops, now: Duration, rng: &mut Rng) -> Duration {
        let still = self.one_way(from, to, now);
        let mut time = still.mul_f64(1.0 + self.jitter * rng.f64()) * hops.trips;
        if self.loss > 0.0 || !self.losing.is_empty() {
            for trip in 0..hops.trips {
                let way = if trip % 2 == 0 { (from, to) } else { (to, from) };
                let loss = self.losing.get(&way).copied().unwrap_or(self.loss);
                let first = hops.first && trip == 0;
                let mut repeat = if first { REPEAT_FIRST } else { REPEAT.max(still * 4) };
                let mut repeats = 0;
                while repeats < MAX_REPEATS && rng.f64() < loss {
                    time += repeat;
                    repeat *= 2;
                    repeats += 1;
                }
            }
        }
        time
    }

    /// The time between two nodes, without jitter.
    pub fn one_way(&self, from: NodeId, to: NodeId, now: Duration) -> Duration {
        let pair = pair(from, to);
        if let Some(set) = self.pairs.get(&pair).filter(|_| !self.pairs.is_empty()) {
            return *set;
        }
        match &self.world {
            World::Even => {
                let factor = fraction((self.seed, pair.0.0, pair.1.0));
                self.base.mul_f64(1.0 + self.spread * factor)
            }
            World::Cities(cities) => {
                let homes = [pair.0, pair.1].map(|id| self.homes.contains(&id));
                cities.one_way(self.seed, pair, homes)
            }
            World::Measured(measured) => measured.one_way(self.seed, from, to, now),
        }
    }
}

fn pair(one: NodeId, other: NodeId) -> (NodeId, NodeId) {
    (one.min(other), one.max(other))
}

/// Where a node stands among a number of places.
fn place(seed: u64, id: NodeId, places: usize) -> usize {
    (mix((seed, id.0)) % places.max(1) as u64) as usize
}
