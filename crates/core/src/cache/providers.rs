//! How the providers of services have done when this node turned to them.
//!
//! A provider that could not be reached is a *suspect* and is ranked behind the others, until it answers or [`DOUBT`] has
//! passed; one that answered a moment ago is *up*. Whoever was never tried is unknown.
//!
//! Bounds: [`CacheConfig::max_providers`](super::CacheConfig) providers; of too many the one that was tried longest ago goes.
//! Nobody is probed here.

use std::time::Duration;

use libp2p_identity::PeerId;

use super::Stamp;
use crate::{find::Verdict, map::Map, time::Now};

/// How long an answer says that a provider is up. Half the sessions in a network of browsers last minutes; a guess.
const TRUST: Duration = Duration::from_secs(60);

/// How long a failure makes a suspect. Somebody who is back without a new record gets another chance after it; a guess.
const DOUBT: Duration = Duration::from_secs(600);

/// What is remembered of one provider.
#[derive(Clone, Debug)]
pub(crate) struct Performance {
    /// Streams it accepted, ever.
    pub(crate) answers: u32,
    /// Failures since its last answer.
    pub(crate) failures: u32,
    /// How long its last answer took, dial included.
    pub(crate) took: Option<Duration>,
    /// When the last of this happened.
    pub(crate) at: Stamp,
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Providers {
    providers: Map<PeerId, Performance>,
    most: usize,
}

impl Providers {
    pub(crate) fn new(most: usize) -> Self {
        Self { providers: Map::new(), most }
    }

    /// A provider accepted a stream, or said no: it lives.
    pub(crate) fn answered(&mut self, peer: PeerId, took: Duration, now: Now) {
        let known = self.entry(peer, now);
        known.answers = known.answers.saturating_add(1);
        (known.failures, known.took) = (0, Some(took));
    }

    /// A provider could not be reached at any address.
    pub(crate) fn failed(&mut self, peer: PeerId, now: Now) {
        let known = self.entry(peer, now);
        known.failures = known.failures.saturating_add(1);
    }

    /// What is believed of a provider to whom no link stands.
    pub(crate) fn verdict(&self, peer: &PeerId, now: Now) -> Verdict {
        let Some(known) = self.providers.get(peer) else { return Verdict::Unknown };
        match known.at.age(now) {
            Some(age) if known.failures > 0 && age <= DOUBT => Verdict::Suspect,
            Some(age) if known.failures == 0 && age <= TRUST => Verdict::Up,
            _ => Verdict::Unknown,
        }
    }

    /// How long ago the provider was tried last.
    pub(crate) fn tried(&self, peer: &PeerId, now: Now) -> Option<Duration> {
        self.providers.get(peer)?.at.age(now)
    }

    /// How long the provider's last answer took.
    pub(crate) fn took(&self, peer: &PeerId) -> Option<Duration> {
        self.providers.get(peer)?.took
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&PeerId, &Performance)> {
        self.providers.iter()
    }

    /// What an earlier life remembered.
    pub(crate) fn restore(&mut self, peer: PeerId, known: Performance) {
        if self.providers.len() < self.most && !self.providers.contains_key(&peer) {
            self.providers.insert(peer, known);
        }
    }

    fn entry(&mut self, peer: PeerId, now: Now) -> &mut Performance {
        if self.providers.len() >= self.most.max(1) && !self.providers.contains_key(&peer) {
            // An age that cannot be told is the greatest.
            let age = |known: &Performance| known.at.age(now).unwrap_or(Duration::MAX);
            let oldest = self.providers.iter().max_by_key(|(_, known)| age(known)).map(|(peer, _)| *peer);
            oldest.map(|oldest| self.providers.remove(&oldest));
        }
        let fresh = || Performance { answers: 0, failures: 0, took: None, at: Stamp::at(now) };
        let known = self.providers.get_or_insert_with(peer, fresh);
        known.at = Stamp::at(now);
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Now {
        Now { elapsed: Duration::from_secs(seconds), unix_ms: 1_800_000_000_000 + seconds * 1000 }
    }

    fn id(seed: u8) -> PeerId {
        let keypair = libp2p_identity::Keypair::ed25519_from_bytes([seed; 32]).expect("32 bytes are a key");
        keypair.public().to_peer_id()
    }

    #[test]
    fn a_failure_makes_a_suspect_until_an_answer_or_ten_minutes_later() {
        let mut providers = Providers::new(10);
        assert_eq!(providers.verdict(&id(1), at(0)), Verdict::Unknown);
        providers.failed(id(1), at(0));
        assert_eq!(providers.verdict(&id(1), at(600)), Verdict::Suspect);
        assert_eq!(providers.verdict(&id(1), at(601)), Verdict::Unknown);
        providers.answered(id(1), Duration::from_millis(30), at(700));
        assert_eq!(providers.verdict(&id(1), at(760)), Verdict::Up);
        assert_eq!(providers.verdict(&id(1), at(761)), Verdict::Unknown);
        assert_eq!(providers.took(&id(1)), Some(Duration::from_millis(30)));
    }

    #[test]
    fn of_too_many_the_one_tried_longest_ago_goes() {
        let mut providers = Providers::new(3);
        for seed in 1..=5 {
            providers.failed(id(seed), at(u64::from(seed)));
            providers.failed(id(3), at(u64::from(seed)));
        }
        let left: Vec<_> = providers.iter().map(|(peer, _)| *peer).collect();
        let mut expected = vec![id(3), id(4), id(5)];
        expected.sort();
        assert_eq!(left, expected);
    }
}
