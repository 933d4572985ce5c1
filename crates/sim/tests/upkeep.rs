//! What is offered stays findable for as long as it is offered, and no longer.

use std::time::Duration;

use openred_sim::{
    Net, NodeId, Time,
    core::{Config, Outcome, event::Event, find::Found, publish::OfferPatch},
};

fn relays(net: &mut Net, count: usize) -> Vec<NodeId> {
    relays_with(net, count, |_| {})
}

fn relays_with(net: &mut Net, count: usize, set: impl Fn(&mut Config)) -> Vec<NodeId> {
    let first = net.relay_with(&[], &set);
    let mut relays = vec![first];
    relays.extend((1..count).map(|_| net.relay_with(&[first], &set)));
    relays
}

fn patch(value: &str) -> OfferPatch {
    OfferPatch { metadata: Some([("room".to_owned(), value.to_owned())].into()), ..OfferPatch::default() }
}

fn room(found: &Found) -> Option<&str> {
    found.records.first()?.record.metadata.get("room").map(String::as_str)
}

#[test]
fn provide_ends_only_when_reserved_and_held_by_a_quorum() {
    let mut net = Net::new(1);
    let relays = relays(&mut net, 3);
    for relay in &relays {
        net.set_places(*relay, 0);
    }
    let alice = net.client(&relays);
    net.join(alice).expect("relays are there");
    let order = net.provide(alice, "chess");
    net.run_for(5.s());
    assert!(net.is_pending(order), "without a reservation nobody could reach it");
    assert_eq!(net.machine(relays[0]).stats().stored_services, 0);
    net.set_places(relays[1], 10);
    net.wait(order).expect("a relay has a place");
    assert_eq!(net.reserved_at(alice), [relays[1]]);
    let holders = relays.iter().filter(|relay| net.machine(**relay).stats().stored_services == 1).count();
    assert!(holders >= 2, "{holders} of three hold it");

    net.set_places(relays[1], 0);
    let bob = net.client(&relays);
    let order = net.provide(bob, "go");
    let error = net.wait(order).expect_err("no relay has a place");
    assert_eq!(error.code(), "TIMEOUT");
    assert!(error.to_string().contains("reservation"), "{error}");
    net.run_for(60.s());
    assert_eq!(net.providers(bob, "go"), [], "what was given up is not offered");
}

#[test]
fn a_reader_repairs_a_stale_holder() {
    let mut net = Net::new(2);
    // Neither do relays give each other values here, nor does the provider look for its holders: they would mend it before.
    let relays = relays_with(&mut net, 3, |config| config.repair_rate = 0);
    let alice = net.client_with(&relays[..2], |config| config.check = 24.h());
    let bob = net.client(&relays);
    let order = net.provide_with(alice, "chess", |offer| offer.metadata = patch("old").metadata.expect("some"));
    net.wait(order).expect("relays are there");
    net.run_for(5.s());
    net.partition(&[relays[2]]);
    let order = net.update(alice, "chess", patch("new"));
    net.wait(order).expect("two of three are a quorum");
    net.run_for(60.s());
    net.heal();
    net.run_for(60.s());
    let key = openred_sim::core::dht::key::Key::service(&Default::default(), &"chess".parse().expect("a name"));
    let held = |net: &Net| format!("{:?}", net.machine(relays[2]).store().value(&key));
    assert!(held(&net).contains("old"), "the relay that was away has not heard");
    assert_eq!(room(&net.find(bob, "chess")), Some("new"), "the newest of all answers counts");
    net.run_for(1.s());
    assert!(held(&net).contains("new"), "the reader has told it");
}

#[test]
fn updates_and_withdrawals_are_seen_and_nothing_comes_back() {
    for seed in 0..20 {
        let mut net = Net::new(seed);
        let relays = relays(&mut net, 3);
        let alice = net.client(&relays[..2]);
        let bob = net.client(&relays[1..]);
        let order = net.provide_with(alice, "chess", |offer| offer.metadata = patch("old").metadata.expect("some"));
        net.wait(order).expect("relays are there");
        assert_eq!(room(&net.find(bob, "chess")), Some("old"));
        let order = net.update(alice, "chess", patch("new"));
        net.wait(order).expect("stored");
        assert_eq!(room(&net.ask(bob, "chess")), Some("new"), "seed {seed}");

        net.partition(&[relays[2]]);
        let order = net.withdraw(alice, "chess");
        net.wait(order).expect("two of three are a quorum");
        net.run_for(60.s());
        net.heal();
        net.run_for(90.s());
        assert_eq!(
            net.providers(bob, "chess"),
            [],
            "seed {seed}: one relay still has the offer, the others know better"
        );
        net.run_for(1.s());
        let gone = net.events(bob).iter().any(|(_, event)| matches!(event, Event::RecordGone { .. }));
        assert!(gone, "the reader is told that it was taken back");
        net.kill(relays[0]);
        net.kill(relays[1]);
        net.run_for(1.s());
        let asked = net.ask(bob, "chess");
        assert!(asked.records.is_empty(), "seed {seed}: the stale holder was told by the reader");
    }
}

#[test]
fn a_withdrawal_outlives_every_record_it_withdraws() {
    let mut net = Net::new(4);
    let relays = relays(&mut net, 3);
    let alice = net.client(&relays[..2]);
    let bob = net.client(&relays);
    let order = net.provide_with(alice, "chess", |offer| offer.ttl = Some(2.h()));
    net.wait(order).expect("relays are there");
    net.run_for(10.s());
    net.partition(&[relays[2]]);
    let short = OfferPatch { ttl: Some(1.mins()), ..OfferPatch::default() };
    let order = net.update(alice, "chess", short);
    net.wait(order).expect("stored");
    let order = net.withdraw(alice, "chess");
    net.wait(order).expect("stored");
    net.run_for(30.mins());
    net.heal();
    net.run_for(60.s());
    assert_eq!(net.providers(bob, "chess"), [], "the relay that missed it all still holds the record of two hours");
}

#[test]
fn republishing_keeps_it_findable_over_a_relays_restart() {
    let mut net = Net::new(5);
    let relays = relays(&mut net, 3);
    let alice = net.client(&relays);
    let bob = net.client(&relays);
    let order = net.provide_with(alice, "chess", |offer| offer.ttl = Some(10.mins()));
    net.wait(order).expect("relays are there");
    for minute in 0..30 {
        if minute == 7 {
            net.restart(relays[1]);
        }
        net.run_for(1.mins());
        assert_eq!(net.providers(bob, "chess"), [alice], "minute {minute}");
    }
    for relay in relays {
        assert_eq!(net.machine(relay).stats().stored_services, 1, "every relay has it again");
    }
}

#[test]
fn it_is_gone_at_the_ttl_after_the_provider_died() {
    let mut net = Net::new(6);
    let relays = relays(&mut net, 2);
    let alice = net.client(&relays);
    let bob = net.client(&relays);
    let order = net.provide_with(alice, "chess", |offer| offer.ttl = Some(2.mins()));
    net.wait(order).expect("relays are there");
    net.run_for(20.s());
    net.kill(alice);
    net.run_for(95.s());
    assert_eq!(net.providers(bob, "chess"), [alice], "nobody can know yet");
    net.run_for(10.s());
    assert_eq!(net.providers(bob, "chess"), []);
    net.run_for(1.mins());
    for relay in relays {
        assert_eq!(net.machine(relay).stats().stored_services, 0, "it is not kept either");
    }
}

#[test]
fn reservations_follow_the_relays_that_live() {
    for seed in 0..20 {
        let mut net = Net::new(seed);
        let relays = relays(&mut net, 3);
        let alice = net.client(&relays);
        let bob = net.client(&relays);
        net.join(bob).expect("relays are there");
        let order = net.provide(alice, "chess");
        net.wait(order).expect("relays are there");
        net.run_for(5.s());
        let first = net.reserved_at(alice);
        assert_eq!(first.len(), 2, "seed {seed}");
        let before = net.machine(alice).endpoints();
        net.kill(first[0]);
        net.run_for(5.s());
        let second = net.reserved_at(alice);
        assert_eq!(second.len(), 2, "seed {seed}: the third relay holds one");
        let after = net.machine(alice).endpoints();
        assert_ne!(before, after);
        let found = net.find(bob, "chess");
        assert_eq!(found.records[0].record.endpoints, after, "seed {seed}: the record says so");

        net.kill(second[0]);
        net.kill(second[1]);
        net.run_for(5.s());
        assert_eq!(net.reserved_at(alice), []);
        net.restart(second[1]);
        net.run_for(40.s());
        assert_eq!(net.reserved_at(alice), [second[1]], "seed {seed}: it comes back by itself");
        assert_eq!(net.providers(bob, "chess"), [alice], "seed {seed}: and is published at a relay that forgot it");
    }
}

#[test]
fn a_withdrawal_needs_no_reservation() {
    let mut net = Net::new(8);
    let relays = relays(&mut net, 3);
    let alice = net.client(&relays);
    let bob = net.client(&relays);
    let order = net.provide(alice, "chess");
    net.wait(order).expect("relays are there");
    let holders = net.reserved_at(alice);
    let left: Vec<_> = relays.iter().copied().filter(|relay| !holders.contains(relay)).collect();
    left.iter().for_each(|relay| net.set_places(*relay, 0));
    holders.iter().for_each(|relay| net.kill(*relay));
    net.run_for(1.s());
    assert_eq!(net.reserved_at(alice), []);
    let order = net.withdraw(alice, "chess");
    net.wait(order).expect("the third relay holds the record and is connected");
    assert_eq!(net.providers(bob, "chess"), []);
}

#[test]
fn a_new_offer_supersedes_a_withdrawal_under_way() {
    for seed in 0..20 {
        let mut net = Net::new(seed);
        let relays = relays(&mut net, 3);
        let alice = net.client(&relays);
        let bob = net.client(&relays);
        let order = net.provide(alice, "chess");
        net.wait(order).expect("relays are there");
        net.run_for(5.s());
        // Two holders die between being asked and being told: the withdrawal misses its quorum and is repeated.
        let withdrawal = net.withdraw(alice, "chess");
        net.run_for(25.ms());
        net.kill(relays[0]);
        net.kill(relays[1]);
        net.run_for(Duration::from_millis(seed * 20));
        let offer = net.provide(alice, "chess");
        assert!(net.run_until_idle_or(11.s()));
        net.answer(offer).expect("answered").expect("offered anew");
        net.answer(withdrawal).expect("answered").expect("superseded");
        net.run_for(2.mins());
        assert_eq!(net.providers(bob, "chess"), [alice], "seed {seed}");
    }
}

#[test]
fn a_wall_clock_that_jumps_does_not_lose_own_services() {
    for hours in [5, -5] {
        let mut net = Net::new(9);
        let relays = relays(&mut net, 3);
        let alice = net.client(&relays);
        let bob = net.client(&relays);
        let order = net.provide(alice, "chess");
        net.wait(order).expect("relays are there");
        net.run_for(1.mins());

        // Set wrong, and set right again.
        net.jump_clock(alice, hours * 3_600_000);
        assert_eq!(net.providers(alice, "chess"), [alice], "{hours} h: it knows its own service");
        net.run_for(10.mins());
        assert_eq!(net.providers(alice, "chess"), [alice], "{hours} h: it knows its own service");
        net.jump_clock(alice, -hours * 3_600_000);
        net.run_for(2.mins());
        assert_eq!(net.providers(bob, "chess"), [alice], "{hours} h: and others do when the clock is right");

        // Wrong from the start, and set right.
        let carol = net.client(&relays);
        net.jump_clock(carol, hours * 3_600_000);
        let order = net.provide(carol, "go");
        let outcome = net.wait(order);
        net.jump_clock(carol, -hours * 3_600_000);
        net.run_for(2.mins());
        if let Ok(Outcome::Provided(_)) = outcome {
            assert_eq!(net.providers(bob, "go"), [carol], "{hours} h");
        }

        // A relay that jumps and comes back.
        net.jump_clock(relays[0], hours * 3_600_000);
        net.run_for(5.mins());
        net.jump_clock(relays[0], -hours * 3_600_000);
        net.run_for(2.mins());
        assert_eq!(net.providers(bob, "chess"), [alice], "{hours} h");
    }
}

#[test]
fn everybody_wakes_hours_later() {
    // All wall clocks move while no monotonic clock does, as after a suspended machine's sleep.
    let mut net = Net::new(10);
    let relays = relays(&mut net, 3);
    let alice = net.client(&relays);
    let bob = net.client(&relays);
    let order = net.provide(alice, "chess");
    net.wait(order).expect("relays are there");
    net.run_for(1.mins());
    for id in [alice, bob].iter().chain(&relays) {
        net.jump_clock(*id, 6 * 3_600_000);
    }
    net.run_for(20.s());
    assert_eq!(net.providers(bob, "chess"), [alice]);
}

#[test]
fn a_day_leaves_no_litter() {
    let mut net = Net::new(11);
    // A question each second makes a simulated day long.
    let relays = relays_with(&mut net, 3, |config| config.watch = 1.mins());
    let alice = net.client(&relays);
    let bob = net.client(&relays);
    let order = net.provide(alice, "chess");
    net.wait(order).expect("relays are there");
    let mut sizes: Vec<usize> = Vec::new();
    for hour in 0..24 {
        net.restart(relays[hour % 3]);
        for _ in 0..6 {
            net.run_for(Duration::from_secs(600));
            assert_eq!(net.providers(bob, "chess"), [alice], "hour {hour}");
        }
        // The walk behind the last answer ends.
        net.run_for(5.s());
        sizes.push(format!("{:?}", net.machine(alice)).len() + format!("{:?}", net.machine(bob)).len());
    }
    let (early, late) = (sizes[2..6].iter().max(), sizes[20..].iter().max());
    assert!(late.zip(early).is_some_and(|(late, early)| *late < early + early / 4), "memory over the hours: {sizes:?}");
}
