use super::*;

const PATIENCE: Duration = Duration::from_millis(200);

/// A network of peers in which everybody knows everybody; some never answer.
struct Net {
    peers: Vec<PeerAddresses>,
    silent: Vec<PeerId>,
}

impl Net {
    fn of(count: u8) -> Self {
        Self { peers: (0..count).map(peer).collect(), silent: Vec::new() }
    }

    /// Runs a query to its end in virtual time; returns it, the time it took and how many requests it sent.
    fn run(&self, config: QueryConfig, first: usize) -> (Query, Duration, usize) {
        let round_trip = Duration::from_millis(10);
        let mut query = Query::new(config, peer(255).peer, Position::of(b"target"), self.peers[..first].to_vec());
        let mut elapsed = Duration::ZERO;
        let mut in_flight: Vec<(Duration, PeerId)> = Vec::new();
        let mut requests = 0;
        loop {
            match query.next(elapsed) {
                Next::Ask(next) => {
                    requests += 1;
                    query.asked(&next.peer, elapsed + PATIENCE);
                    if !self.silent.contains(&next.peer) {
                        in_flight.push((elapsed + round_trip, next.peer));
                    }
                }
                Next::Finished => return (query, elapsed, requests),
                Next::Wait(wake) => {
                    in_flight.sort();
                    match (in_flight.first().copied(), wake) {
                        (Some((at, peer)), wake) if wake.is_none_or(|wake| at <= wake) => {
                            in_flight.remove(0);
                            elapsed = at;
                            query.answered(&peer, self.peers.clone());
                        }
                        (_, Some(wake)) => elapsed = wake,
                        (_, None) => panic!("the query waits for nothing"),
                    }
                }
            }
        }
    }
}

fn peer(seed: u8) -> PeerAddresses {
    let key = libp2p_identity::Keypair::ed25519_from_bytes([seed; 32]).expect("32 bytes are a seed");
    PeerAddresses { peer: key.public().to_peer_id(), addresses: Vec::new() }
}

#[test]
fn finds_the_closest_and_asks_nobody_in_vain() {
    let net = Net::of(100);
    let config = QueryConfig::default();
    let closest = config.closest;
    let (query, _, requests) = net.run(config, 3);
    let target = *query.target();
    let mut expected: Vec<_> = net.peers.iter().map(|p| p.peer).collect();
    expected.sort_by_key(|peer| target.distance(&Position::of_peer(peer)));
    expected.truncate(closest);
    assert_eq!(query.closest().map(|p| p.peer).collect::<Vec<_>>(), expected);
    assert!(requests <= closest + 3, "{requests} requests");
}

#[test]
fn silent_peers_cost_one_patience_and_no_more() {
    let mut net = Net::of(100);
    net.silent = net.peers.iter().step_by(3).map(|p| p.peer).collect();
    let (query, took, _) = net.run(QueryConfig::default(), 3);
    assert_eq!(query.closest().count(), 20);
    assert!(query.closest().all(|p| !net.silent.contains(&p.peer)));
    assert!(took <= 3 * PATIENCE, "{took:?}");
}

#[test]
fn waits_for_the_slow_while_nobody_has_answered() {
    let start = vec![peer(1)];
    let mut query = Query::new(QueryConfig::default(), peer(255).peer, Position::of(b"t"), start);
    assert!(matches!(query.next(Duration::ZERO), Next::Ask(_)));
    query.asked(&peer(1).peer, PATIENCE);
    assert_eq!(query.next(Duration::ZERO), Next::Wait(Some(PATIENCE)));
    assert_eq!(query.next(PATIENCE), Next::Wait(None), "the only peer is slow, not gone");
    query.answered(&peer(1).peer, vec![]);
    assert_eq!(query.next(PATIENCE), Next::Finished);
    assert_eq!(query.answers(), 1);
}

#[test]
fn ends_at_once_when_everybody_failed_or_there_is_nobody() {
    let mut query = Query::new(QueryConfig::default(), peer(255).peer, Position::of(b"t"), vec![peer(1)]);
    query.asked(&peer(1).peer, PATIENCE);
    query.failed(&peer(1).peer);
    assert_eq!(query.next(Duration::ZERO), Next::Finished);
    let mut empty = Query::new(QueryConfig::default(), peer(255).peer, Position::of(b"t"), vec![]);
    assert_eq!(empty.next(Duration::ZERO), Next::Finished);
}

#[test]
fn a_flood_of_candidates_stays_bounded_and_keeps_the_closest() {
    let all: Vec<_> = (0..200).map(peer).collect();
    let query = Query::new(QueryConfig::default(), peer(255).peer, Position::of(b"t"), all.clone());
    assert_eq!(query.candidates.len(), 60);
    let target = Position::of(b"t");
    let nearest = all.iter().map(|p| target.distance(&Position::of_peer(&p.peer))).min().expect("not empty");
    assert!(query.candidates.contains_key(&nearest));
}
