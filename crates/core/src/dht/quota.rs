//! How much of this node's time one peer may take.
//!
//! Every peer has two token buckets: one for requests, one for signatures that were checked for it. Checks are charged after
//! they were made, so a peer overdraws by one bundle at the most and is then refused until it has saved up again. Valid
//! junk costs as much as anything else; what is known already is not checked and costs a request only. All peers together
//! have a bucket of checks too, because identities are free.
//!
//! The bound this gives: a check takes some 60 µs on a common core, so all peers together take [`ALL_CHECKS`] a second, a
//! quarter of one core; one peer takes a fortieth with checks, and as much again with requests of 50 µs. What is refused
//! costs reading the message's frame. Memory: [`PEERS`] buckets of some hundred bytes; what is stored has its own caps
//! ([`StoreConfig`](super::store::StoreConfig)), and junk under one key those of the bundle.
//!
//! libp2p-kad has no such limits.

use std::time::Duration;

use libp2p_identity::PeerId;

use crate::map::Map;

/// Requests of one peer a second, and at once. A busy client makes some hundred walks a second, of which each reaches a
/// relay once or twice; repair gives 200 values a second ([`Config::repair_rate`](crate::Config)).
const REQUESTS: (f64, f64) = (500.0, 2000.0);

/// Signatures checked for one peer a second, and at once. Repair brings one or two records a value.
const CHECKS: (f64, f64) = (400.0, 2000.0);

/// Signatures checked for all peers a second, and at once. A newcomer is given its part by twenty neighbours.
const ALL_CHECKS: (f64, f64) = (4000.0, 8000.0);

/// What a request costs that breaks the protocol or brings what nobody believes: twenty in a burst, then five a second.
const NONSENSE: f64 = 100.0;

/// Peers whose buckets are remembered: more than a relay's connections by default. The fullest bucket is forgotten first,
/// which is the one that loses least by it.
const PEERS: usize = 2048;

/// A burst is over when a peer was not refused for so long; then it is told of again.
const BURST: Duration = Duration::from_secs(10);

/// Tokens that come back with time.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    at: Duration,
}

impl Bucket {
    fn full(limit: (f64, f64), at: Duration) -> Self {
        Self { tokens: limit.1, at }
    }

    fn refill(&mut self, limit: (f64, f64), elapsed: Duration) -> f64 {
        let passed = elapsed.saturating_sub(self.at).as_secs_f64();
        (self.tokens, self.at) = ((self.tokens + passed * limit.0).min(limit.1), elapsed);
        self.tokens
    }
}

#[derive(Debug)]
struct Account {
    requests: Bucket,
    checks: Bucket,
    refused: Option<Duration>,
}

impl Account {
    fn refuse(&mut self, elapsed: Duration) -> Verdict {
        let first = self.refused.is_none_or(|at| at + BURST <= elapsed);
        self.refused = Some(elapsed);
        Verdict::Refused(first)
    }
}

/// Whether a request is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Admitted,
    /// It is refused; true for the first of a burst.
    Refused(bool),
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Quota {
    peers: Map<PeerId, Account>,
    all: Bucket,
}

impl Quota {
    pub(super) fn new() -> Self {
        Self { peers: Map::new(), all: Bucket::full(ALL_CHECKS, Duration::ZERO) }
    }

    /// A request has come that was not looked at.
    pub(super) fn admit(&mut self, peer: PeerId, elapsed: Duration) -> Verdict {
        let account = self.account(peer, elapsed);
        if account.requests.refill(REQUESTS, elapsed) >= 1.0 {
            account.requests.tokens -= 1.0;
            return Verdict::Admitted;
        }
        account.refuse(elapsed)
    }

    /// An admitted request needs signatures checked.
    pub(super) fn admit_checks(&mut self, peer: PeerId, elapsed: Duration) -> Verdict {
        let all = self.all.refill(ALL_CHECKS, elapsed) >= 1.0;
        let account = self.account(peer, elapsed);
        if all && account.checks.refill(CHECKS, elapsed) >= 1.0 {
            return Verdict::Admitted;
        }
        account.refuse(elapsed)
    }

    /// A request was nonsense, and told of: that costs more, so that the tales of one peer have an end too.
    pub(super) fn nonsense(&mut self, peer: PeerId, elapsed: Duration) {
        self.account(peer, elapsed).requests.tokens -= NONSENSE;
    }

    /// So many signatures were checked for a peer.
    pub(super) fn checked(&mut self, peer: PeerId, checks: usize, elapsed: Duration) {
        self.all.tokens -= checks as f64;
        self.account(peer, elapsed).checks.tokens -= checks as f64;
    }

    fn account(&mut self, peer: PeerId, elapsed: Duration) -> &mut Account {
        if self.peers.len() >= PEERS && !self.peers.contains_key(&peer) {
            let fullest = |account: &Account| {
                let (mut requests, mut checks) = (account.requests, account.checks);
                let requests = requests.refill(REQUESTS, elapsed) / REQUESTS.1;
                requests.min(checks.refill(CHECKS, elapsed) / CHECKS.1)
            };
            let by_fullness =
                |one: &(&PeerId, &Account), other: &(&PeerId, &Account)| fullest(one.1).total_cmp(&fullest(other.1));
            let goes = self.peers.iter().max_by(by_fullness).map(|(peer, _)| *peer);
            goes.map(|peer| self.peers.remove(&peer));
        }
        self.peers.get_or_insert_with(peer, || Account {
            requests: Bucket::full(REQUESTS, elapsed),
            checks: Bucket::full(CHECKS, elapsed),
            refused: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(seed: u16) -> PeerId {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&seed.to_be_bytes());
        let hash = multihash::Multihash::wrap(0x12, &bytes).expect("32 bytes fit");
        PeerId::from_multihash(hash).expect("a sha2-256 multihash")
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn admitted(quota: &mut Quota, peer: PeerId, at: Duration) -> usize {
        (0..5000).filter(|_| quota.admit(peer, at) == Verdict::Admitted).count()
    }

    #[test]
    fn a_burst_is_served_then_the_rate_and_others_are_not_touched() {
        let mut quota = Quota::new();
        let (one, other) = (peer(1), peer(2));
        assert_eq!(admitted(&mut quota, one, ms(0)), REQUESTS.1 as usize);
        assert_eq!(admitted(&mut quota, one, ms(100)), REQUESTS.0 as usize / 10);
        assert_eq!(admitted(&mut quota, other, ms(100)), REQUESTS.1 as usize);
    }

    #[test]
    fn one_refusal_of_a_burst_is_told() {
        let mut quota = Quota::new();
        let peer = peer(1);
        let told =
            |quota: &mut Quota, at| (0..5000).filter(|_| quota.admit(peer, at) == Verdict::Refused(true)).count();
        assert_eq!(told(&mut quota, ms(0)), 1);
        assert_eq!(told(&mut quota, ms(1000)), 0, "it is the same burst");
        assert_eq!(told(&mut quota, ms(20_000)), 1);
    }

    #[test]
    fn checks_are_charged_to_the_peer_and_to_all() {
        let mut quota = Quota::new();
        let peer = peer(1);
        let mut charged = 0;
        while quota.admit_checks(peer, ms(0)) == Verdict::Admitted {
            quota.checked(peer, 32, ms(0));
            charged += 32;
        }
        assert!(charged <= CHECKS.1 as usize + 32, "{charged}");
        assert_eq!(quota.admit(peer, ms(0)), Verdict::Admitted, "what needs no check is served");
        for seed in 100..200 {
            let sybil = self::peer(seed);
            while quota.admit_checks(sybil, ms(0)) == Verdict::Admitted {
                quota.checked(sybil, 32, ms(0));
                charged += 32;
            }
        }
        assert!(charged <= ALL_CHECKS.1 as usize + 32, "{charged}");
    }

    #[test]
    fn nonsense_ends_sooner() {
        let mut quota = Quota::new();
        let peer = peer(1);
        let mut told = 0;
        while quota.admit(peer, ms(0)) == Verdict::Admitted {
            quota.nonsense(peer, ms(0));
            told += 1;
        }
        assert_eq!(told, 20);
    }

    #[test]
    fn strangers_without_end_are_forgotten_and_the_flooder_is_not() {
        let mut quota = Quota::new();
        let flooder = peer(1);
        admitted(&mut quota, flooder, ms(0));
        for seed in 0..PEERS as u16 + 50 {
            quota.admit(peer(100 + seed), ms(0));
        }
        assert_eq!(quota.peers.len(), PEERS);
        assert_eq!(quota.admit(flooder, ms(0)), Verdict::Refused(false));
    }
}
