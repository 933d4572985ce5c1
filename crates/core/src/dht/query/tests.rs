use super::*;

const PATIENCE: Duration = Duration::from_millis(200);

/// A network of peers, some of which never answer. Each knows half of all and names the twenty closest of those.
struct Net {
    peers: Vec<PeerAddresses>,
    silent: Vec<PeerId>,
}

impl Net {
    fn of(count: u8) -> Self {
        Self { peers: (0..count).map(peer).collect(), silent: Vec::new() }
    }

    fn named_by(&self, peer: &PeerId, target: &Position) -> Vec<PeerAddresses> {
        let knows = |other: &&PeerAddresses| {
            let (one, other) = (Position::of_peer(peer), Position::of_peer(&other.peer));
            one.as_bytes()[31].wrapping_add(other.as_bytes()[31]) % 4 < 2
        };
        let mut named: Vec<_> = self.peers.iter().filter(knows).cloned().collect();
        named.sort_by_key(|peer| target.distance(&Position::of_peer(&peer.peer)));
        named.truncate(20);
        named
    }

    /// Runs a query to its end in virtual time; returns it, the time it took and how many requests it sent.
    fn run(&self, config: QueryConfig, first: usize) -> (Query, Duration, usize) {
        let round_trip = Duration::from_millis(10);
        let mut query = Query::new(config, peer(255).peer, Position::of(b"target"), self.peers[..first].to_vec());
        let mut elapsed = Duration::ZERO;
        let mut in_flight: Vec<(Duration, PeerId)> = Vec::new();
        let mut requests = 0;
        loop {
            match query.next(elapsed, &|_| Standing::Linked) {
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
                            query.answered(&peer, self.named_by(&peer, query.target()));
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
    assert!(matches!(query.next(Duration::ZERO, &|_| Standing::Linked), Next::Ask(_)));
    query.asked(&peer(1).peer, PATIENCE);
    assert_eq!(query.next(Duration::ZERO, &|_| Standing::Linked), Next::Wait(Some(PATIENCE)));
    assert_eq!(query.next(PATIENCE, &|_| Standing::Linked), Next::Wait(None), "the only peer is slow, not gone");
    query.answered(&peer(1).peer, vec![]);
    assert_eq!(query.next(PATIENCE, &|_| Standing::Linked), Next::Finished);
    assert_eq!(query.answers(), 1);
}

#[test]
fn ends_at_once_when_everybody_failed_or_there_is_nobody() {
    let mut query = Query::new(QueryConfig::default(), peer(255).peer, Position::of(b"t"), vec![peer(1)]);
    query.asked(&peer(1).peer, PATIENCE);
    query.failed(&peer(1).peer);
    assert_eq!(query.next(Duration::ZERO, &|_| Standing::Linked), Next::Finished);
    let mut empty = Query::new(QueryConfig::default(), peer(255).peer, Position::of(b"t"), vec![]);
    assert_eq!(empty.next(Duration::ZERO, &|_| Standing::Linked), Next::Finished);
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

#[test]
fn silence_raises_the_parallelism() {
    let start: Vec<_> = (0..60).map(peer).collect();
    let mut query = Query::new(QueryConfig::default(), peer(255).peer, Position::of(b"t"), start);
    let ask_all = |query: &mut Query, elapsed| {
        let mut asked = 0;
        while let Next::Ask(next) = query.next(elapsed, &|_| Standing::Linked) {
            query.asked(&next.peer, elapsed + PATIENCE);
            asked += 1;
        }
        asked
    };
    assert_eq!(ask_all(&mut query, Duration::ZERO), 10);
    assert_eq!(ask_all(&mut query, PATIENCE), 20, "ten are slow, so twenty are asked at once");
    assert_eq!(ask_all(&mut query, 2 * PATIENCE), 20, "and never more");
}

#[test]
fn in_one_distance_class_the_linked_come_first_and_suspects_last() {
    let target = Position::of(b"t");
    let class = |peer: &PeerAddresses| target.distance(&Position::of_peer(&peer.peer)).leading_zeros();
    let far: Vec<_> = (0..60).map(peer).filter(|peer| class(peer) == 0).take(6).collect();
    let near = (0..60).map(peer).find(|peer| class(peer) > 2).expect("one in eight");
    let standing = |peer: &PeerId| match far.iter().position(|far| far.peer == *peer) {
        Some(place) if place < 2 => Standing::Suspect,
        Some(place) if place < 4 => Standing::Linked,
        _ => Standing::Unlinked,
    };
    let start = far.iter().cloned().chain([near.clone()]).collect();
    let mut query = Query::new(QueryConfig::default(), peer(255).peer, target, start);
    let mut order = Vec::new();
    while let Next::Ask(next) = query.next(Duration::ZERO, &standing) {
        query.asked(&next.peer, PATIENCE);
        order.push(next.peer);
    }
    assert_eq!(order[0], near.peer, "distance comes first");
    let standings: Vec<_> = order[1..].iter().map(standing).collect();
    assert!(standings.len() == 6 && standings.is_sorted(), "{standings:?}");
}

#[test]
fn who_is_spared_is_asked_if_nobody_else_answers() {
    let mut query = Query::new(QueryConfig::default(), peer(255).peer, Position::of(b"t"), vec![peer(1), peer(2)]);
    assert!(query.spare(&peer(1).peer));
    assert_eq!(query.next(Duration::ZERO, &|_| Standing::Linked), Next::Ask(peer(2)));
    query.asked(&peer(2).peer, PATIENCE);
    query.failed(&peer(2).peer);
    assert_eq!(query.next(Duration::ZERO, &|_| Standing::Linked), Next::Ask(peer(1)));
    assert!(!query.spare(&peer(1).peer), "it has come to that");
    query.asked(&peer(1).peer, PATIENCE);
    query.answered(&peer(1).peer, vec![]);
    assert_eq!(query.next(Duration::ZERO, &|_| Standing::Linked), Next::Finished);
    assert_eq!((query.requests(), query.misses(), query.answers()), (2, 1, 1));
}

/// Peers that nobody runs, closer to the target than anybody who is there.
fn ghosts(target: &Position, from: u16, count: usize) -> Vec<PeerAddresses> {
    let mut crowd: Vec<_> = (from..from + 2000)
        .map(|seed| {
            let mut bytes = [7; 32];
            bytes[..2].copy_from_slice(&seed.to_be_bytes());
            let hash = libp2p_identity::PeerId::from_multihash(
                multiaddr::multihash::Multihash::wrap(0x12, &bytes).expect("32 bytes fit"),
            );
            PeerAddresses { peer: hash.expect("a sha2-256 multihash"), addresses: Vec::new() }
        })
        .collect();
    crowd.sort_by_key(|peer| target.distance(&Position::of_peer(&peer.peer)));
    crowd.truncate(count);
    crowd
}

#[test]
fn liars_who_name_ghosts_cost_the_honest_neither_their_places_nor_their_turn() {
    let target = Position::of(b"target");
    let mut honest: Vec<_> = (0..100).map(peer).collect();
    honest.sort_by_key(|peer| target.distance(&Position::of_peer(&peer.peer)));
    let closest: Vec<_> = honest[..20].iter().map(|peer| peer.peer).collect();
    let liars: Vec<_> = honest[60..63].iter().map(|peer| peer.peer).collect();
    let start = honest[60..66].to_vec();
    let mut query = Query::new(QueryConfig::default(), peer(255).peer, target, start);
    let mut elapsed = Duration::ZERO;
    let (mut before, mut after) = (0, 0);
    let mut all_found = None;
    loop {
        match query.next(elapsed, &|_| Standing::Linked) {
            Next::Ask(next) => {
                query.asked(&next.peer, elapsed + PATIENCE);
                if let Some(liar) = liars.iter().position(|liar| *liar == next.peer) {
                    // A different crowd from each, and more than any honest peer would name.
                    query.answered(&next.peer, ghosts(&target, liar as u16 * 3000, 40));
                } else if honest.iter().any(|honest| honest.peer == next.peer) {
                    query.answered(&next.peer, honest[..20].to_vec());
                } else if all_found.is_some() {
                    after += 1;
                } else {
                    before += 1;
                }
            }
            Next::Wait(Some(wake)) => elapsed = wake,
            Next::Wait(None) => panic!("the query waits for nothing"),
            Next::Finished => break,
        }
        if query.closest().map(|peer| peer.peer).eq(closest.iter().copied()) {
            all_found.get_or_insert(elapsed);
        }
    }
    let all_found = all_found.expect("the honest are found");
    assert!(all_found <= 3 * PATIENCE, "{all_found:?}, {before} ghosts before, {after} after");
    assert!(elapsed <= 5 * PATIENCE, "{elapsed:?}, {before} ghosts before, {after} after");
    assert!(query.candidates.values().filter(|known| known.is_idle()).count() <= 60);
}

#[test]
fn wrong_addresses_of_a_peer_do_not_hide_it() {
    let target = Position::of(b"t");
    let at = |seed, address: &str| PeerAddresses { addresses: vec![address.parse().expect("one")], ..peer(seed) };
    let (lie, truth) = ("/ip4/192.0.2.1/tcp/1", "/ip4/192.0.2.2/tcp/2");
    let start = vec![peer(1), peer(2), peer(3)];
    let mut query = Query::new(QueryConfig::default(), peer(255).peer, target, start);
    query.answered(&peer(1).peer, vec![at(9, lie)]);
    query.asked(&peer(9).peer, PATIENCE);
    query.failed(&peer(9).peer);
    query.answered(&peer(2).peer, vec![at(9, truth)]);
    query.answered(&peer(3).peer, vec![]);
    assert_eq!(query.next(Duration::ZERO, &|_| Standing::Linked), Next::Ask(at(9, truth)));
}
