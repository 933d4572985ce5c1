//! A node joins through whatever relay is there, and says why the others are not.

use std::time::Duration;

use openred_sim::{
    Net, NodeId, Time,
    core::{
        Config, Error,
        bootstrap::BootstrapList,
        event::{Event, JoinStage, State},
    },
};

/// Sets a bootstrap list of these lines.
fn listing(lines: &[String]) -> impl FnOnce(&mut Config) + use<> {
    let (list, rejected) = BootstrapList::parse(&lines.join("\n"), false);
    assert_eq!(rejected, []);
    |config| config.bootstrap = list
}

/// When each dial of a node to a relay began, from the start of the world.
fn dials(net: &Net, id: NodeId) -> Vec<Duration> {
    let dial = |event: &Event| matches!(event, Event::Join(step) if step.stage == JoinStage::Dialling);
    net.events(id).iter().filter(|(_, event)| dial(event)).map(|(at, _)| *at).collect()
}

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

#[test]
fn a_list_of_liars_costs_little_and_holds_no_good_entry_up() {
    for seed in 0..10 {
        let mut net = Net::new(seed);
        let good = net.relay();
        let mut lines: Vec<String> = vec![format!("* {}", net.address(good))];
        // Nobody there, silent ones, another network, and somebody else than the list says.
        lines.extend((1..=20).map(|host| format!("/ip4/10.77.0.{host}/tcp/80/ws")));
        for _ in 0..20 {
            let silent = net.relay();
            net.silence(silent);
            lines.push(net.address(silent).to_string());
        }
        for _ in 0..5 {
            let other = net.relay_with(&[], |config| config.network = "elsewhere".parse().expect("a name"));
            lines.push(net.address(other).to_string());
        }
        let somebody = net.relay();
        lines.push(format!("{}/p2p/{}", net.address(somebody), net.peer(good)));
        let began = net.now();
        let alice = net.client_with(&[], listing(&lines));
        let order = net.ready(alice);
        net.wait(order).unwrap_or_else(|error| panic!("seed {seed}: one relay is good: {error}"));
        // At worst it is the last of 47 by lot, with twenty silent ones before it.
        assert!(net.took(order).expect("answered") < 15.s(), "seed {seed}: {:?}", net.took(order));
        net.run_for(5.mins());
        assert!(net.is_ready(alice));
        let dials = dials(&net, alice);
        let busiest = dials.iter().map(|from| dials.iter().filter(|at| (*from..*from + 1.s()).contains(at)).count());
        assert!(busiest.max() <= Some(5), "seed {seed}: at most four a second");
        assert!(dials.len() < 300, "seed {seed}: {} dials in five minutes", dials.len());
        let hopeless = |event: &&(Duration, Event)| match &event.1 {
            Event::Join(step) => matches!(step.stage, JoinStage::Failed { code: "WRONG_NETWORK", .. }),
            _ => false,
        };
        assert!(net.events(alice).iter().filter(hopeless).count() <= 5, "another network is tried once");
        assert!(began + 6.mins() > net.now());
    }
}

#[test]
fn the_own_region_comes_first_and_enough_is_enough() {
    for seed in 0..20 {
        let mut net = Net::new(seed);
        let relays: Vec<_> = (0..30).map(|_| net.relay()).collect();
        let region = |index: usize| ["eu", "us", "asia"][index % 3];
        let lines =
            relays.iter().enumerate().map(|(index, relay)| format!("{} {}", region(index), net.address(*relay)));
        let lines: Vec<_> = lines.collect();
        let alice = net.client_with(&[], |config| {
            listing(&lines)(config);
            config.region = "US".to_owned();
        });
        net.join(alice).expect("all relays are there");
        net.run_for(30.s());
        let connected: Vec<_> = net.machine(alice).peers().iter().filter_map(|peer| net.node(&peer.peer)).collect();
        assert!((3..6).contains(&connected.len()), "seed {seed}: {} connections", connected.len());
        let there =
            connected.iter().filter(|relay| relays.iter().position(|known| known == *relay).map(region) == Some("us"));
        assert!(there.count() >= 3, "seed {seed}: {connected:?}");
    }
}

#[test]
fn a_list_at_a_url_is_fetched_only_when_it_is_needed() {
    const URL: &str = "https://lists.example/relays.txt";
    let mut net = Net::new(8);
    let a = net.relay();
    let lists = |config: &mut Config| config.lists = vec![URL.to_owned()];
    let alice = net.client_with(&[], lists);
    let failure = |net: &mut Net| {
        let order = net.ready(alice);
        assert!(net.run_until_idle_or(11.s()));
        net.answer(order).expect("answered").expect_err("no relay can be known")
    };
    let error = failure(&mut net);
    assert_eq!(error.code(), "NO_RELAY");
    assert!(error.to_string().contains(URL), "{error}");

    net.publish_list(URL, "<html>this is not the page you are looking for</html>");
    net.run_for(1.mins());
    let error = failure(&mut net);
    assert!(error.to_string().contains("names no relay; line 1"), "{error}");
    net.publish_list(URL, "# nothing here yet");
    net.run_for(3.mins());
    let error = failure(&mut net);
    assert!(error.to_string().contains("it is empty"), "{error}");

    let address = net.address(a).to_string();
    net.publish_list(URL, &format!("eu {address}\nnonsense\n"));
    assert!(net.run_until(5.mins(), |net| net.is_ready(alice)), "the longest pause is five minutes");
    let warnings = net.warnings(alice, "INVALID_ADDRESS");
    assert!(warnings.len() == 1 && warnings[0].contains("line 2"), "{warnings:?}");

    let bob = net.client_with(&[], lists);
    let order = net.ready(bob);
    net.wait(order).expect("the list is there");
    assert!(net.took(order).expect("answered") < 1.s());
}

#[test]
fn no_relay_at_all_is_a_clear_reason_and_reasons_stay_short() {
    let mut net = Net::new(9);
    let nobody = net.client(&[]);
    let order = net.ready(nobody);
    let error = net.wait(order).expect_err("nobody to ask");
    assert!(net.took(order).expect("answered") < 1.s(), "waiting would not help");
    assert!(error.to_string().contains("no relay is configured, listed or remembered"), "{error}");

    let lines: Vec<_> = (0..200).map(|host| format!("/ip4/10.77.1.{host}/tcp/80/ws")).collect();
    let dead: Vec<_> = (0..8).map(|_| net.relay()).collect();
    dead.iter().for_each(|relay| net.kill(*relay));
    let alice = net.client_with(&dead, listing(&lines));
    let error = net.join(alice).expect_err("all are dead").to_string();
    assert!(error.contains("4 more configured relays, of which 4 failed"), "{error}");
    assert!(error.contains("of 200 listed relays failed"), "{error}");
    assert!(error.len() < 1000, "{} bytes: {error}", error.len());
}

#[test]
fn the_first_relay_of_a_list_that_names_itself_is_a_network() {
    let mut net = Net::new(10);
    let a = net.relay();
    let own = net.address(a).to_string().replace(".1/", ".2/");
    let alone = net.relay_with(&[], listing(std::slice::from_ref(&own)));
    assert_eq!(net.address(alone).to_string(), own);
    assert!(net.run_until(5.s(), |net| net.is_ready(alone)), "there is nobody else to wait for");
    let next = net.relay_with(&[], listing(&[own]));
    net.join(next).expect("the first one is there");
}

#[test]
fn cold_over_an_ocean_and_warm_next_door() {
    let mut net = Net::new(11);
    net.latency.base = 150.ms();
    let relays: Vec<_> = (0..3).map(|_| net.relay()).collect();
    net.silence(relays[0]);
    net.kill(relays[1]);
    let alice = net.client(&relays);
    let order = net.ready(alice);
    net.wait(order).expect("one relay lives");
    assert!(net.took(order).expect("answered") < 10.s(), "cold: {:?}", net.took(order));

    let mut net = Net::new(12);
    net.latency.base = 100.ms() / 1000;
    let first = net.relay();
    let relays: Vec<_> = (0..5).map(|_| net.relay_knowing(&[first])).collect();
    net.run_for(10.s());
    let alice = net.client(&[first]);
    net.join(alice).expect("a relay is there");
    net.run_for(2.mins());
    // Whatever was configured is gone, by death and by silence.
    for (index, relay) in [first, relays[0], relays[1]].into_iter().enumerate() {
        if index == 0 { net.lose(relay) } else { net.kill(relay) }
    }
    net.restart_warm(alice);
    let order = net.ready(alice);
    net.wait(order).expect("three remembered relays live");
    assert!(net.took(order).expect("answered") < 1.s(), "warm: {:?}", net.took(order));
    net.run_for(30.s());
    assert!(net.machine(alice).peers().len() >= 3, "and it finds company");
}
