use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn peer(seed: u16) -> PeerAddresses {
    at(seed, &[])
}

fn at(seed: u16, addresses: &[&str]) -> PeerAddresses {
    let mut bytes = [0; 32];
    bytes[..2].copy_from_slice(&seed.to_be_bytes());
    let key = libp2p_identity::Keypair::ed25519_from_bytes(bytes).expect("32 bytes are a seed");
    let addresses = addresses.iter().map(|text| text.parse().expect("a multiaddr")).collect();
    PeerAddresses { peer: key.public().to_peer_id(), addresses }
}

fn table() -> Table {
    Table::new(Position::of_peer(&peer(0).peer))
}

fn index(table: &Table, peer: &PeerAddresses) -> Option<usize> {
    table.local.distance(&Position::of_peer(&peer.peer)).bucket()
}

/// Peers that share no bit with the local one: half of all.
fn far(table: &Table) -> Vec<u16> {
    (1..200).filter(|seed| index(table, &peer(*seed)) == Some(255)).collect()
}

fn holds(table: &Table, seed: u16) -> bool {
    table.peers().any(|known| known.peer == peer(seed).peer)
}

#[test]
fn closest_are_the_closest_and_the_local_peer_never_enters() {
    let mut table = table();
    assert!(!table.seen(peer(0), Duration::ZERO));
    for seed in 1..300 {
        table.seen(peer(seed), Duration::ZERO);
    }
    let targets = (0..40_u8).map(|salt| Position::of(&[salt])).chain([table.local]);
    for target in targets {
        let mut expected: Vec<_> = table.peers().map(|known| known.peer).collect();
        expected.sort_by_key(|peer| target.distance(&Position::of_peer(peer)));
        for count in [1, 7, 20, 1000] {
            let closest: Vec<_> = table.closest(&target, count).iter().map(|known| known.peer).collect();
            assert_eq!(closest, expected[..count.min(expected.len())]);
        }
    }
}

#[test]
fn a_full_bucket_keeps_the_old_until_one_fails() {
    let mut table = table();
    let far = far(&table);
    for seed in &far {
        table.seen(peer(*seed), Duration::ZERO);
    }
    assert_eq!(table.len(), BUCKET);
    assert!(!table.seen(peer(far[BUCKET]), Duration::ZERO));
    table.failed(&peer(far[3]).peer);
    assert!(table.seen(peer(far[BUCKET]), Duration::ZERO), "a failed member makes room");
    assert_eq!(table.len(), BUCKET);
    assert!(!holds(&table, far[3]));
}

#[test]
fn who_was_not_heard_for_long_is_asked_before_a_newcomer_takes_its_place() {
    let mut table = table();
    let far = far(&table);
    for (age, seed) in far[..BUCKET].iter().enumerate() {
        table.seen(peer(*seed), Duration::from_secs(age as u64));
    }
    assert!(!table.seen(peer(far[BUCKET]), Duration::from_secs(20)));
    assert_eq!(table.poll_doubt(), None, "everybody was heard a moment ago");
    assert!(!table.seen(peer(far[BUCKET]), MINUTE));
    assert_eq!(table.poll_doubt(), Some(peer(far[0])));
    assert!(!table.seen(peer(far[BUCKET + 1]), MINUTE));
    assert_eq!(table.poll_doubt(), None, "one at a time");

    table.heard(&peer(far[0]).peer, MINUTE);
    table.failed(&peer(far[0]).peer);
    assert!(holds(&table, far[0]) && !holds(&table, far[BUCKET]), "it has answered, so the newcomer has left");

    table.heard(&peer(far[0]).peer, MINUTE);
    assert!(!table.seen(peer(far[BUCKET]), MINUTE));
    assert_eq!(table.poll_doubt(), Some(peer(far[1])));
    table.failed(&peer(far[1]).peer);
    assert!(!holds(&table, far[1]) && holds(&table, far[BUCKET]));
    assert_eq!(table.len(), BUCKET);
}

#[test]
fn a_newcomer_that_got_in_otherwise_does_not_come_in_twice() {
    let mut table = table();
    let far = far(&table);
    for seed in &far[..BUCKET] {
        table.seen(peer(*seed), Duration::ZERO);
    }
    table.seen(peer(far[BUCKET]), MINUTE);
    let doubted = table.poll_doubt().expect("somebody is doubted");
    let other = far[..BUCKET].iter().find(|seed| peer(**seed) != doubted).expect("there are twenty");
    table.failed(&peer(*other).peer);
    assert!(table.seen(peer(far[BUCKET]), MINUTE));
    table.failed(&doubted.peer);
    assert_eq!(table.peers().filter(|known| known.peer == peer(far[BUCKET]).peer).count(), 1);
}

#[test]
fn three_failures_in_a_row_remove_a_peer_and_an_answer_forgives() {
    let mut table = table();
    table.seen(peer(1), Duration::ZERO);
    table.failed(&peer(1).peer);
    table.failed(&peer(1).peer);
    table.heard(&peer(1).peer, MINUTE);
    table.failed(&peer(1).peer);
    table.failed(&peer(1).peer);
    assert_eq!(table.len(), 1);
    table.failed(&peer(1).peer);
    assert!(table.is_empty());
}

#[test]
fn the_remembered_are_asked_not_vouched_for_and_replaced_first() {
    let mut table = table();
    let far = far(&table);
    let target = Position::of(b"target");
    table.remember(peer(0));
    for seed in &far[..BUCKET + 5] {
        table.remember(peer(*seed));
    }
    assert_eq!((table.len(), table.live(&target, 99).len(), table.version()), (BUCKET, 0, 0));
    assert_eq!(table.closest(&target, 99).len(), BUCKET);
    assert!(table.seen(peer(far[BUCKET + 9]), MINUTE), "a remembered one makes room");
    assert_eq!(table.len(), BUCKET);
    let kept = table.closest(&target, 99).into_iter().find(|known| known.peer != peer(far[BUCKET + 9]).peer);
    let kept = kept.expect("remembered ones are left");
    assert!(table.seen(kept.clone(), MINUTE), "who is met is remembered no more");
    table.remember(kept.clone());
    let live = table.live(&target, 99);
    assert!(live.len() == 2 && live.contains(&kept));
}

#[test]
fn only_who_does_not_fail_is_vouched_for_and_the_version_tells() {
    let mut table = table();
    let target = Position::of(b"target");
    table.seen(peer(1), Duration::ZERO);
    table.seen(peer(2), Duration::ZERO);
    let version = table.version();
    table.seen(peer(1), MINUTE);
    table.heard(&peer(2).peer, MINUTE);
    assert_eq!(table.version(), version, "nothing is different");
    table.failed(&peer(1).peer);
    assert_ne!(table.version(), version);
    assert_eq!((table.live(&target, 9), table.met(&target, 9).len()), (vec![peer(2)], 2));
    let version = table.version();
    table.heard(&peer(1).peer, MINUTE);
    assert_ne!(table.version(), version);
    assert_eq!(table.live(&target, 9).len(), 2);
}

#[test]
fn one_address_group_gets_its_share_and_no_more() {
    let mut table = table();
    let far = far(&table);
    let sybil = |seed: u16| at(seed, &[&format!("/ip4/198.51.100.{}/tcp/80/ws", seed % 250)]);
    let honest = |seed: u16| at(seed, &[&format!("/ip4/203.{seed}.100.1/tcp/80/ws")]);
    let admitted = (1..100).filter(|seed| table.seen(sybil(*seed), Duration::ZERO)).count();
    assert_eq!(admitted, GROUP_IN_TABLE);
    for seed in (1..100).filter(|seed| holds(&table, *seed)).collect::<Vec<_>>() {
        assert!(table.seen(sybil(seed), Duration::ZERO), "who is in stays in");
    }

    let mut full = self::table();
    for seed in &far[..8] {
        assert!(full.seen(sybil(*seed), Duration::ZERO), "a bucket with room takes them");
    }
    for seed in &far[8..30] {
        full.seen(honest(*seed), Duration::ZERO);
    }
    let sybils = far[..8].iter().filter(|seed| holds(&full, **seed)).count();
    assert_eq!((full.len(), sybils), (BUCKET, GROUP_IN_BUCKET), "others come first when it is full");
    assert!(!full.seen(sybil(far[31]), Duration::ZERO));

    let mut home = self::table();
    let near = |seed: u16| at(seed, &["/ip4/192.168.1.7/tcp/80/ws"]);
    assert_eq!(far[..BUCKET].iter().filter(|seed| home.seen(near(**seed), Duration::ZERO)).count(), BUCKET);
}
