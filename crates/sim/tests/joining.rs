//! A node joins through whatever relay is there, and says why the others are not.

use openred_sim::{
    Net, Time,
    core::{
        Error,
        event::{Event, JoinStage, State},
    },
};

#[test]
fn one_live_relay_of_three_is_enough() {
    let mut net = Net::new(1);
    let dead = net.relay();
    let silent = net.relay();
    let live = net.relay();
    net.kill(dead);
    net.silence(silent);
    let alice = net.client(&[dead, silent, live]);
    let order = net.ready(alice);
    net.wait(order).expect("one relay lives");
    assert!(net.took(order).expect("answered") < 500.ms(), "nobody waits for the dead");
    net.run_for(30.s());
    let steps = |relay| {
        let relay = net.address(relay).to_string();
        let steps = net.events(alice).iter().filter_map(|(at, event)| match event {
            Event::Join(step) if step.relay == relay => Some((*at, step.stage.clone())),
            _ => None,
        });
        steps.collect::<Vec<_>>()
    };
    let mut told: Vec<_> = steps(live).iter().map(|(_, stage)| stage.as_str()).collect();
    // The DHT and the reservation are asked together.
    told[3..].sort();
    assert_eq!(told, ["dial", "connected", "identified", "dht", "reserved"]);

    let refused = steps(dead);
    let pauses: Vec<_> = refused
        .windows(2)
        .filter(|pair| matches!(pair[1].1, JoinStage::Dialling))
        .map(|pair| (pair[1].0 - pair[0].0, pair[0].1.clone()))
        .collect();
    assert!((5..12).contains(&pauses.len()), "{} attempts in half a minute", pauses.len());
    for (pause, failed) in &pauses {
        let JoinStage::Failed { code, reason, retry_in_ms } = failed else { panic!("{failed:?} before a dial") };
        assert_eq!((*code, reason.as_str()), ("NO_RELAY", "connection refused"));
        assert!((*retry_in_ms..retry_in_ms + 5).contains(&(pause.as_millis() as u64)), "{pause:?} after {failed:?}");
    }
    assert!(pauses.last().expect("several").0 > pauses[0].0 * 8, "the pauses grow");
    let hung = steps(silent);
    assert!(
        hung.iter().any(|(_, stage)| matches!(stage, JoinStage::Failed { reason, .. } if reason.contains("no answer"))),
        "{hung:?}"
    );
}

#[test]
fn a_relay_that_comes_back_is_found_again() {
    let mut net = Net::new(2);
    let a = net.relay();
    net.kill(a);
    let alice = net.client(&[a]);
    let error = net.join(alice).expect_err("the only relay is dead");
    assert_eq!(error.code(), "NO_RELAY");
    assert!(error.to_string().contains("connection refused"), "{error}");
    net.run_for(5.mins());
    net.restart(a);
    assert!(net.run_until(31.s(), |net| net.is_ready(alice)), "the longest pause is half a minute");
    net.kill(a);
    net.run_for(5.s());
    let status = net.machine(alice).status();
    assert_eq!(status.state, State::Offline);
    assert!(status.reason.as_ref().is_some_and(|reason| reason.contains("the connection was lost")), "{status:?}");
    net.restart(a);
    assert!(net.run_until(31.s(), |net| net.is_ready(alice)));
}

#[test]
fn another_network_is_hopeless_at_once_and_silence_is_not() {
    let mut net = Net::new(3);
    let elsewhere = net.relay_with(&[], |config| config.network = "elsewhere".parse().expect("a name"));
    let alice = net.client(&[elsewhere]);
    let order = net.ready(alice);
    let error = net.wait(order).expect_err("no relay of this network");
    assert!(matches!(error, Error::WrongNetwork(_)), "{error:?}");
    assert!(net.took(order).expect("answered") < 1.s(), "trying again would not help");

    let silent = net.relay();
    net.silence(silent);
    let bob = net.client(&[elsewhere, silent]);
    let order = net.ready(bob);
    let error = net.wait(order).expect_err("nobody answers");
    assert_eq!(error.code(), "NO_RELAY");
    assert!(net.took(order).expect("answered") >= 10.s(), "a silent relay may come back");
    net.unsilence(silent);
    assert!(net.run_until(31.s(), |net| net.is_ready(bob)));
}

#[test]
fn a_relay_that_falls_silent_after_it_was_identified_does_not_hold_joining_up() {
    for seed in 0..40 {
        let mut net = Net::new(seed);
        let near = net.relay();
        let far = net.relay();
        let alice = net.client(&[near, far]);
        net.latency.between(alice, far, 150.ms());
        let near_peer = net.peer(near);
        let identified =
            |net: &Net| net.machine(alice).peers().iter().any(|p| p.peer == near_peer && !p.roles.is_empty());
        assert!(net.run_until(5.s(), identified));
        net.silence(near);
        let order = net.ready(alice);
        net.wait(order).unwrap_or_else(|error| panic!("seed {seed}: the far relay answers: {error}"));
        assert!(net.took(order).expect("answered") < 4.s(), "seed {seed}: {:?}", net.took(order));
    }
}

#[test]
fn a_relay_in_its_own_list_does_not_mind() {
    let mut net = Net::new(5);
    let a = net.relay();
    let b = net.relay_knowing(&[a]);
    let own = net.address(b).to_string();
    let c = net.relay_with(&[a], |config| {
        // The next relay's address, which is its own.
        let own = own.replace(".2/", ".3/");
        config.relays.push(openred_sim::core::address::RelayAddress::parse(&own, false).expect("an address"));
    });
    assert!(net.address(c).to_string().contains(".3/"));
    net.join(c).expect("a is there");
    net.run_for(5.mins());
    assert!(net.is_ready(c));
}
