//! Links are made where they help, mended when they die, and given back when nobody uses them.

use openred_sim::{
    Net, NodeId, Time,
    core::{
        event::{Event, State},
        open::Target,
    },
};

fn relays(net: &mut Net, count: usize) -> Vec<NodeId> {
    let first = net.relay();
    let mut relays = vec![first];
    for _ in 1..count {
        relays.push(net.relay_knowing(&[first]));
        net.run_for(100.ms());
    }
    net.run_for(30.s());
    relays
}

/// Connected relays of a node.
fn linked(net: &Net, id: NodeId) -> Vec<NodeId> {
    let servers = net.machine(id).peers().into_iter().filter(|peer| peer.roles.contains(&"server"));
    servers.filter_map(|peer| net.node(&peer.peer)).collect()
}

#[test]
fn links_of_lookups_are_given_back_and_stay_away() {
    let mut net = Net::new(1);
    let relays = relays(&mut net, 30);
    let alice = net.client(&relays[3..5]);
    net.join(alice).expect("relays are there");
    for name in 0..12 {
        net.find(alice, &format!("name-{name}"));
    }
    let busy = linked(&net, alice).len();
    assert!(busy > 20, "{busy} links: the walks reach most of thirty relays");
    net.run_for(3.mins());
    let quiet = linked(&net, alice);
    assert!((3..=16).contains(&quiet.len()), "{} links are left", quiet.len());
    assert!(relays[3..5].iter().all(|relay| quiet.contains(relay)), "what is configured stays");
    assert_eq!(net.reserved_at(alice).len(), 2);
    assert_eq!(net.machine(alice).status().state, State::Ready);
    let events = net.events(alice).len();
    net.run_for(5.mins());
    let changes = net.events(alice)[events..].iter().filter(|(_, event)| matches!(event, Event::PeerConnected { .. }));
    // One lookup of the own neighbourhood may come by.
    assert!(changes.count() <= 20, "links do not come and go");
    assert_eq!(net.machine(alice).stats().lost, 0, "who was let go is not looked for");
    assert!(relays.iter().all(|relay| net.machine(*relay).stats().lost == 0), "nor does the other side");
}

#[test]
fn of_two_links_to_a_provider_one_stays_and_its_streams_live() {
    for seed in 0..12 {
        let mut net = Net::new(seed);
        let relays = relays(&mut net, 3);
        let alice = net.client(&relays);
        let bob = net.client(&relays);
        for (id, name) in [(alice, "chess"), (bob, "go")] {
            let order = net.provide(id, name);
            net.wait(order).expect("relays are there");
        }
        net.run_for(5.s());
        // Each dials the other through both its relays, at the same moment.
        let opens = [(alice, bob, "go"), (bob, alice, "chess")].map(|(from, to, name)| {
            let target = Target::Peer { peer: net.peer(to), name: name.parse().expect("a name") };
            (net.opening(from, target), to)
        });
        assert!(net.run_until_idle_or(10.s()));
        let links = net.links_between(alice, bob);
        assert!(links > 1, "seed {seed}: {links} links");
        net.run_for(3.mins());
        let left = net.links_between(alice, bob);
        // Those that carry something stay, the others go.
        assert!((1..=2).contains(&left) && left <= links, "seed {seed}: {left} of {links} links are left");
        for (order, to) in opens {
            assert_eq!(net.stream(order), Some(to), "seed {seed}: a stream was cut");
        }
        for (order, _) in opens {
            net.close_stream(order);
        }
        net.run_for(30.s());
        assert_eq!(net.links_between(alice, bob), 1, "seed {seed}: one link is enough for no stream");
        net.run_for(2.mins());
        assert_eq!(net.links_between(alice, bob), 1, "seed {seed}: and not fewer");
    }
}

#[test]
fn a_network_that_loses_a_third_at_once_is_whole_within_half_a_minute() {
    for seed in 0..2 {
        let mut net = Net::new(seed);
        let relays = relays(&mut net, 24);
        let clients: Vec<_> = (0..4).map(|index| net.client(&relays[index * 5..index * 5 + 3])).collect();
        net.run_for(30.s());
        let dead: Vec<NodeId> = relays.iter().copied().step_by(3).collect();
        let live: Vec<NodeId> = relays.iter().copied().filter(|relay| !dead.contains(relay)).collect();
        dead.iter().for_each(|relay| net.lose(*relay));
        let died = net.now();
        let whole = |net: &Net| {
            live.iter().all(|relay| {
                let linked = linked(net, *relay);
                linked.len() >= 15 && linked.iter().all(|other| net.is_alive(*other))
            }) && clients.iter().all(|client| {
                let linked = linked(net, *client);
                linked.len() >= 3 && linked.iter().all(|other| net.is_alive(*other)) && net.is_ready(*client)
            })
        };
        assert!(net.run_until(60.s(), whole), "seed {seed}: it never recovers");
        let took = net.now() - died;
        println!("seed {seed}: a third of 24 relays fell silent; links are whole after {took:?}");
        assert!(took < 30.s(), "seed {seed}: {took:?}");
    }
}

#[test]
fn clocks_that_jump_hours_neither_storm_nor_stop_the_search() {
    for hours in [-5i64, 5] {
        let mut net = Net::new(7);
        let relays = relays(&mut net, 10);
        net.kill(relays[0]);
        let (here, there) = relays[1..].split_at(4);
        net.run_for(30.s());
        net.partition(there);
        net.run_for(2.mins());
        for relay in &relays[1..] {
            net.jump_clock(*relay, hours * 3_600_000);
        }
        let dials = |net: &Net| relays[1..].iter().map(|relay| net.traffic(*relay).dials).sum::<u64>();
        let before = dials(&net);
        net.run_for(1.mins());
        let made = dials(&net) - before;
        assert!(made <= 9 * 12, "{hours} h: {made} dials of nine relays in a minute");
        assert!(made >= 9 * 3, "{hours} h: only {made} dials of nine relays in a minute");
        net.heal();
        let met = |net: &Net| here.iter().all(|relay| linked(net, *relay).len() == 8);
        assert!(net.run_until(60.s(), met), "{hours} h: they meet again");
    }
}
