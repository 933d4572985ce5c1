//! Two pages meet through a relay and go on directly: no stream is cut, nothing gets slower, and why not is told.

use std::time::Duration;

use openred_sim::{
    Ice, Net, NodeId, Order, Time,
    core::{
        Config, PeerConnections,
        event::{Event, Path, State},
        open::Target,
    },
};

/// Three relays, and two pages of which the first offers `chess`.
struct Scene {
    net: Net,
    relays: Vec<NodeId>,
    alice: NodeId,
    bob: NodeId,
}

fn page(config: &mut Config) {
    config.webrtc = true;
}

fn scene(seed: u64) -> Scene {
    scene_with(seed, page, page)
}

fn scene_with(seed: u64, alice: impl Fn(&mut Config), bob: impl Fn(&mut Config)) -> Scene {
    let mut net = Net::new(seed);
    let first = net.relay();
    let relays = vec![first, net.relay_knowing(&[first]), net.relay_knowing(&[first])];
    let alice = net.client_with(&relays, alice);
    let bob = net.client_with(&relays, bob);
    net.join(bob).expect("relays are there");
    let order = net.provide(alice, "chess");
    net.wait(order).expect("relays are there");
    net.run_for(2.s());
    Scene { net, relays, alice, bob }
}

impl Scene {
    fn open(&mut self) -> Order {
        let order = self.net.opening(self.bob, Target::Name("chess".parse().expect("a name")));
        self.net.wait(order).expect("alice is there");
        assert_eq!(self.net.stream(order), Some(self.alice));
        order
    }

    /// Whether both pages say that they reach each other directly.
    fn is_direct(&self) -> bool {
        let direct = |id, other| self.net.explain(id, other).code == "DIRECT";
        direct(self.alice, self.bob) && direct(self.bob, self.alice)
    }

    fn wait_until_direct(&mut self, limit: Duration) {
        let (alice, bob) = (self.alice, self.bob);
        let direct = |net: &Net, id, other| net.explain(id, other).code == "DIRECT";
        let so = self.net.run_until(limit, |net| direct(net, alice, bob) && direct(net, bob, alice));
        assert!(so, "alice: {:?}, bob: {:?}", self.net.explain(alice, bob), self.net.explain(bob, alice));
    }

    /// The code of the reason why one page does not reach the other directly.
    fn why(&self, id: NodeId, other: NodeId) -> &'static str {
        self.net.explain(id, other).not_direct.map_or("none", |why| why.code)
    }

    fn paths_told(&self, id: NodeId, other: NodeId) -> Vec<Path> {
        let other = self.net.peer(other);
        let told = self.net.events(id).iter().filter_map(|(_, event)| match event {
            Event::PeerConnected { peer, path, .. } | Event::PeerPath { peer, path } if *peer == other => Some(*path),
            _ => None,
        });
        told.collect()
    }
}

#[test]
fn a_stream_begins_relayed_the_next_one_is_direct_and_none_is_cut() {
    for seed in 0..20 {
        let mut scene = scene(seed);
        let running = scene.open();
        assert!(scene.net.stream_relay(running).is_some(), "seed {seed}: nobody waits for a direct path");
        let opened = scene.net.now();
        scene.wait_until_direct(2.s());
        let took = scene.net.now() - opened;
        assert!(took < 500.ms(), "seed {seed}: {took:?} at ten milliseconds a round trip");
        assert_eq!(scene.paths_told(scene.bob, scene.alice), [Path::Relayed, Path::Direct]);
        assert_eq!(scene.paths_told(scene.alice, scene.bob), [Path::Relayed, Path::Direct]);
        let (alice_peer, bob) = (scene.net.peer(scene.alice), scene.bob);
        let told = scene.net.machine(bob).peers().into_iter().find(|peer| peer.peer == alice_peer);
        let told = told.expect("connected");
        assert_eq!((told.path, told.transport()), (Path::Direct, "webrtc"));

        let next = scene.open();
        assert_eq!(scene.net.stream_relay(next), None, "seed {seed}: new streams take the direct path");
        scene.net.run_for(3.mins());
        assert_eq!(scene.net.stream(running), Some(scene.alice), "seed {seed}: the first stream was cut");
        assert!(scene.net.stream_relay(running).is_some(), "seed {seed}: it stays where it is");
        scene.net.close_stream(running);
        scene.net.run_for(1.mins());
        assert_eq!(scene.net.links_between(scene.bob, scene.alice), 1, "seed {seed}: the relayed link is given back");
        assert!(scene.is_direct(), "seed {seed}");
        assert_eq!(scene.net.stream(next), Some(scene.alice), "seed {seed}");
        assert_eq!(scene.net.connections_made(scene.bob), 1, "seed {seed}");
        assert_eq!(scene.net.connections_made(scene.alice), 1, "seed {seed}");
    }
}

#[test]
fn slow_signalling_still_ends_within_two_seconds() {
    for seed in 0..10 {
        let mut scene = scene(seed);
        // Fifty milliseconds more each way to and from every relay: a hundred on the way over one.
        for relay in scene.relays.clone() {
            for page in [scene.alice, scene.bob] {
                scene.net.latency.between(relay, page, 50.ms());
            }
        }
        scene.open();
        scene.wait_until_direct(2.s());
    }
}

#[test]
fn pages_that_open_to_each_other_at_once_keep_one_direct_link() {
    for seed in 0..30 {
        let mut scene = scene(seed);
        let order = scene.net.provide(scene.bob, "go");
        scene.net.wait(order).expect("relays are there");
        scene.net.run_for(2.s());
        let opens = [(scene.alice, scene.bob, "go"), (scene.bob, scene.alice, "chess")].map(|(from, to, name)| {
            let target = Target::Peer { peer: scene.net.peer(to), name: name.parse().expect("a name") };
            (scene.net.opening(from, target), to)
        });
        assert!(scene.net.run_until_idle_or(10.s()), "seed {seed}");
        scene.wait_until_direct(5.s());
        scene.net.run_for(2.mins());
        for (order, to) in opens {
            assert_eq!(scene.net.stream(order), Some(to), "seed {seed}: a stream was cut");
            scene.net.close_stream(order);
        }
        scene.net.run_for(1.mins());
        assert_eq!(scene.net.direct_links_between(scene.alice, scene.bob), 1, "seed {seed}");
        assert_eq!(scene.net.links_between(scene.alice, scene.bob), 1, "seed {seed}");
        let made = scene.net.connections_made(scene.alice) + scene.net.connections_made(scene.bob);
        assert!(made <= 4, "seed {seed}: {made} connections");
    }
}

#[test]
fn where_ice_fails_the_relay_serves_and_the_reason_is_told() {
    for (ice, code) in
        [(Ice::Fails(4.s()), "ICE_FAILED"), (Ice::Blocked(2.s()), "UDP_BLOCKED"), (Ice::Refused, "REFUSED")]
    {
        let mut scene = scene(1);
        scene.net.set_ice(scene.alice, scene.bob, ice);
        let running = scene.open();
        scene.net.run_for(20.ms());
        assert_eq!(
            scene.why(scene.bob, scene.alice),
            if ice == Ice::Refused { "REFUSED" } else { "TRYING" },
            "{ice:?}"
        );
        scene.net.run_for(7.s());
        assert_eq!(scene.why(scene.bob, scene.alice), code);
        if ice != Ice::Refused {
            assert_eq!(scene.why(scene.alice, scene.bob), code, "who was asked knows it, too");
        }
        scene.net.run_for(1.h());
        assert_eq!(scene.net.stream(running), Some(scene.alice), "{ice:?}: nothing is lost");
        let made = scene.net.connections_made(scene.bob);
        // With every pause of the backoff at its shortest, half of 15 s doubling up to half of 600 s, an hour has room for 17.
        assert!((3..=17).contains(&made), "{ice:?}: {made} attempts in an hour");
        let order = scene.open();
        assert!(scene.net.took(order).expect("answered") < 200.ms(), "{ice:?}");

        scene.net.set_ice(scene.alice, scene.bob, Ice::Works);
        scene.net.wake(scene.bob);
        scene.wait_until_direct(65.s());
    }
}

#[test]
fn who_has_no_webrtc_is_reached_relayed_and_both_know_why() {
    let nothing = |_: &mut Config| {};
    let relayed_only = |config: &mut Config| {
        config.webrtc = true;
        config.relayed_only = true;
    };
    for (alice, bob, of_alice, of_bob) in [
        (page as fn(&mut Config), nothing as fn(&mut Config), "WEBRTC_OFF_THERE", "WEBRTC_OFF"),
        (nothing, page, "WEBRTC_OFF", "WEBRTC_OFF_THERE"),
        (page, relayed_only, "WEBRTC_OFF_THERE", "RELAYED_ONLY"),
        (relayed_only, page, "RELAYED_ONLY", "WEBRTC_OFF_THERE"),
    ] {
        let mut scene = scene_with(2, alice, bob);
        let order = scene.open();
        scene.net.run_for(1.mins());
        assert!(scene.net.stream_relay(order).is_some());
        assert_eq!(scene.why(scene.alice, scene.bob), of_alice);
        assert_eq!(scene.why(scene.bob, scene.alice), of_bob);
        assert_eq!(scene.net.direct_links_between(scene.alice, scene.bob), 0);
        let made = scene.net.connections_made(scene.alice) + scene.net.connections_made(scene.bob);
        assert_eq!(made, 0, "nothing is tried that cannot work");
    }
}

#[test]
fn who_wants_relayed_paths_only_never_names_or_shows_another() {
    let relayed_only = |config: &mut Config| {
        config.webrtc = true;
        config.relayed_only = true;
    };
    let mut scene = scene_with(3, relayed_only, relayed_only);
    let named =
        |scene: &Scene, id| scene.net.machine(id).endpoints().iter().any(|at| at.to_string().contains("/webrtc"));
    assert!(!named(&scene, scene.alice) && !named(&scene, scene.bob));
    // A provider that names an address of its own is not dialled there.
    let record = scene.net.find(scene.bob, "chess").records.remove(0).record;
    let mut bait = record.clone();
    bait.endpoints = vec!["/ip4/10.9.9.9/tcp/80/ws".parse().expect("an address")];
    let dials = scene.net.traffic(scene.bob).dials;
    let order = scene.net.opening(scene.bob, Target::Record(Box::new(bait.clone())));
    scene.net.wait(order).expect("its published addresses lead through relays");
    assert!(scene.net.stream_relay(order).is_some());
    assert!(scene.net.traffic(scene.bob).dials - dials <= 2, "the two circuits");
    // Nor does he go to a machine that it calls its relay.
    let stranger = scene.net.peer(scene.alice);
    bait.endpoints = vec![format!("/ip4/10.9.9.9/tcp/80/ws/p2p/{stranger}/p2p-circuit").parse().expect("an address")];
    let mut lonely = scene_with(3, relayed_only, relayed_only);
    let dials = lonely.net.traffic(lonely.bob).dials;
    let order = lonely.net.opening(lonely.bob, Target::Record(Box::new(bait)));
    lonely.net.wait(order).expect("its published addresses lead through relays");
    assert!(lonely.net.traffic(lonely.bob).dials - dials <= 2, "the two circuits");
    assert_eq!(scene.net.stun_servers(scene.bob), [""; 0]);

    let open = scene_with(3, page, page);
    assert!(named(&open, open.alice), "the others do");
    let endpoints = open.net.machine(open.alice).endpoints();
    assert!(!endpoints[0].to_string().contains("/webrtc"), "relayed ones come first: {endpoints:?}");
    assert_eq!(endpoints.len(), 4, "two relays, twice: {endpoints:?}");
}

#[test]
fn when_the_direct_path_breaks_the_next_stream_is_relayed_at_once_and_then_direct_again() {
    for seed in 0..20 {
        let mut scene = scene(seed);
        scene.open();
        scene.wait_until_direct(2.s());
        // The relayed link is given back or not, as the seed wills.
        let order = scene.open();
        scene.net.run_for((seed * 7).s());
        scene.net.break_direct(scene.alice, scene.bob);
        assert_eq!(scene.net.stream(order), None, "a stream ends with its connection");
        let order = scene.open();
        let took = scene.net.took(order).expect("answered");
        assert!(took < 300.ms(), "seed {seed}: {took:?}");
        assert!(scene.net.stream_relay(order).is_some(), "seed {seed}");
        assert_eq!(scene.paths_told(scene.bob, scene.alice).last(), Some(&Path::Relayed));
        scene.wait_until_direct(20.s());
        let next = scene.open();
        assert_eq!(scene.net.stream_relay(next), None, "seed {seed}");
        assert_eq!(scene.net.stream(order), Some(scene.alice), "seed {seed}: and nothing was cut");
    }
}

#[test]
fn a_peer_whose_relayed_link_was_given_back_is_dialled_again_when_the_direct_one_dies() {
    let mut scene = scene(4);
    let first = scene.open();
    scene.wait_until_direct(2.s());
    scene.open();
    scene.net.close_stream(first);
    scene.net.run_for(1.mins());
    assert_eq!(scene.net.links_between(scene.bob, scene.alice), 1);
    let dials = scene.net.traffic(scene.bob).dials;
    scene.net.break_direct(scene.alice, scene.bob);
    let again = |net: &Net| net.links_between(scene.bob, scene.alice) == 1;
    assert!(scene.net.run_until(500.ms(), again), "before anybody asks for it");
    assert!(scene.net.traffic(scene.bob).dials - dials <= 2, "one for each relay that holds a place for alice");
    let target = Target::Peer { peer: scene.net.peer(scene.alice), name: "chess".parse().expect("a name") };
    let order = scene.net.opening(scene.bob, target);
    scene.net.wait(order).expect("alice is there");
    assert!(scene.net.took(order).expect("answered") < 100.ms(), "{:?}", scene.net.took(order));
}

#[test]
fn a_direct_path_that_falls_silent_is_noticed_as_any_other() {
    for seed in 0..10 {
        let mut scene = scene(seed);
        let running = scene.open();
        scene.wait_until_direct(2.s());
        let direct = scene.open();
        scene.net.run_for((5000 + seed * 400).ms());
        scene.net.cut(scene.alice, scene.bob);
        scene.net.cut(scene.bob, scene.alice);
        // Whoever opens before it is noticed pays for one silent path at most.
        let order = scene.open();
        assert!(scene.net.took(order).expect("answered") < 4.s(), "seed {seed}: {:?}", scene.net.took(order));
        scene.net.run_for(10.s());
        assert_eq!(scene.net.stream(direct), None, "seed {seed}: its streams end");
        assert_eq!(scene.net.stream(running), Some(scene.alice), "seed {seed}");
        let order = scene.open();
        assert!(scene.net.took(order).expect("answered") < 200.ms(), "seed {seed}");
        scene.net.run_for(30.s());
        assert!(!scene.is_direct());
        scene.net.heal();
        scene.wait_until_direct(3.mins());
    }
}

#[test]
fn a_relay_that_drops_the_circuit_in_mid_signalling_costs_a_reason_and_no_more() {
    for seed in 0..30 {
        let mut scene = scene(seed);
        let order = scene.open();
        let relay = scene.net.stream_relay(order).expect("relayed");
        scene.net.run_for((seed * 3).ms());
        scene.net.kill(relay);
        scene.net.run_for(1.s());
        let order = scene.open();
        assert!(scene.net.stream_relay(order) != Some(relay), "seed {seed}");
        scene.net.run_for(10.ms());
        scene.net.restart(relay);
        scene.wait_until_direct(1.mins());
        assert_eq!(scene.net.stream(order), Some(scene.alice), "seed {seed}");
    }
}

#[test]
fn every_relay_restarts_and_a_direct_path_outlives_them() {
    let mut scene = scene(5);
    scene.open();
    scene.wait_until_direct(2.s());
    let order = scene.open();
    for relay in scene.relays.clone() {
        scene.net.kill(relay);
    }
    scene.net.run_for(20.s());
    assert_eq!(scene.net.stream(order), Some(scene.alice), "it needs no relay any more");
    let target = Target::Peer { peer: scene.net.peer(scene.alice), name: "chess".parse().expect("a name") };
    let next = scene.net.opening(scene.bob, target);
    scene.net.wait(next).expect("the direct path is there");
    assert!(scene.net.took(next).expect("answered") < 100.ms());
    for relay in scene.relays.clone() {
        scene.net.restart(relay);
    }
    let ready = |net: &Net| [scene.alice, scene.bob].iter().all(|id| net.is_ready(*id) && net.is_reachable(*id));
    assert!(scene.net.run_until(40.s(), ready));
    assert_eq!(scene.net.stream(order), Some(scene.alice));
}

#[test]
fn the_budget_goes_to_the_valuable_and_then_to_nobody() {
    let mut scene = scene(6);
    let marks = PeerConnections::default();
    scene.net.set_connections_made(scene.bob, marks.upgrades);
    let order = scene.open();
    scene.net.run_for(1.s());
    assert_eq!(scene.why(scene.bob, scene.alice), "QUOTA", "a request is not worth it");
    scene.net.close_stream(order);
    scene.net.run_for(30.s());
    assert_eq!(scene.net.connections_made(scene.bob), marks.upgrades);
    scene.open();
    scene.wait_until_direct(12.s());
    assert_eq!(scene.net.connections_made(scene.bob), marks.upgrades + 1, "a stream that runs on is");

    scene.net.set_connections_made(scene.bob, marks.valuable);
    scene.net.break_direct(scene.alice, scene.bob);
    let order = scene.open();
    scene.net.run_for(20.s());
    assert_eq!(scene.why(scene.bob, scene.alice), "QUOTA");
    // The other side has its own connections, and its turn comes.
    scene.net.run_for(20.s());
    assert!(scene.is_direct(), "{:?}", scene.net.explain(scene.bob, scene.alice));
    assert_eq!(scene.net.stream(order), Some(scene.alice));

    scene.net.set_connections_made(scene.bob, marks.offers);
    scene.net.break_direct(scene.alice, scene.bob);
    scene.open();
    scene.net.run_for(2.mins());
    assert!(!scene.is_direct());
    assert_eq!(scene.net.connections_made(scene.bob), marks.offers, "what is left is for relays");
    assert_eq!(scene.why(scene.bob, scene.alice), "QUOTA");
    assert_eq!(scene.why(scene.alice, scene.bob), "REFUSED");
}

#[test]
fn stun_servers_come_from_the_own_relays_alone() {
    let mut net = Net::new(7);
    let relay = net.relay();
    let host = net.address(relay).to_string().split('/').nth(2).expect("an ip").to_owned();
    net.describe(relay, &format!(r#"{{"peerId":"x","stun":["stun:{host}:3478","stun:192.0.2.1:53"],"version":"1"}}"#));
    let alice = net.client_with(&[relay], page);
    net.join(alice).expect("a relay is there");
    net.run_for(1.s());
    assert_eq!(net.stun_servers(alice), [format!("stun:{host}:3478")]);
    assert_eq!(net.traffic(alice).fetches, 1, "once");
    let plain = net.client(&[relay]);
    net.join(plain).expect("a relay is there");
    net.run_for(1.s());
    assert_eq!(net.traffic(plain).fetches, 0, "who makes no direct paths asks for none");
}

#[test]
fn offline_is_told_at_once_and_the_way_back_is_short() {
    for seed in 0..10 {
        let mut scene = scene(seed);
        let (alice, bob) = (scene.alice, scene.bob);
        scene.open();
        scene.wait_until_direct(2.s());
        scene.net.silence(bob);
        scene.net.network_gone(bob);
        let status = scene.net.machine(bob).status().clone();
        assert_eq!(status.state, State::Offline);
        assert!(status.reason.is_some_and(|reason| reason.contains("no network")));
        scene.net.run_for((1 + seed * 9).s());
        assert_eq!(scene.net.machine(bob).status().state, State::Offline, "until it is said to be back");
        scene.net.unsilence(bob);
        scene.net.wake(bob);
        let back = |net: &Net| net.is_ready(bob) && net.is_reachable(bob);
        assert!(scene.net.run_until(3.s(), back), "seed {seed}: {:?}", scene.net.machine(bob).status());
        scene.open();
        let direct = |net: &Net| net.explain(bob, alice).code == "DIRECT";
        assert!(scene.net.run_until(65.s(), direct), "seed {seed}: {:?}", scene.net.explain(bob, alice));
    }
}

#[test]
fn a_peer_that_cannot_be_reached_has_a_reason_as_well() {
    let mut scene = scene(8);
    let (alice, bob) = (scene.alice, scene.bob);
    assert_eq!(scene.net.explain(bob, alice).not_direct, None, "nobody has tried");
    let record = scene.net.find(bob, "chess").records.remove(0).record;
    scene.net.kill(alice);
    scene.net.run_for(1.s());
    let order = scene.net.opening(bob, Target::Record(Box::new(record)));
    scene.net.wait(order).expect_err("alice is gone");
    assert_eq!(scene.why(bob, alice), "GONE");
    scene.net.restart(alice);
    let order = scene.net.provide(alice, "chess");
    scene.net.wait(order).expect("relays are there");
    let target = Target::Peer { peer: scene.net.peer(alice), name: "chess".parse().expect("a name") };
    let order = scene.net.opening(bob, target);
    scene.net.wait(order).expect("alice is back");
    scene.net.kill(alice);
    scene.net.run_for(1.s());
    assert_eq!(scene.net.explain(bob, alice).not_direct, None, "she was reached when that was tried last");

    // Bob can dial one relay alone, and alice is reached through the other.
    let mut net = Net::new(9);
    let near = net.relay();
    let far = net.relay_knowing(&[near]);
    let alice = net.client_with(&[near], |config| {
        page(config);
        config.reservations = 1;
    });
    let order = net.provide(alice, "chess");
    net.wait(order).expect("a relay is there");
    assert_eq!(net.reserved_at(alice), [near]);
    let bob = net.client_with(&[far], |config| {
        page(config);
        config.can_dial = |address| address.to_string().starts_with("/ip4/10.0.0.2/");
    });
    net.join(bob).expect("a relay is there");
    net.open(bob, "chess").expect_err("no relay leads from bob to alice");
    assert_eq!(net.explain(bob, alice).not_direct.map(|why| why.code), Some("NO_COMMON_RELAY"));
}

#[test]
fn a_sleeper_is_back_within_three_seconds_and_living_links_are_not_cut() {
    for seed in 0..10 {
        // The relays restart while bob sleeps, so that his links are dead without his knowing.
        let mut scene = scene(seed);
        let bob = scene.bob;
        scene.net.silence(bob);
        for relay in scene.relays.clone() {
            scene.net.lose(relay);
            scene.net.restart(relay);
        }
        scene.net.run_for((1 + seed % 5).s());
        scene.net.unsilence(bob);
        scene.net.wake(bob);
        let back = |net: &Net| net.is_ready(bob) && net.is_reachable(bob);
        assert!(scene.net.run_until(3.s(), back), "seed {seed}: {:?}", scene.net.machine(bob).status());

        // He was frozen for up to an hour; whoever waited for him has given him up.
        let mut scene = self::scene(seed);
        let bob = scene.bob;
        scene.open();
        scene.wait_until_direct(2.s());
        scene.net.fall_asleep(bob);
        scene.net.run_for([5, 15, 60, 600, 3600][seed as usize % 5].s());
        scene.net.wake_up(bob);
        let back = |net: &Net| net.is_ready(bob) && net.is_reachable(bob);
        assert!(scene.net.run_until(3.s(), back), "seed {seed}: {:?}", scene.net.machine(bob).status());
        // A relay that was about to give him up may do so yet.
        scene.net.run_for(5.s());
        assert!(back(&scene.net), "seed {seed}: {:?}", scene.net.machine(bob).status());
        scene.open();
        scene.wait_until_direct(65.s());

        // Two of three are gone without a word.
        let mut scene = self::scene(seed);
        let bob = scene.bob;
        let gone = scene.net.reserved_at(bob);
        gone.iter().for_each(|relay| scene.net.lose(*relay));
        scene.net.run_for(5.s());
        scene.net.wake(bob);
        let back = |net: &Net| net.is_ready(bob) && net.is_reachable(bob);
        assert!(scene.net.run_until(3.s(), back), "seed {seed}: {:?}", scene.net.machine(bob).status());

        let mut scene = self::scene(seed);
        let order = scene.open();
        scene.wait_until_direct(2.s());
        let direct = scene.open();
        let events = scene.net.events(scene.bob).len();
        for _ in 0..20 {
            scene.net.wake(scene.bob);
            scene.net.run_for((seed * 130).ms());
        }
        scene.net.run_for(10.s());
        for order in [order, direct] {
            assert_eq!(scene.net.stream(order), Some(scene.alice), "seed {seed}: a wake cut a stream");
        }
        let told = &scene.net.events(scene.bob)[events..];
        let lost = told.iter().any(|(_, event)| matches!(event, Event::PeerDisconnected { .. } | Event::Status(_)));
        assert!(!lost, "seed {seed}: {told:?}");
    }
}

#[test]
fn a_link_that_died_is_noticed_at_a_wake_or_a_change_of_the_network_and_not_eight_seconds_later() {
    // How bob learns of it, and how long he lives without knowing.
    type Story = fn(&mut Net, NodeId);
    let network_changed: Story = |net, bob| {
        net.run_for(1.s());
        net.network_changed(bob);
    };
    let timer_first: Story = |net, bob| {
        net.fall_asleep(bob);
        net.run_for(10.mins());
        net.thaw(bob);
        net.run_for(500.ms());
        net.wake(bob);
    };
    let monotonic_clock_stood_still: Story = |net, bob| {
        net.fall_asleep(bob);
        net.run_for(10.mins());
        net.hold_clock(bob, 10.mins());
        net.wake_up(bob);
    };
    for (name, story) in [
        ("network changed", network_changed),
        ("timer first", timer_first),
        ("monotonic clock stood still", monotonic_clock_stood_still),
    ] {
        for seed in 0..3 {
            let mut scene = scene(seed);
            let (bob, relay) = (scene.bob, scene.relays[0]);
            scene.net.run_for((10_000 + seed * 1100).ms());
            assert_eq!(scene.net.links_between(bob, relay), 1, "{name}, seed {seed}");
            let gone = scene.net.peer(relay);
            let since = scene.net.events(bob).len();
            scene.net.cut(bob, relay);
            scene.net.cut(relay, bob);
            story(&mut scene.net, bob);
            let noticed = |net: &Net| {
                let lost = |event: &Event| matches!(event, Event::PeerDisconnected { peer, .. } if *peer == gone);
                net.events(bob)[since..].iter().any(|(_, event)| lost(event))
            };
            assert!(!noticed(&scene.net), "{name}, seed {seed}: the story proves nothing");
            assert!(scene.net.run_until(2.s(), noticed), "{name}, seed {seed}");
        }
    }
}

#[test]
fn a_direct_link_that_never_proves_itself_is_given_back_and_another_is_tried() {
    for seed in 0..5 {
        let mut scene = scene(seed);
        let (alice, bob) = (scene.alice, scene.bob);
        let running = scene.open();
        assert!(scene.net.run_until(2.s(), |net| net.direct_links_between(bob, alice) > 0), "seed {seed}");
        scene.net.cut(alice, bob);
        scene.net.cut(bob, alice);
        assert!(scene.net.run_until(8.s(), |net| net.direct_links_between(bob, alice) == 0), "seed {seed}");
        scene.net.run_for(1.s());
        assert_eq!(scene.why(bob, alice), "TIMEOUT", "seed {seed}");
        scene.net.heal();
        scene.wait_until_direct(30.s());
        assert_eq!(scene.net.stream(running), Some(alice), "seed {seed}");
    }
}
