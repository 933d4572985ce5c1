//! A relay hears what nodes say that hold a reservation at it, wherever in the key space that belongs.

use std::collections::BTreeSet;

use openred_sim::{
    Net, NodeId, Time,
    core::event::{Event, Statement},
};

/// The offers of a node that a relay has heard of from it, and whether it takes one back.
fn heard(net: &Net, relay: NodeId, of: NodeId) -> BTreeSet<(String, bool)> {
    let peer = net.peer(of);
    let stated = net.events(relay).iter().filter_map(|(_, event)| match event {
        Event::Stated(statement) if statement.peer() == peer => Some(&**statement),
        _ => None,
    });
    let records = stated.filter_map(|statement| match statement {
        Statement::Service(record) => Some(record.record()),
        Statement::Addresses(_) => None,
    });
    records.map(|record| (record.name.to_string(), record.withdrawn)).collect()
}

#[test]
fn relays_hear_every_offer_of_the_nodes_that_they_hold_a_place_for_and_strangers_their_share() {
    let mut net = Net::new(1);
    let first = net.relay();
    let relays: Vec<NodeId> = (0..39).map(|_| net.relay_knowing(&[first])).collect();
    net.run_for(10.s());
    let alice = net.client(&relays[..2]);
    net.join(alice).expect("relays are there");
    assert!(net.run_until(10.s(), |net| net.reserved_at(alice).len() == 2));
    let names: Vec<String> = (0..8).map(|number| format!("offer-{number}")).collect();
    for name in &names {
        let order = net.provide(alice, name);
        net.wait(order).expect("a quorum of forty relays is there");
    }
    net.run_for(2.s());
    let places = net.reserved_at(alice);
    for relay in &places {
        assert_eq!(heard(&net, *relay, alice).len(), names.len(), "relay {relay:?}");
    }
    let strangers = relays.iter().filter(|relay| !places.contains(relay));
    let shares: Vec<usize> = strangers.map(|relay| heard(&net, *relay, alice).len()).collect();
    let mean = shares.iter().sum::<usize>() / shares.len();
    assert!((2..=6).contains(&mean), "each value is at twenty of forty: {shares:?}");

    let order = net.withdraw(alice, &names[3]);
    net.wait(order).expect("a quorum hears of it");
    net.run_for(1.s());
    for relay in &places {
        assert!(heard(&net, *relay, alice).contains(&(names[3].clone(), true)), "relay {relay:?}");
    }
}

#[test]
fn what_others_bring_along_is_no_statement_of_theirs() {
    let mut net = Net::new(2);
    let a = net.relay();
    let b = net.relay_knowing(&[a]);
    let alice = net.client(&[a]);
    let order = net.provide(alice, "chess");
    net.wait(order).expect("two relays are there");
    // A relay that joins later is given the values by the others; the provider cannot reach it.
    let c = net.relay_knowing(&[a, b]);
    net.cut(alice, c);
    net.cut(c, alice);
    let holds = |net: &Net| net.bundle(c, &"chess".parse().expect("a name")).is_some();
    assert!(net.run_until(60.s(), holds), "it becomes a holder");
    assert!(heard(&net, a, alice).contains(&("chess".to_owned(), false)));
    assert_eq!(heard(&net, c, alice), BTreeSet::new());
}
