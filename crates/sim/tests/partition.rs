//! Two halves of a network that meet again become one, and nothing that was withdrawn comes back.

use std::time::Duration;

use openred_sim::{Net, NodeId, Time, core::event::State};

/// Relays that met through one that is gone since, so that nothing they are configured with crosses a cut, and a client of
/// every third.
fn world(seed: u64, count: usize) -> (Net, Vec<NodeId>, Vec<NodeId>) {
    let mut net = Net::new(seed);
    let first = net.relay();
    let mut relays: Vec<NodeId> = Vec::new();
    for _ in 0..count {
        relays.push(net.relay_knowing(&[first]));
        net.run_for(100.ms());
    }
    let clients = (0..count / 3).map(|index| net.client(&[relays[index * 3], relays[index * 3 + 1]])).collect();
    net.run_for(20.s());
    net.kill(first);
    net.run_for(10.s());
    (net, relays, clients)
}

/// Whether everybody in `readers` finds exactly these providers.
fn all_find(net: &mut Net, readers: &[NodeId], expected: &[(&str, Vec<NodeId>)]) -> bool {
    let right = |net: &mut Net, reader: NodeId, name: &str, providers: &[NodeId]| {
        let Ok(found) = net.try_find(reader, name) else { return false };
        let mut found: Vec<_> = found.records.iter().filter_map(|found| net.node(&found.record.provider)).collect();
        found.sort();
        found == providers
    };
    readers.iter().all(|reader| expected.iter().all(|(name, providers)| right(net, *reader, name, providers)))
}

/// Cuts the network into these islands for some time while clients provide and withdraw; how long after the healing
/// everybody finds what is offered, and nothing else.
fn heals(seed: u64, islands: &[usize], cut: Duration) -> Duration {
    let count: usize = islands.iter().sum();
    let (mut net, relays, clients) = world(seed, count);
    // Every island has providers of its own, and each withdraws something that the others know.
    let range = |island: usize| {
        let from: usize = islands[..island].iter().sum();
        from..from + islands[island]
    };
    // Clients know two relays each, the third and its next; islands begin at thirds.
    let members = |island: usize| range(island).step_by(3).map(|relay| clients[relay / 3]).collect();
    let all: Vec<Vec<NodeId>> = (0..islands.len()).map(members).collect();
    let first: Vec<NodeId> = all.iter().map(|members| members[0]).collect();
    for client in &first {
        let old = net.provide_with(*client, "old", |offer| offer.ttl = Some(24.h()));
        net.wait(old).expect("offered");
        let keeps = net.provide_with(*client, "kept", |offer| offer.ttl = Some(24.h()));
        net.wait(keeps).expect("offered");
    }
    net.run_for(5.s());
    for island in 1..islands.len() {
        let mut nodes = relays[range(island)].to_vec();
        nodes.extend(&all[island]);
        net.partition(&nodes);
    }
    net.run_for(cut.min(90.s()));
    for client in &first {
        let new = net.provide_with(*client, "new", |offer| offer.ttl = Some(24.h()));
        let gone = net.withdraw(*client, "old");
        net.run_until_idle_or(11.s());
        for order in [new, gone] {
            net.answer(order).expect("answered").unwrap_or_else(|error| panic!("seed {seed}: {client}: {error}"));
        }
    }
    net.run_for(cut.saturating_sub(90.s()));
    net.heal();
    let healed = net.now();
    let mut providers = first.clone();
    providers.sort();
    let expected = [("kept", providers.clone()), ("new", providers), ("old", Vec::new())];
    let readers: Vec<NodeId> = all.iter().map(|members| members[members.len() - 1]).collect();
    let mut right: Option<Duration> = None;
    // Right for twenty seconds on end is right.
    while net.now() < healed + 80.s() && right.is_none_or(|since| net.now() < healed + since + 20.s()) {
        net.run_for(2500.ms());
        right = if all_find(&mut net, &readers, &expected) { right.or(Some(net.now() - healed)) } else { None };
    }
    for node in relays.iter().chain(&clients) {
        assert_eq!(net.machine(*node).status().state, State::Ready, "seed {seed}: {node}");
    }
    right.unwrap_or(Duration::MAX)
}

fn report(name: &str, islands: &[usize], cut: Duration, seeds: std::ops::Range<u64>) {
    let mut took: Vec<_> = seeds.clone().map(|seed| (heals(seed, islands, cut), seed)).collect();
    took.sort();
    let (worst, seed) = took[took.len() - 1];
    let n = took.len();
    println!(
        "{name}: islands of {islands:?} relays, cut for {cut:?}, n = {n}: whole again {worst:?} after healing at worst"
    );
    assert!(worst < 60.s(), "{name}: seed {seed} took {worst:?}; all: {took:?}");
}

#[test]
fn halves_meet_again() {
    report("50/50", &[9, 9], 100.s(), 0..1);
}

#[test]
fn a_tenth_comes_back() {
    report("90/10", &[18, 3], 100.s(), 0..1);
}

#[test]
fn three_parts_meet_again() {
    report("three-way", &[6, 6, 6], 100.s(), 0..1);
}

#[test]
fn a_cut_shorter_than_any_silence_leaves_links_standing() {
    report("short", &[6, 6], 6.s(), 0..2);
}

#[test]
fn hours_are_not_too_long() {
    report("long", &[3, 3], 4.h(), 0..1);
}

#[test]
fn an_island_that_restarts_in_the_meantime_remembers_the_others() {
    let (mut net, relays, _) = world(3, 8);
    let (here, there) = relays.split_at(4);
    net.run_for(1.mins());
    net.partition(there);
    net.run_for(1.mins());
    for relay in there {
        net.restart_warm(*relay);
    }
    net.run_for(3.mins());
    let met = |net: &Net| {
        here.iter().all(|relay| {
            let peers = net.machine(*relay).peers();
            there.iter().all(|other| peers.iter().any(|known| known.peer == net.peer(*other)))
        })
    };
    assert!(!met(&net));
    net.heal();
    let healed = net.now();
    assert!(net.run_until(60.s(), met), "nobody is configured with anybody of the other island");
    println!("an island of 4 relays that restarted while cut off: whole again {:?} after healing", net.now() - healed);
}
