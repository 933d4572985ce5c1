//! A service offered by one node is found by others, quickly, whoever is silent.

use std::time::Duration;

use openred_sim::{
    Net, NodeId, Time,
    core::{
        dht::key::{Key, Position},
        find::Layer,
        name::NetworkName,
    },
};

/// Three relays that know the first, and a client of each of the last two.
fn three_relays(seed: u64) -> (Net, [NodeId; 3], NodeId, NodeId) {
    let mut net = Net::new(seed);
    let a = net.relay();
    let b = net.relay_knowing(&[a]);
    let c = net.relay_knowing(&[a]);
    let alice = net.client(&[b, c, a]);
    let bob = net.client(&[c, a, b]);
    (net, [a, b, c], alice, bob)
}

#[test]
fn a_client_of_another_relay_finds_it_in_the_dht() {
    let mut net = Net::new(1);
    let a = net.relay();
    let b = net.relay_knowing(&[a]);
    let alice = net.client(&[a]);
    let bob = net.client(&[b]);
    net.provide(alice, "chess");
    assert!(net.run_until_idle_or(10.s()));
    net.join(bob).expect("b serves");
    let found = net.find(bob, "chess");
    assert_eq!(found.layer, Some(Layer::Dht));
    assert_eq!(found.records.len(), 1);
    assert_eq!(found.records[0].record.provider, net.peer(alice));
    assert!(!found.records[0].record.endpoints.is_empty(), "a record says where its provider is reached");
    let one = format!("chess@{}", net.peer(alice));
    assert_eq!(net.providers(bob, &one), [alice]);
    let nobody = format!("chess@{}", net.peer(bob));
    assert_eq!(net.providers(bob, &nobody), []);
    assert_eq!(net.find(alice, "chess").layer, Some(Layer::Own));
}

#[test]
fn an_unknown_name_is_empty_and_quick() {
    for seed in 0..20 {
        let (mut net, _, _, bob) = three_relays(seed);
        net.join(bob).expect("relays are there");
        let order = net.seek(bob, "nothing");
        let answer = net.wait(order).expect("asking works");
        assert!(format!("{answer:?}").contains("records: []"));
        let took = net.took(order).expect("answered");
        assert!(took < 100.ms(), "seed {seed}: {took:?} at 10 ms a round trip");
    }
}

/// Times of finds of a known and an unknown name, after each of the pauses since one of three relays failed.
fn finds_beside(fail: impl Fn(&mut Net, NodeId), pauses: &[Duration]) -> Vec<Duration> {
    let mut took: Vec<Duration> = Vec::new();
    for seed in 0..60 {
        let (mut net, relays, alice, bob) = three_relays(seed);
        net.provide(alice, "chess");
        net.join(bob).expect("relays are there");
        assert!(net.run_until_idle_or(10.s()));
        net.run_for(Duration::from_millis(seed * 37 % 4000));
        fail(&mut net, relays[seed as usize % 3]);
        for pause in pauses {
            net.run_for(*pause);
            for (name, providers) in [("chess", 1), ("nothing", 0)] {
                let order = net.seek(bob, name);
                let answer = format!("{:?}", net.wait(order).expect("two relays answer"));
                assert_eq!(answer.matches("FoundRecord").count(), providers, "seed {seed}: {name} after {pause:?}");
                took.push(net.took(order).expect("answered"));
            }
        }
    }
    took.sort();
    took
}

#[test]
fn a_silent_relay_does_not_hold_finds_up() {
    // At once, while pings go unanswered, and after the link is given up.
    let took = finds_beside(Net::silence, &[0.ms(), 700.ms(), 5.s(), 10.s(), 20.s(), 60.s()]);
    let p95 = took[took.len() * 95 / 100];
    assert!(p95 < 500.ms(), "p95 of {} finds is {p95:?}, the slowest {:?}", took.len(), took.last());
}

#[test]
fn the_first_find_after_a_link_was_given_up_does_not_wait_for_a_dial() {
    for pause in [10.s(), 22.s(), 24.s(), 40.s(), 90.s()] {
        let took = finds_beside(Net::silence, &[pause]);
        let p95 = took[took.len() * 95 / 100];
        assert!(p95 < 500.ms(), "{pause:?} after the silence began, p95 of {} finds is {p95:?}", took.len());
    }
}

#[test]
fn a_relay_whose_machine_is_gone_does_not_hold_finds_up() {
    // Its connections end, and nobody is there to refuse a dial.
    let vanish = |net: &mut Net, relay| {
        net.kill(relay);
        net.run_for(20.ms());
        net.silence(relay);
    };
    let took = finds_beside(vanish, &[10.s()]);
    let p95 = took[took.len() * 95 / 100];
    assert!(p95 < 500.ms(), "p95 of {} finds is {p95:?}", took.len());
}

#[test]
fn a_relay_that_was_silent_for_a_while_is_asked_again() {
    let mut net = Net::new(5);
    let a = net.relay();
    let b = net.relay_knowing(&[a]);
    net.run_for(20.s());
    assert_eq!(net.machine(a).stats().routing_table, 1);
    net.silence(b);
    // Nobody answers, and relays notice a dead link only after 40 s.
    let finds: Vec<_> = (0..5).map(|n| net.seek(a, &format!("chess-{n}"))).collect();
    finds.into_iter().for_each(|find| drop(net.wait(find)));
    net.run_for(1.s());
    assert_eq!(net.machine(a).stats().routing_table, 0);
    net.unsilence(b);
    net.run_for(20.s());
    assert_eq!(net.machine(a).stats().routing_table, 1, "a pong says that it lives");
}

#[test]
fn forty_relays_lead_to_the_closest_holders() {
    let mut net = Net::new(40);
    let first = net.relay();
    let second = net.relay_knowing(&[first]);
    let mut relays = vec![first, second];
    for _ in 2..40 {
        let id = net.relay_knowing(&[first, second]);
        relays.push(id);
        net.run_for(200.ms());
    }
    net.run_for(60.s());
    let alice = net.client(&[relays[5]]);
    let bob = net.client(&[relays[33]]);
    net.join(bob).expect("relays are there");
    for name in ["chess", "go", "checkers", "backgammon"] {
        net.provide(alice, name);
        assert!(net.run_until_idle_or(10.s()));
        // Puts beyond the quorum are still on their way.
        net.run_for(1.s());
        let key = Key::service(&NetworkName::default(), &name.parse().expect("a name"));
        let mut by_distance = relays.clone();
        by_distance.sort_by_key(|relay| key.position().distance(&Position::of_peer(&net.peer(*relay))));
        let holds = |relay: &NodeId| net.machine(*relay).store().value(&key).is_some();
        let right = by_distance[..20].iter().filter(|relay| holds(relay)).count();
        assert!(right >= 19, "{right} of the 20 closest relays hold {name}");
        assert!(by_distance[..5].iter().all(holds), "the closest relays of all hold {name}");
        assert_eq!(net.providers(bob, name), [alice]);
    }
}

#[test]
fn find_waits_for_the_node_to_join_and_rejects_only_if_it_cannot_ask() {
    let mut net = Net::new(3);
    let a = net.relay();
    let alice = net.client(&[a]);
    net.provide(alice, "chess");
    assert!(net.run_until_idle_or(10.s()));
    let bob = net.client(&[a]);
    assert_eq!(net.providers(bob, "chess"), [alice], "a find before joining waits for it");
    net.kill(a);
    net.run_for(1.s());
    let error = net.try_find(bob, "go").expect_err("nobody can be asked");
    assert_eq!(error.code(), "NO_RELAY");
}
