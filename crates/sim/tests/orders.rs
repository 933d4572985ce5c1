//! Every order ends exactly once, whenever it is cancelled and whenever the node is closed. The network itself checks that.

use std::time::Duration;

use openred_sim::{Net, NodeId, Order, Time, core::open::Target};

/// Orders of every kind, given together.
fn all_orders(net: &mut Net, id: NodeId, other: NodeId) -> Vec<Order> {
    let peer = net.peer(other);
    vec![
        net.ready(id),
        net.provide(id, "own"),
        net.seek(id, "chess"),
        net.seek(id, "nothing"),
        net.opening(id, Target::Name("chess".parse().expect("a name"))),
        net.opening(id, Target::Name("nothing".parse().expect("a name"))),
        net.opening(id, Target::Peer { peer, name: "chess".parse().expect("a name") }),
    ]
}

/// A provider, and a node that has just been started or has been there for long, with relays in some state.
fn scene(seed: u64) -> (Net, NodeId, NodeId) {
    let mut net = Net::new(seed);
    let a = net.relay();
    let b = net.relay_knowing(&[a]);
    let alice = net.client(&[a, b]);
    net.provide(alice, "chess");
    assert!(net.run_until_idle_or(10.s()));
    let bob = net.client(&[a, b]);
    if seed.is_multiple_of(2) {
        net.run_for(5.s());
    }
    match seed / 2 % 4 {
        0 => {}
        1 => net.silence(a),
        2 => net.kill(b),
        _ => net.partition(&[bob]),
    }
    (net, alice, bob)
}

#[test]
fn a_cancelled_order_ends_at_once_and_once() {
    for seed in 0..160 {
        let (mut net, alice, bob) = scene(seed);
        let orders = all_orders(&mut net, bob, alice);
        net.run_for(Duration::from_millis(seed / 8 * 17));
        for order in orders {
            net.cancel(order);
        }
        net.heal();
        net.run_for(60.s());
        let offered = if net.offers(bob, "own") { vec![bob] } else { vec![] };
        assert_eq!(net.providers(alice, "own"), offered, "seed {seed}: a cancelled offer is not offered");
    }
}

#[test]
fn closing_ends_every_order_and_takes_offers_back() {
    for seed in 0..160 {
        let (mut net, alice, bob) = scene(seed);
        all_orders(&mut net, bob, alice);
        net.run_for(Duration::from_millis(seed / 8 * 23));
        let order = net.close(bob);
        assert!(net.run_until(1100.ms(), |net| !net.is_pending(order)), "seed {seed}: closing takes a second at most");
        assert!(net.run_until_idle_or(0.s()), "seed {seed}: nothing is left open");
        net.kill(bob);
        net.heal();
        net.run_for(60.s());
    }
}

#[test]
fn orders_end_whatever_befalls_the_relays() {
    for seed in 0..80 {
        let (mut net, alice, bob) = scene(seed);
        let a = net.node(&net.machine(alice).peers()[0].peer).expect("a node of this network");
        all_orders(&mut net, bob, alice);
        net.run_for(Duration::from_millis(seed * 13 % 400));
        if seed % 3 == 0 {
            net.restart(a);
        } else {
            net.kill(a);
        }
        net.run_for(30.s());
        assert!(net.run_until_idle_or(0.s()), "seed {seed}");
    }
}

#[test]
fn as_many_opens_as_may_be_and_no_leak_behind() {
    let mut net = Net::new(1);
    let a = net.relay();
    let alice = net.client(&[a]);
    let bob = net.client_with(&[a], |config| config.max_orders = 3);
    net.provide(alice, "chess");
    assert!(net.run_until_idle_or(10.s()));
    for round in 0..5 {
        let mut orders: Vec<_> = (0..3).map(|n| net.seek(bob, &format!("nothing-{round}-{n}"))).collect();
        orders.push(net.opening(bob, Target::Name("chess".parse().expect("a name"))));
        let codes: Vec<_> =
            orders.iter().map(|order| net.wait(*order).map_or_else(|error| error.code(), |_| "")).collect();
        assert_eq!(codes, ["", "", "", "QUOTA"], "round {round}");
        assert_eq!(net.open(bob, "chess").expect("there is room again"), alice, "round {round}");
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    let run = |seed| {
        let (mut net, alice, bob) = scene(seed);
        all_orders(&mut net, bob, alice);
        net.run_for(60.s());
        net.heal();
        net.run_for(60.s());
        net.trace()
    };
    for seed in 0..8 {
        assert_eq!(run(seed), run(seed));
    }
    assert_ne!(run(0), run(8), "another seed is another run");
}
