use fastrand::Rng;
use proptest::prelude::*;

use super::*;
use crate::{links::Link, time::Now};

const BACKOFF: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(600));

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn climb() -> Climb {
    Climb::new(BACKOFF, Duration::ZERO)
}

/// A relayed link that this side has dialled and that carries a stream.
fn in_use() -> Seen {
    Seen {
        circuit: Some("/ip4/192.0.2.1/tcp/80/ws/p2p-circuit".parse().expect("an address")),
        streams: 1,
        first: true,
        identified: true,
        signals: true,
        ..Seen::default()
    }
}

fn waits(climb: &Climb, seen: &Seen, at: Duration) -> (Why, Option<Duration>) {
    match climb.next(seen, Room::Enough, at) {
        Next::Wait(why, until) => (why, until),
        other => panic!("{other:?} at {at:?}"),
    }
}

fn tries(climb: &Climb, seen: &Seen, room: Room, at: Duration) -> bool {
    matches!(climb.next(seen, room, at), Next::Try(_))
}

#[test]
fn only_a_relayed_link_in_use_to_a_peer_that_signals_is_tried() {
    let climb = climb();
    assert!(tries(&climb, &in_use(), Room::Enough, s(100)));
    let not = |change: fn(&mut Seen)| {
        let mut seen = in_use();
        change(&mut seen);
        waits(&climb, &seen, s(100)).0
    };
    assert_eq!(not(|seen| seen.streams = 0), Why::Unused);
    assert_eq!(not(|seen| seen.identified = false), Why::Unknown);
    assert_eq!(not(|seen| seen.circuit = None), Why::Unknown);
    assert_eq!(not(|seen| seen.signals = false), Why::OffThere);
    let mut up = in_use();
    up.direct = true;
    assert_eq!(climb.next(&up, Room::Enough, s(100)), Next::Up);
}

#[test]
fn requests_that_follow_each_other_keep_a_link_in_use() {
    let mut climb = climb();
    let idle = Seen { streams: 0, ..in_use() };
    climb.used(false, s(100));
    assert!(tries(&climb, &idle, Room::Enough, s(101)));
    assert_eq!(waits(&climb, &idle, s(100) + LINGER).0, Why::Unused);
}

#[test]
fn the_other_side_has_its_turn_first_and_not_for_ever() {
    let mut climb = climb();
    let theirs = Seen { first: false, ..in_use() };
    climb.used(true, s(100));
    assert_eq!(waits(&climb, &theirs, s(101)), (Why::Theirs, Some(s(100) + OTHERS_TURN)));
    assert!(tries(&climb, &theirs, Room::Enough, s(100) + OTHERS_TURN));
}

#[test]
fn a_failure_is_told_and_the_next_attempt_waits_ever_longer() {
    let (mut climb, mut rng, mut now) = (climb(), Rng::with_seed(1), s(100));
    let mut last = Duration::ZERO;
    for attempt in 0..8 {
        assert!(tries(&climb, &in_use(), Room::Enough, now), "attempt {attempt}");
        climb.begin(DialId(attempt), None);
        assert_eq!(waits(&climb, &in_use(), now).0, Why::Trying);
        now += s(9);
        climb.failed(Failure::new("ICE_FAILED", "no pair"), now, &mut rng);
        let (why, until) = waits(&climb, &in_use(), now);
        assert_eq!(why.told(climb.failure()).code, "ICE_FAILED");
        let pause = until.expect("it is tried again") - now;
        assert!(pause >= BACKOFF.0 / 2 && pause <= BACKOFF.1, "{pause:?}");
        assert!(pause >= last / 2, "{pause:?} after {last:?}");
        (last, now) = (pause, now + pause);
    }
    assert!(last >= BACKOFF.1 / 2, "{last:?}");
    climb.proven(Duration::from_millis(20));
    assert_eq!(climb.failure(), None);
}

#[test]
fn what_an_attempt_failed_of_is_told_with_its_code() {
    let told = |fail: &dyn Fn(&mut Climb, &mut Rng)| {
        let (mut climb, mut rng) = (climb(), Rng::with_seed(1));
        fail(&mut climb, &mut rng);
        let (why, _) = waits(&climb, &in_use(), s(100));
        why.told(climb.failure())
    };
    let dial = |failure: DialFailure| told(&|climb, rng| climb.failed(failure_of(&failure), s(100), rng));
    for (why, code) in [
        (DirectFailure::Ice, "ICE_FAILED"),
        (DirectFailure::UdpBlocked, "UDP_BLOCKED"),
        (DirectFailure::Unsupported, "WEBRTC_OFF"),
        (DirectFailure::Quota, "QUOTA"),
        (DirectFailure::Refused, "REFUSED"),
        (DirectFailure::Gone, "GONE"),
        (DirectFailure::Busy, "BUSY"),
        (DirectFailure::Timeout, "TIMEOUT"),
        (DirectFailure::Failed, "FAILED"),
    ] {
        let reason = format!("{why:?} in words");
        assert_eq!(dial(DialFailure::NotDirect { why, reason: reason.clone() }), Failure::new(code, reason));
    }
    assert_eq!(dial(DialFailure::Unsupported).code, "WEBRTC_OFF");
    assert_eq!(dial(DialFailure::Failed("no answer".to_owned())), Failure::new("FAILED", "no answer"));
    assert_eq!(told(&|climb, rng| climb.lost(WORKED, s(100), rng)).code, "LOST");
}

#[test]
fn why_nothing_is_tried_is_told_with_its_code() {
    for (why, code) in [
        (Why::Unknown, "TRYING"),
        (Why::Trying, "TRYING"),
        (Why::Theirs, "TRYING"),
        (Why::OffThere, "WEBRTC_OFF_THERE"),
        (Why::Unused, "UNUSED"),
        (Why::Quota, "QUOTA"),
    ] {
        let failure = Failure::new("ICE_FAILED", "an attempt before");
        assert_eq!(why.told(None).code, code, "{why:?}");
        assert_eq!(why.told(Some(&failure)).code, code, "{why:?}, whatever was before");
    }
}

#[test]
fn a_link_that_worked_is_tried_again_soon_and_one_that_flaps_is_not() {
    let (mut climb, mut rng) = (climb(), Rng::with_seed(2));
    climb.lost(s(300), s(1000), &mut rng);
    let (why, until) = waits(&climb, &in_use(), s(1000));
    assert_eq!(why.told(climb.failure()).code, "LOST");
    assert!(until.expect("again") <= s(1000) + SOON);
    climb.lost(s(2), s(2000), &mut rng);
    assert!(waits(&climb, &in_use(), s(2000)).1.expect("again") >= s(2000) + BACKOFF.0 / 2);
}

#[test]
fn a_link_without_a_ping_is_given_back() {
    let mut climb = climb();
    climb.connected(s(100));
    let seen = Seen { unproven: Some((ConnectionId(7), s(100))), ..in_use() };
    assert_eq!(waits(&climb, &seen, s(101)), (Why::Trying, Some(s(100) + PROOF)));
    assert_eq!(climb.next(&seen, Room::Enough, s(100) + PROOF), Next::GiveBack(ConnectionId(7)));
}

#[test]
fn a_link_that_carries_streams_is_not_given_back_however_silent_its_pings() {
    let peer = |seed| libp2p_identity::Keypair::ed25519_from_bytes([seed; 32]).expect("a key").public().to_peer_id();
    let address = "/ip4/192.0.2.1/tcp/80/ws/p2p-circuit/webrtc".parse().expect("an address");
    let since = Now { elapsed: s(100), unix_ms: 0 };
    let mut links = Links::default();
    links.connected(ConnectionId(7), Link::new(peer(1), address, Path::Direct, true, since));
    let mut next = |streams| {
        links.carries(ConnectionId(7), streams);
        climb().next(&Seen::of(&links, &peer(1), &peer(0)), Room::Enough, s(100) + PROOF)
    };
    assert_eq!(next(1), Next::Up);
    assert_eq!(next(0), Next::GiveBack(ConnectionId(7)));
}

#[test]
fn a_circuit_is_remembered_once_with_and_without_its_peer() {
    let peer = libp2p_identity::Keypair::ed25519_from_bytes([1; 32]).expect("a key").public().to_peer_id();
    let circuit = |host| format!("/ip4/192.0.2.{host}/tcp/80/ws/p2p/{peer}/p2p-circuit");
    let mut climb = climb();
    for host in 0..MAX_CIRCUITS {
        for text in [circuit(host), format!("{}/p2p/{peer}", circuit(host))] {
            climb.remember(&text.parse().expect("an address"));
        }
    }
    let remembered: Vec<_> = climb.circuits().iter().map(ToString::to_string).collect();
    assert_eq!(remembered, (0..MAX_CIRCUITS).rev().map(circuit).collect::<Vec<_>>());
}

#[test]
fn what_is_left_goes_to_the_valuable() {
    let mut climb = climb();
    climb.used(true, s(100));
    assert_eq!(climb.next(&in_use(), Room::Valuable, s(101)), Next::Wait(Why::Quota, Some(s(100) + VALUABLE)));
    assert!(tries(&climb, &in_use(), Room::Valuable, s(100) + VALUABLE));
    assert_eq!(climb.next(&in_use(), Room::None, s(200)), Next::Wait(Why::Quota, None));
    let idle = Seen { streams: 0, ..in_use() };
    climb.used(false, s(200));
    assert_eq!(climb.next(&idle, Room::Valuable, s(201)), Next::Wait(Why::Quota, None), "an open is no stream yet");
    // A direct path that was slower gains nothing.
    climb.begin(DialId(1), Some(Duration::from_millis(20)));
    climb.connected(s(301));
    climb.proven(Duration::from_millis(50));
    climb.used(true, s(302));
    assert_eq!(climb.next(&in_use(), Room::Valuable, s(400)), Next::Wait(Why::Quota, None));
    assert!(tries(&climb, &in_use(), Room::Enough, s(400)));
}

#[test]
fn a_wake_ends_the_wait_once_in_a_while_and_another_network_more_often() {
    let (mut climb, mut rng) = (climb(), Rng::with_seed(3));
    let mut fail = |climb: &mut Climb, at| {
        for _ in 0..6 {
            climb.failed(Failure::new("ICE_FAILED", "no pair"), at, &mut rng);
        }
    };
    fail(&mut climb, s(100));
    climb.wake(s(101));
    assert!(tries(&climb, &in_use(), Room::Enough, s(101)));
    fail(&mut climb, s(110));
    climb.wake(s(111));
    assert!(!tries(&climb, &in_use(), Room::Enough, s(111)));
    climb.network_changed(s(112));
    assert!(!tries(&climb, &in_use(), Room::Enough, s(112)), "it was woken just before");
    climb.network_changed(s(101) + CHANGES);
    assert!(tries(&climb, &in_use(), Room::Enough, s(101) + CHANGES));
    fail(&mut climb, s(300));
    climb.wake(s(101) + CHANGES + WAKES);
    assert!(tries(&climb, &in_use(), Room::Enough, s(101) + CHANGES + WAKES));
}

#[test]
fn the_more_there_is_to_gain_the_earlier_the_turn() {
    let value = |gains, streams, ms| Value {
        gains,
        streams,
        rtt: Some(Duration::from_millis(ms)),
        since: Reverse(Duration::ZERO),
    };
    assert!(value(true, 1, 10) > value(false, 9, 900));
    assert!(value(true, 2, 10) > value(true, 1, 900));
    assert!(value(true, 1, 200) > value(true, 1, 10));
}

#[derive(Clone, Debug)]
enum Fact {
    Pass(u64),
    Use(bool),
    Fail,
    TheirsFails,
    Connect,
    Prove(u64),
    Lose(u64),
    Wake,
}

fn facts() -> impl Strategy<Value = Vec<Fact>> {
    let fact = prop_oneof![
        8 => (1u64..40_000).prop_map(Fact::Pass),
        3 => any::<bool>().prop_map(Fact::Use),
        4 => Just(Fact::Fail),
        1 => Just(Fact::TheirsFails),
        1 => Just(Fact::Connect),
        1 => (1u64..500).prop_map(Fact::Prove),
        1 => (0u64..100_000).prop_map(Fact::Lose),
        2 => Just(Fact::Wake),
    ];
    proptest::collection::vec(fact, 0..200)
}

proptest! {
    /// Whatever happens: no attempt while one is under way, none on a link that is not in use, a deadline is never in the
    /// past.
    #[test]
    fn attempts_are_rare_and_deadlines_lie_ahead(facts in facts(), seed: u64, first: bool) {
        let (mut climb, mut rng, mut now) = (climb(), Rng::with_seed(seed), s(100));
        let (mut dial, mut running) = (0, false);
        for fact in facts {
            match fact {
                Fact::Pass(ms) => now += Duration::from_millis(ms),
                Fact::Use(more) => {
                    running = more;
                    climb.used(more, now);
                }
                Fact::Fail if climb.is_trying() => climb.failed(Failure::new("ICE_FAILED", ""), now, &mut rng),
                Fact::Fail => {}
                Fact::TheirsFails => climb.their_attempt_failed(Failure::new("TIMEOUT", ""), now, &mut rng),
                Fact::Connect => climb.connected(now),
                Fact::Prove(ms) => climb.proven(Duration::from_millis(ms)),
                Fact::Lose(ms) => climb.lost(Duration::from_millis(ms), now, &mut rng),
                Fact::Wake => climb.wake(now),
            }
            let seen = Seen { streams: usize::from(running), first, ..in_use() };
            match climb.next(&seen, Room::Enough, now) {
                Next::Try(_) => {
                    prop_assert!(!climb.is_trying());
                    prop_assert!(running || now < climb.last_used() + LINGER);
                    dial += 1;
                    climb.begin(DialId(dial), None);
                }
                Next::Wait(_, Some(until)) => prop_assert!(until > now, "{until:?} at {now:?}"),
                Next::Wait(_, None) | Next::Up => {}
                Next::GiveBack(_) => prop_assert!(false, "there is no such link"),
            }
        }
    }

    /// A peer that always fails costs a page few connections, however often its visitor changes tabs.
    #[test]
    fn an_hour_of_failures_and_wakes_costs_little(seed: u64, every in 1u64..120, flaps: bool) {
        let (mut climb, mut rng, mut tries) = (climb(), Rng::with_seed(seed), 0);
        climb.used(true, s(0));
        for second in 0..3600 {
            let now = s(second);
            match flaps {
                _ if second % every != 0 => {}
                true => climb.network_changed(now),
                false => climb.wake(now),
            }
            if let Next::Try(_) = climb.next(&in_use(), Room::Enough, now) {
                tries += 1;
                climb.begin(DialId(tries), None);
                climb.failed(Failure::new("ICE_FAILED", ""), now, &mut rng);
            }
        }
        // At most seven until the backoff is as long as the time between two wakes that count.
        prop_assert!(tries <= 7 * 6, "{tries} attempts");
    }
}
