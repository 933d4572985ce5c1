//! How long a packet travels between two nodes.
//!
//! The one-way time of a pair is a base time, stretched by a factor of the pair that stays, plus jitter of each packet.
//! Single pairs can be set apart. Everything is drawn from the network's seed.

use std::{collections::BTreeMap, time::Duration};

use fastrand::Rng;

use crate::NodeId;

/// The latency model of a network.
#[derive(Clone, Debug)]
pub struct Latency {
    /// One-way time of the nearest pair, without jitter.
    pub base: Duration,
    /// How much farther than that the farthest pair is: 0 makes all pairs alike, 1 draws factors from 1 to 2.
    pub spread: f64,
    /// The most that jitter adds to a packet's time, as a part of it.
    pub jitter: f64,
    seed: u64,
    pairs: BTreeMap<(NodeId, NodeId), Duration>,
}

impl Latency {
    pub(crate) fn new(seed: u64) -> Self {
        Self { base: Duration::from_millis(5), spread: 0.0, jitter: 0.1, seed, pairs: BTreeMap::new() }
    }

    /// Sets the one-way time of one pair.
    pub fn between(&mut self, one: NodeId, other: NodeId, one_way: Duration) {
        self.pairs.insert(pair(one, other), one_way);
    }

    pub(crate) fn draw(&self, from: NodeId, to: NodeId, rng: &mut Rng) -> Duration {
        let pair = pair(from, to);
        let still = self.pairs.get(&pair).copied().unwrap_or_else(|| {
            let mut of_pair = Rng::with_seed(self.seed ^ ((pair.0.0 as u64) << 32) ^ pair.1.0 as u64);
            self.base.mul_f64(1.0 + self.spread * of_pair.f64())
        });
        still.mul_f64(1.0 + self.jitter * rng.f64())
    }
}

fn pair(one: NodeId, other: NodeId) -> (NodeId, NodeId) {
    (one.min(other), one.max(other))
}
