//! What a node remembers outlives it, and nothing that is wrong with a memory keeps a node from starting.

use std::time::Duration;

use openred_sim::{Net, NodeId, Time, core::find::Layer};

/// Two relays, a provider of "chess", and a client that has found it.
fn scene(seed: u64) -> (Net, [NodeId; 2], NodeId, NodeId) {
    let mut net = Net::new(seed);
    let a = net.relay();
    let b = net.relay_knowing(&[a]);
    let alice = net.client(&[a, b]);
    let bob = net.client(&[a, b]);
    let order = net.provide(alice, "chess");
    net.wait(order).expect("relays are there");
    net.join(bob).expect("relays are there");
    net.run_for(5.s());
    assert_eq!(net.providers(bob, "chess"), [alice]);
    (net, [a, b], alice, bob)
}

#[test]
fn a_second_visit_answers_from_its_memory_while_nobody_can_be_reached() {
    let (mut net, relays, alice, bob) = scene(1);
    net.run_for(40.s());
    net.kill(bob);
    relays.iter().for_each(|relay| net.kill(*relay));
    net.run_for(60.s());
    net.restart_warm(bob);
    let found = net.find(bob, "chess");
    assert_eq!((found.layer, net.providers_of(&found)), (Some(Layer::Cache), vec![alice]));
    assert!(found.elapsed < 150.ms(), "{:?}", found.elapsed);
    assert_eq!(net.machine(bob).stats().remembered_peers, 2);
    net.restart(bob);
    assert_eq!(net.try_find(bob, "chess").expect_err("a cold start knows nobody").code(), "NO_RELAY");
}

#[test]
fn a_second_visit_joins_although_every_configured_relay_is_gone() {
    let mut net = Net::new(9);
    let a = net.relay();
    let b = net.relay_knowing(&[a]);
    let c = net.relay_knowing(&[a]);
    let alice = net.client(&[b, c]);
    let bob = net.client(&[a]);
    let order = net.provide(alice, "chess");
    net.wait(order).expect("relays are there");
    net.join(bob).expect("a is there");
    net.run_for(60.s());
    net.kill(bob);
    net.lose(a);
    net.run_for(30.s());
    net.restart_warm(bob);
    let order = net.ready(bob);
    net.wait(order).expect("the others are remembered");
    let took = net.took(order).expect("answered");
    assert!(took < 1.s(), "{took:?}: the dead relay is not waited for");
    let found = net.ask(bob, "chess");
    assert_eq!((found.layer, net.providers_of(&found)), (Some(Layer::Dht), vec![alice]));
    net.restart(bob);
    assert!(net.join(bob).is_err(), "a first visit has nobody else to turn to");
}

#[test]
fn a_reload_within_seconds_is_answered_at_once() {
    let (mut net, _, _, bob) = scene(2);
    let order = net.close(bob);
    net.wait(order).expect("it closes");
    net.run_for(4.s());
    net.restart_warm(bob);
    let order = net.seek(bob, "chess");
    assert_eq!(net.took(order), Some(Duration::ZERO), "the network confirmed it four seconds ago");
}

#[test]
fn closing_writes_everything_down() {
    let (mut net, _, alice, bob) = scene(3);
    // Whatever was written before is older than this find.
    let order = net.provide(alice, "go");
    net.wait(order).expect("relays are there");
    net.find(bob, "go");
    let before = net.memory(bob).map(<[u8]>::to_vec);
    let order = net.close(bob);
    net.wait(order).expect("it closes");
    assert_ne!(net.memory(bob).map(<[u8]>::to_vec), before);
    net.restart_warm(bob);
    let order = net.seek(bob, "go");
    assert_eq!(net.took(order), Some(Duration::ZERO));
}

#[test]
fn a_memory_is_written_soon_and_then_seldom() {
    let mut net = Net::new(4);
    let a = net.relay();
    let alice = net.client(&[a]);
    let bob = net.client(&[a]);
    net.join(bob).expect("the relay is there");
    net.run_for(3.s());
    assert!(net.memory(bob).is_some(), "a short visit is remembered too");
    let mut written = Vec::new();
    let mut last = net.memory(bob).map(<[u8]>::to_vec);
    for n in 0..120 {
        // Each find that finds something is something new.
        net.provide(alice, &format!("n-{n}"));
        net.run_for(1.s());
        net.find(bob, &format!("n-{n}"));
        let memory = net.memory(bob).map(<[u8]>::to_vec);
        if memory != last {
            written.push(net.now());
            last = memory;
        }
    }
    assert!(written.len() >= 3, "{written:?}");
    assert!(written.windows(2).all(|pair| pair[1] - pair[0] >= 28.s()), "{written:?}");
    assert!(last.is_some_and(|memory| memory.len() <= 256 * 1024));
}

#[test]
fn a_memory_that_cannot_be_read_is_set_aside() {
    let (mut net, relays, alice, bob) = scene(5);
    net.run_for(40.s());
    let good = net.memory(bob).expect("written").to_vec();
    let mut damaged = good.clone();
    damaged[good.len() / 2] ^= 1;
    let mut newer = good.clone();
    newer[1] = 2;
    assert_eq!(good[0], 8, "the version comes first");
    let elsewhere = {
        let mut other = Net::new(6);
        let set = |config: &mut openred_sim::core::Config| config.network = "elsewhere".parse().expect("a name");
        let relay = other.relay_with(&[], set);
        let client = other.client_with(&[relay], set);
        other.join(client).expect("the relay is there");
        other.run_for(40.s());
        other.memory(client).expect("written").to_vec()
    };
    let wrong = [
        (Vec::new(), "version 0"),
        (good[..good.len() / 2].to_vec(), "protobuf"),
        (damaged, "damaged"),
        (newer, "version 2"),
        (vec![0; 2 * 1024 * 1024], "at most"),
        (elsewhere, "elsewhere"),
        (b"\xff\xff\xff\xff".to_vec(), "protobuf"),
    ];
    for (bytes, reason) in wrong {
        let before = net.warnings(bob, "STORAGE").len();
        net.restart_with_memory(bob, Some(bytes));
        let warnings = net.warnings(bob, "STORAGE");
        assert_eq!(warnings.len(), before + 1, "{reason}");
        assert!(warnings[before].contains(reason), "{}", warnings[before]);
        net.join(bob).expect("the relays are there");
        assert_eq!(net.providers(bob, "chess"), [alice]);
        net.run_for(3.s());
        assert_ne!(net.memory(bob), None, "it is rebuilt");
    }
    let count = net.warnings(bob, "STORAGE").len();
    net.restart_with_memory(bob, Some(good));
    assert_eq!(net.warnings(bob, "STORAGE").len(), count, "and a good one is taken");
    assert_eq!(net.machine(bob).stats().remembered_peers, relays.len());
}

#[test]
fn what_was_withdrawn_stays_withdrawn_in_a_memory() {
    let (mut net, relays, alice, bob) = scene(7);
    let order = net.withdraw(alice, "chess");
    net.wait(order).expect("stored");
    assert!(net.ask(bob, "chess").records.is_empty());
    let order = net.close(bob);
    net.wait(order).expect("it closes");
    relays.iter().for_each(|relay| net.kill(*relay));
    net.restart_warm(bob);
    let answer = net.try_find(bob, "chess");
    assert!(answer.map_or(true, |found| found.records.is_empty()), "the withdrawal is remembered");
}

#[test]
fn clocks_that_were_set_by_hours_break_nothing() {
    for hours in [-100_000, -48, -3, 3, 48, 100_000_i64] {
        let (mut net, _, alice, bob) = scene(8);
        net.run_for(40.s());
        net.jump_clock(bob, hours * 3_600_000);
        net.run_for(40.s());
        net.restart_warm(bob);
        net.join(bob).expect("relays are there");
        net.run_for(60.s());
        net.restart_warm(bob);
        net.jump_clock(bob, -hours * 3_600_000);
        net.run_for(60.s());
        let found = net.ask(bob, "chess");
        assert_eq!(net.providers_of(&found), [alice], "{hours} hours");
        assert_eq!(net.warnings(bob, "STORAGE"), Vec::<String>::new());
    }
}
