use proptest::prelude::*;

use super::*;

const SERVER: Roles = Roles { server: true, relay: false };
const RELAY: Roles = Roles { server: true, relay: true };

fn now(seconds: u64) -> Now {
    Now { elapsed: Duration::from_secs(seconds), unix_ms: 1_800_000_000_000 + seconds * 1000 }
}

fn id(seed: u8) -> PeerId {
    let keypair = libp2p_identity::Keypair::ed25519_from_bytes([seed; 32]).expect("32 bytes are a key");
    keypair.public().to_peer_id()
}

fn address(n: u8) -> Multiaddr {
    format!("/ip4/192.0.2.{n}/tcp/80/ws").parse().expect("a multiaddr")
}

fn order(peers: &Peers, at: Now) -> Vec<PeerId> {
    peers.best(10, at).into_iter().map(|known| known.peer).collect()
}

#[test]
fn who_answers_and_is_near_comes_first_and_who_fails_last() {
    let mut peers = Peers::new(10);
    peers.met(id(1), &[address(1)], true, SERVER, Some(Duration::from_millis(5)), now(0));
    peers.met(id(2), &[address(2)], true, RELAY, Some(Duration::from_millis(80)), now(0));
    peers.met(id(3), &[address(3)], true, RELAY, Some(Duration::from_millis(20)), now(0));
    peers.met(id(4), &[address(4)], true, RELAY, None, now(0));
    assert_eq!(order(&peers, now(1)), [id(3), id(2), id(4), id(1)]);
    peers.failed(&id(3), now(2));
    assert_eq!(order(&peers, now(3)), [id(2), id(4), id(1), id(3)]);
    peers.heard(&id(3), None, now(4));
    assert_eq!(order(&peers, now(5)), [id(3), id(2), id(4), id(1)]);
}

#[test]
fn only_servers_of_the_network_are_remembered() {
    let mut peers = Peers::new(10);
    peers.met(id(1), &[address(1)], true, Roles { server: false, relay: true }, None, now(0));
    assert_eq!(peers.len(), 0);
    peers.met(id(1), &[address(1)], true, RELAY, None, now(0));
    peers.met(id(1), &[address(1)], true, Roles::default(), None, now(1));
    assert_eq!(peers.len(), 0, "it has become another network's");
}

#[test]
fn an_address_that_led_there_outlives_the_peers_own_words() {
    let mut peers = Peers::new(10);
    peers.met(id(1), &[address(1), address(2)], true, RELAY, None, now(0));
    peers.met(id(1), &[address(3)], false, RELAY, None, now(1));
    let known = peers.get(&id(1)).expect("met");
    assert_eq!((known.addresses.as_slice(), known.proven), (&[address(1), address(3)][..], true));
    peers.met(id(1), &[address(4)], true, RELAY, None, now(2));
    assert_eq!(peers.get(&id(1)).expect("met").addresses, [address(4)]);
}

#[test]
fn a_clock_that_jumps_back_makes_dates_unknown_and_nothing_else() {
    let mut peers = Peers::new(10);
    peers.met(id(1), &[address(1)], true, RELAY, None, now(36_000));
    peers.met(id(2), &[address(2)], true, RELAY, None, now(0));
    assert_eq!(order(&peers, now(36_000)), [id(1), id(2)]);
    assert_eq!(order(&peers, now(0)), [id(2), id(1)], "the other was seen in the future");
    assert_eq!(peers.get(&id(1)).expect("met").age(now(0)), None);
    let end = Now { elapsed: Duration::MAX, unix_ms: u64::MAX };
    assert_eq!(order(&peers, end).len(), 2);
}

proptest! {
    /// Whatever happens, the cap holds, and who was met last is there.
    #[test]
    fn the_cap_holds(events in prop::collection::vec((0u8..40, 0u8..4, 0u64..100_000), 1..200)) {
        let mut peers = Peers::new(8);
        for (seed, what, at) in events {
            match what {
                0 => peers.failed(&id(seed), now(at)),
                1 => peers.heard(&id(seed), Some(Duration::from_millis(at)), now(at)),
                2 => peers.forget(&id(seed)),
                _ => peers.met(id(seed), &[address(seed)], at.is_multiple_of(2), RELAY, None, now(at)),
            }
            prop_assert!(peers.len() <= 8);
            let ranked = peers.ranked(now(at));
            prop_assert!(ranked.is_sorted_by_key(|known| known.rank(now(at))));
        }
    }
}
