//! Peers whose offers have failed, and how long each is not listened to. It keeps one peer from spending what the page has;
//! it does nothing about many, since an identity costs nothing: that is what [`Config`](super::Config) bounds.

use std::time::Duration;

use libp2p::PeerId;
use web_time::Instant;

/// Peers remembered. The one that failed longest ago is forgotten for another; a guess.
const MAX_PEERS: usize = 64;

/// The first pause of a peer, doubled by every failure. A third of what a node waits itself after an attempt that failed, so
/// that nobody well-behaved meets it.
const FIRST: Duration = Duration::from_secs(5);

/// The longest pause, a third of a node's own as well.
const LONGEST: Duration = Duration::from_secs(200);

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    /// The last to fail stands last.
    peers: Vec<Pause>,
}

#[derive(Debug)]
struct Pause {
    peer: PeerId,
    length: Duration,
    since: Instant,
}

impl Pauses {
    /// Whether the peer is not listened to.
    pub(super) fn holds(&self, peer: &PeerId, now: Instant) -> bool {
        self.peers.iter().any(|pause| pause.peer == *peer && pause.since + pause.length > now)
    }

    /// An offer of the peer has failed.
    pub(super) fn begin(&mut self, peer: PeerId, now: Instant) {
        let before = self.peers.iter().position(|pause| pause.peer == peer).map(|at| self.peers.remove(at));
        if self.peers.len() == MAX_PEERS {
            self.peers.remove(0);
        }
        let length = before.map_or(FIRST, |before| (before.length * 2).min(LONGEST));
        self.peers.push(Pause { peer, length, since: now });
    }

    /// One has led to a connection.
    pub(super) fn end(&mut self, peer: &PeerId) {
        self.peers.retain(|pause| pause.peer != *peer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_pauses_longer_after_each_failure_and_not_at_all_after_a_connection() {
        let (mut pauses, peer, mut now) = (Pauses::default(), PeerId::random(), Instant::now());
        for length in [5, 10, 20, 40, 80, 160, 200, 200].map(Duration::from_secs) {
            pauses.begin(peer, now);
            assert!(pauses.holds(&peer, now + length - Duration::from_millis(1)), "{length:?}");
            assert!(!pauses.holds(&PeerId::random(), now), "nobody else pauses");
            now += length;
            assert!(!pauses.holds(&peer, now), "{length:?}");
        }
        pauses.end(&peer);
        pauses.begin(peer, now);
        assert!(!pauses.holds(&peer, now + FIRST));
    }

    #[test]
    fn a_crowd_costs_no_more_memory_than_is_said() {
        let (mut pauses, first, now) = (Pauses::default(), PeerId::random(), Instant::now());
        pauses.begin(first, now);
        let others = [(); MAX_PEERS].map(|()| PeerId::random());
        others.iter().for_each(|peer| pauses.begin(*peer, now));
        assert_eq!(pauses.peers.len(), MAX_PEERS);
        assert!(!pauses.holds(&first, now) && others.iter().all(|peer| pauses.holds(peer, now)));
    }
}
