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

/// Both clocks at a time, if they run alike.
fn at(seconds: u64) -> Now {
    Now { elapsed: s(seconds), unix_ms: 1_795_000_000_000 + seconds * 1000 }
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
    assert!(links.ponged(ConnectionId(1), s(1), at(1), SILENCE));
    assert!(!links.ponged(ConnectionId(1), s(1), at(2), SILENCE), "the first ping proves it");
    assert_eq!(order(&links), [2, 1, 0]);
    links.silent(ConnectionId(2));
    assert_eq!(order(&links), [1, 0, 2]);
    links.release(ConnectionId(1));
    assert_eq!(order(&links), [0, 2, 1]);
}

#[test]
fn a_doubted_link_has_less_time_and_a_living_one_is_not_lost() {
    let mut links = links(&[RELAYED, OWN, OWN]);
    links.ponged(ConnectionId(0), s(1), at(100), SILENCE);
    links.ponged(ConnectionId(1), s(1), at(100), SILENCE);
    let heard = [(peer(), ConnectionId(0)), (peer(), ConnectionId(1))];
    assert_eq!(links.doubt(at(103), Duration::ZERO), heard, "2 was never heard");
    assert_eq!(links.doubt(at(104), Duration::ZERO), [], "not twice at a time");
    assert_eq!(links.next_silence(), Some(s(103) + AWAKE));
    links.ponged(ConnectionId(1), s(1), at(104), SILENCE);
    assert_eq!(links.unheard(s(105)), [ConnectionId(0)]);
    links.silent(ConnectionId(0));
    assert_eq!(links.unheard(s(112)), []);
    assert_eq!(links.unheard(s(113)), [ConnectionId(1)], "asked out of turn, it has more");
}

#[test]
fn a_link_that_was_heard_a_moment_ago_is_trusted_unless_the_network_is_another() {
    let mut links = links(&[RELAYED, OWN]);
    links.ponged(ConnectionId(0), s(1), at(100), SILENCE);
    links.ponged(ConnectionId(1), s(1), at(95), SILENCE);
    assert_eq!(links.doubt(at(101), s(4)), [(peer(), ConnectionId(1))]);
    assert_eq!(links.doubt(at(101), Duration::ZERO), [(peer(), ConnectionId(0))], "the other is doubted already");
    assert_eq!(links.unheard(s(101) + AWAKE), [ConnectionId(0), ConnectionId(1)]);
}

#[test]
fn a_link_that_is_late_after_a_wake_is_named_once_unless_it_costs_a_page_one_of_few_connections() {
    let mut links = links(&[OWN, OWN, RELAYED, "/ip4/192.0.2.2/udp/80/webrtc-direct"]);
    for id in 0..4 {
        links.ponged(ConnectionId(id), s(0), at(100), SILENCE);
    }
    links.doubt(at(110), Duration::ZERO);
    let late = links.next_second().expect("somebody is waited for");
    assert!(late < s(110) + AWAKE / 2, "pings took no time: {late:?}");
    assert_eq!(links.late(late - Duration::from_millis(1)), []);
    links.ponged(ConnectionId(1), s(0), Now { elapsed: late, ..at(110) }, SILENCE);
    assert_eq!(links.doubted(&peer(), late), [ConnectionId(0)]);
    assert_eq!(links.late(late), [(peer(), OWN.parse().expect("an address"))]);
    assert_eq!((links.late(late), links.next_second()), (Vec::new(), None));
    assert_eq!(links.doubted(&peer(), s(110) + AWAKE), [], "that one has had its time");
}

#[test]
fn a_ping_out_of_turn_costs_the_regular_one_its_turn_and_a_living_link_nothing() {
    let mut links = links(&[RELAYED]);
    let link = ConnectionId(0);
    links.ponged(link, s(1), at(100), SILENCE);
    links.doubt(at(105), Duration::ZERO);
    assert!(links.is_asked(link, s(106)) && !links.is_asked(link, s(107)));
    links.ponged(link, s(1), at(106), SILENCE);
    assert_eq!(links.unheard(s(114)), [], "two intervals of three seconds, and one for what late timers add");
    assert_eq!(links.unheard(s(115)), [link]);
    links.ponged(link, s(1), at(115), SILENCE);
    assert_eq!(links.unheard(s(123)), [link], "pings come in turn again");
}

#[test]
fn a_peer_that_answers_no_pings_is_believed_when_it_says_so() {
    let mut links = links(&[RELAYED, SIGNALLED]);
    let (relayed, direct) = (ConnectionId(0), ConnectionId(1));
    assert_eq!(order(&links), [0, 1]);
    assert!(links.ping_refused(direct, s(1)));
    assert!(!links.ping_refused(direct, s(1)), "it has said so");
    assert_eq!(order(&links), [1, 0], "a refusal has come there and back as well");
    assert_eq!(links.doubt(at(100), Duration::ZERO), [], "nobody waits for a ping of it");
    assert_eq!(links.unheard(s(1000)), []);
    links.ponged(relayed, s(1), at(1000), SILENCE);
    assert!(!links.ping_refused(relayed, s(1)));
    assert_eq!(links.unheard(s(1008)), [relayed], "who has answered goes on or is silent");
}

#[test]
fn a_link_is_as_old_as_either_clock_says() {
    let stood_still = Now { unix_ms: at(3600).unix_ms, ..at(101) };
    let set_back = Now { unix_ms: at(0).unix_ms, ..at(3600) };
    for now in [stood_still, set_back, at(3600)] {
        let mut links = links(&[RELAYED]);
        links.ponged(ConnectionId(0), s(1), at(100), SILENCE);
        // A timer or an input that comes before the wake gives it its whole time again.
        links.forgive(now.elapsed, SILENCE);
        assert_eq!(links.doubt(now, s(4)).len(), 1, "{now:?}");
        assert_eq!(links.unheard(now.elapsed + AWAKE), [ConnectionId(0)], "{now:?}");
    }
}

#[test]
fn whoever_asks_is_alive() {
    let mut one = links(&[RELAYED]);
    one.ponged(ConnectionId(0), s(1), at(100), SILENCE);
    one.alive(&peer(), s(105), SILENCE);
    assert_eq!(one.unheard(s(112)), []);
    assert_eq!(one.unheard(s(113)), [ConnectionId(0)]);
    let mut two = links(&[RELAYED, OWN]);
    two.ponged(ConnectionId(0), s(1), at(100), SILENCE);
    two.alive(&peer(), s(105), SILENCE);
    assert_eq!(two.unheard(s(108)), [ConnectionId(0)], "nobody knows over which it asked");
}

#[test]
fn a_sleeper_gives_links_their_whole_time_again() {
    let mut links = links(&[RELAYED]);
    links.ponged(ConnectionId(0), s(1), at(100), SILENCE);
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

#[test]
fn who_connects_anew_puts_its_earlier_links_in_doubt() {
    let mut links = links(&[OWN]);
    let inbound = |links: &mut Links, id, address: &str| {
        let link = Link::new(peer(), address.parse().expect("an address"), Path::Direct, false, at(100));
        links.connected(ConnectionId(id), link);
    };
    inbound(&mut links, 1, OWN);
    inbound(&mut links, 2, OWN);
    inbound(&mut links, 3, "/ip4/192.0.2.1/tcp/80/ws");
    for id in [0, 1, 3] {
        links.ponged(ConnectionId(id), Duration::from_millis(200), at(100), SILENCE);
    }
    inbound(&mut links, 4, OWN);
    let doubted = links.doubt_earlier(&peer(), ConnectionId(4), s(103));
    assert_eq!(doubted, [ConnectionId(1), ConnectionId(3)], "0 is a link of our own, 2 was never heard");
    let soon = links.next_silence().expect("one is awaited");
    assert!(soon < s(103) + AWAKE, "the page's pings are quick");
    assert_eq!(links.unheard(soon), [ConnectionId(3)]);
    links.silent(ConnectionId(3));
    assert_eq!(links.unheard(s(103) + AWAKE), [ConnectionId(1)]);
}
