use super::*;

const SILENCE: Duration = Duration::from_secs(8);
const RELAYED: &str = "/ip4/192.0.2.1/tcp/80/ws/p2p-circuit";
const SIGNALLED: &str = "/ip4/192.0.2.1/tcp/80/ws/p2p-circuit/webrtc";
const OWN: &str = "/ip4/192.0.2.2/udp/80/quic-v1";

fn peer() -> PeerId {
    libp2p_identity::Keypair::ed25519_from_bytes([1; 32]).expect("a key").public().to_peer_id()
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Links to one peer at these addresses, numbered from 0.
fn links(addresses: &[&str]) -> Links {
    let mut links = Links::default();
    for (id, address) in addresses.iter().enumerate() {
        let address: Multiaddr = address.parse().expect("an address");
        let path = if crate::address::is_relayed(&address) { Path::Relayed } else { Path::Direct };
        let since = Now { elapsed: Duration::ZERO, unix_ms: 0 };
        links.connected(ConnectionId(id as u64), Link::new(peer(), address, path, true, since));
    }
    links
}

fn order(links: &Links) -> Vec<u64> {
    links.links_to(&peer()).into_iter().map(|(id, _)| id.0).collect()
}

#[test]
fn a_direct_path_behind_a_relay_comes_first_once_it_is_proven() {
    let mut links = links(&[RELAYED, SIGNALLED, OWN]);
    assert_eq!(order(&links), [2, 0, 1], "an address of its own needs no proof");
    assert!(links.ponged(ConnectionId(1), s(1), s(1), SILENCE));
    assert!(!links.ponged(ConnectionId(1), s(1), s(2), SILENCE), "the first ping proves it");
    assert_eq!(order(&links), [2, 1, 0]);
    links.silent(ConnectionId(2));
    assert_eq!(order(&links), [1, 0, 2]);
    links.release(ConnectionId(1));
    assert_eq!(order(&links), [0, 2, 1]);
}

#[test]
fn a_doubted_link_has_less_time_and_a_living_one_is_not_lost() {
    let mut links = links(&[RELAYED, OWN, OWN]);
    links.ponged(ConnectionId(0), s(1), s(100), SILENCE);
    links.ponged(ConnectionId(1), s(1), s(100), SILENCE);
    let heard = [(peer(), ConnectionId(0)), (peer(), ConnectionId(1))];
    assert_eq!(links.doubt(s(103), s(2), Duration::MAX), heard, "2 was never heard");
    assert_eq!(links.doubt(s(104), s(2), Duration::MAX), [], "not twice at a time");
    assert_eq!(links.next_silence(), Some(s(105)));
    links.ponged(ConnectionId(1), s(1), s(104), SILENCE);
    assert_eq!(links.unheard(s(105)), [ConnectionId(0)]);
    links.silent(ConnectionId(0));
    assert_eq!(links.unheard(s(111)), []);
    assert_eq!(links.unheard(s(112)), [ConnectionId(1)], "it has its whole time again");
}

#[test]
fn a_link_that_was_heard_a_moment_ago_is_not_doubted() {
    let mut links = links(&[RELAYED, OWN]);
    links.ponged(ConnectionId(0), s(1), s(100), SILENCE);
    links.ponged(ConnectionId(1), s(1), s(95), SILENCE);
    assert_eq!(links.doubt(s(101), s(1), s(105)).len(), 2, "both are asked");
    assert_eq!(links.unheard(s(102)), [ConnectionId(1)]);
    links.silent(ConnectionId(1));
    assert_eq!(links.unheard(s(108)), [ConnectionId(0)], "in its own time");
}

#[test]
fn a_sleeper_gives_links_their_whole_time_again() {
    let mut links = links(&[RELAYED]);
    links.ponged(ConnectionId(0), s(1), s(100), SILENCE);
    links.forgive(s(200), SILENCE);
    assert_eq!(links.unheard(s(207)), []);
    assert_eq!(links.unheard(s(208)), [ConnectionId(0)]);
}

#[test]
fn who_wants_to_be_connected_does_not_wait_for_a_dial_beside_a_link() {
    let mut links = Links::default();
    let beside = links.dial_beside(peer(), s(1), s(20)).expect("room");
    assert!(!links.is_dialling(&peer()));
    let dial = links.dial(Some(peer()), s(1), s(5)).expect("room");
    assert_eq!(links.dials_to(&peer()).collect::<Vec<_>>(), [dial]);
    assert_eq!(links.older(s(100), s(3)), [dial]);
    assert_eq!(links.overdue(s(100)), [beside, dial]);
    assert_eq!(links.dialled(beside).map(|known| known.beside), Some(true));
}
