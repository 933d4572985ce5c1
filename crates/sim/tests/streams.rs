//! Streams are opened by whatever path leads to a provider.

use openred_sim::{
    Net, NodeId, Time,
    core::{event::Path, open::Target},
};

fn scene(seed: u64) -> (Net, Vec<NodeId>, NodeId, NodeId) {
    let mut net = Net::new(seed);
    let first = net.relay();
    let relays = vec![first, net.relay_knowing(&[first]), net.relay_knowing(&[first])];
    let alice = net.client(&relays);
    let bob = net.client(&relays);
    net.join(bob).expect("relays are there");
    let order = net.provide(alice, "chess");
    net.wait(order).expect("relays are there");
    net.run_for(2.s());
    (net, relays, alice, bob)
}

#[test]
fn a_stream_runs_through_a_relay_that_holds_a_reservation() {
    let (mut net, _, alice, bob) = scene(1);
    let order = net.opening(bob, Target::Name("chess".parse().expect("a name")));
    net.wait(order).expect("alice is there");
    assert_eq!(net.stream(order), Some(alice));
    let relay = net.stream_relay(order).expect("clients have no addresses");
    assert!(net.reserved_at(alice).contains(&relay));
    let alice_peer = net.peer(alice);
    assert!(net.machine(bob).peers().iter().any(|peer| peer.peer == alice_peer && peer.path == Path::Relayed));
    net.kill(relay);
    net.run_for(1.s());
    assert_eq!(net.stream(order), None, "a stream ends with its relay");
    assert_eq!(net.open(bob, "chess").expect("the other relay lives"), alice);
}

#[test]
fn a_silent_relay_is_left_behind_well_within_ten_seconds() {
    for seed in 0..30 {
        let (mut net, relays, alice, bob) = scene(seed);
        let order = net.opening(bob, Target::Name("chess".parse().expect("a name")));
        net.wait(order).expect("alice is there");
        net.run_for(1.s());
        // Several paths stand by now, and the next stream takes the same as this one.
        let order = net.opening(bob, Target::Name("chess".parse().expect("a name")));
        net.wait(order).expect("alice is there");
        let relay = net.stream_relay(order).expect("relayed");
        net.silence(relay);
        net.run_for(std::time::Duration::from_millis(seed * 311 % 9000));
        let order = net.opening(bob, Target::Name("chess".parse().expect("a name")));
        net.wait(order).unwrap_or_else(|error| panic!("seed {seed}: another path exists: {error}"));
        assert_eq!(net.stream(order), Some(alice));
        assert_ne!(net.stream_relay(order), Some(relay));
        assert!(relays.contains(&net.stream_relay(order).expect("relayed")));
        // A silent path costs 2.5 s, and only one was silent.
        assert!(net.took(order).expect("answered") < 4.s(), "seed {seed}: {:?}", net.took(order));
    }
}

#[test]
fn a_provider_that_moved_is_found_at_its_fresh_addresses() {
    for seed in 0..20 {
        let mut net = Net::new(seed);
        let first = net.relay();
        let relays: Vec<_> = std::iter::once(first).chain((0..3).map(|_| net.relay_knowing(&[first]))).collect();
        let alice = net.client(&relays);
        let bob = net.client(&relays[..1]);
        net.join(bob).expect("relays are there");
        let order = net.provide(alice, "chess");
        net.wait(order).expect("relays are there");
        let record = net.find(bob, "chess").records[0].record.clone();
        for relay in net.reserved_at(alice) {
            if relay != first {
                net.kill(relay);
            } else {
                net.set_places(first, 0);
                net.restart(first);
            }
        }
        net.run_for(40.s());
        assert!(!net.reserved_at(alice).is_empty(), "seed {seed}");
        let order = net.opening(bob, Target::Record(Box::new(record)));
        net.wait(order).unwrap_or_else(|error| panic!("seed {seed}: its new addresses are published: {error}"));
        assert_eq!(net.stream(order), Some(alice));
    }
}

#[test]
fn what_cannot_be_opened_says_why() {
    let (mut net, _, alice, bob) = scene(4);
    assert_eq!(net.open(bob, "nothing").expect_err("nobody offers it").code(), "NOT_FOUND");
    let refused = Target::Peer { peer: net.peer(alice), name: "go".parse().expect("a name") };
    let order = net.opening(bob, refused);
    assert_eq!(net.wait(order).expect_err("she does not serve it").code(), "REFUSED");
    net.kill(alice);
    net.run_for(1.s());
    let error = net.open(bob, "chess").expect_err("the provider has gone");
    assert_eq!(error.code(), "UNREACHABLE");
}
