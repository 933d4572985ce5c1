//! A find asks layer by layer, waits for nobody who is late, and says what each layer did.

use std::time::Duration;

use openred_sim::{
    Net, NodeId, Time,
    core::{
        address::RelayAddress,
        find::{Found, Layer, LayerReport, Verdict},
    },
};

/// Three relays that know the first, a provider of "chess" at the last two, and a client that has joined.
fn scene(seed: u64) -> (Net, [NodeId; 3], NodeId, NodeId) {
    let mut net = Net::new(seed);
    let a = net.relay();
    let b = net.relay_knowing(&[a]);
    let c = net.relay_knowing(&[a]);
    let alice = net.client(&[b, c]);
    let bob = net.client(&[c, a]);
    let order = net.provide(alice, "chess");
    net.wait(order).expect("relays are there");
    net.join(bob).expect("relays are there");
    assert!(net.run_until_idle_or(10.s()));
    net.run_for(2.s());
    (net, [a, b, c], alice, bob)
}

fn layer(found: &Found, layer: Layer) -> &LayerReport {
    found.layers.iter().find(|report| report.layer == layer).expect("every layer is told")
}

fn outcomes(found: &Found) -> Vec<&'static str> {
    found.layers.iter().map(|report| report.outcome.as_str()).collect()
}

#[test]
fn every_layer_says_what_it_did() {
    let (mut net, _, alice, bob) = scene(1);
    let found = net.find(bob, "chess");
    assert_eq!(outcomes(&found), ["empty", "empty", "answered", "absent", "not-asked"]);
    assert_eq!((found.layer, layer(&found, Layer::Dht).records), (Some(Layer::Dht), 1));
    assert!(layer(&found, Layer::Dht).took > Duration::ZERO && layer(&found, Layer::Dht).took <= found.elapsed);
    assert!(layer(&found, Layer::SuperNode).outcome.reason().is_some());

    let found = net.find(alice, "chess");
    assert_eq!(found.layer, Some(Layer::Own));
    assert_eq!(outcomes(&found)[0], "answered");

    let story = net.machine(bob).explain_find(&"chess".parse().expect("a name")).expect("it was looked for");
    assert_eq!((story.code, story.layer, story.records), ("FOUND", Some(Layer::Dht), 1));
    assert!(story.reason().contains("dht"), "{}", story.reason());
    let nobody = net.find(bob, "go");
    assert_eq!(outcomes(&nobody)[4], "empty", "directories know more than the DHT, so they are asked at last");
    let story = net.machine(bob).explain_find(&"go".parse().expect("a name")).expect("it was looked for");
    assert_eq!((story.code, story.layer), ("NOBODY", None));
    assert!(net.machine(bob).explain_find(&"checkers".parse().expect("a name")).is_none());
}

#[test]
fn what_was_found_a_moment_ago_is_given_at_once_and_checked_behind() {
    let (mut net, _, alice, bob) = scene(2);
    net.find(bob, "chess");
    net.run_for(1500.ms());
    let order = net.withdraw(alice, "chess");
    net.wait(order).expect("stored");
    net.run_for(500.ms());

    let order = net.seek(bob, "chess");
    let answer = format!("{:?}", net.answer(order).expect("it is answered in the same turn"));
    assert_eq!(net.took(order), Some(Duration::ZERO));
    assert!(answer.contains("layer: Some(Cache)"), "{answer}");
    net.run_for(1.s());
    assert_eq!(net.providers(bob, "chess"), [], "the check behind the answer has seen that it was taken back");
    assert!(net.machine(bob).stats().cache_hits >= 1);
}

#[test]
fn whoever_demands_the_network_gets_it() {
    let (mut net, _, alice, bob) = scene(3);
    net.find(bob, "chess");
    let found = net.ask(bob, "chess");
    assert_eq!((found.layer, outcomes(&found)[1]), (Some(Layer::Dht), "not-asked"));
    let order = net.withdraw(alice, "chess");
    net.wait(order).expect("stored");
    assert!(net.ask(bob, "chess").records.is_empty());
}

#[test]
fn an_old_answer_joins_when_the_network_is_silent() {
    let (mut net, relays, alice, bob) = scene(4);
    net.find(bob, "chess");
    net.run_for(60.s());
    relays.iter().for_each(|relay| net.silence(*relay));
    let order = net.seek(bob, "chess");
    let found = format!("{:?}", net.wait(order).expect("it is remembered"));
    assert!(found.contains("layer: Some(Cache)"), "{found}");
    let took = net.took(order).expect("answered");
    assert!(took >= 60.ms() && took < 100.ms(), "{took:?}: the budget, and a while to settle");
    net.heal();
    net.run_for(30.s());
    let found = net.ask(bob, "chess");
    assert_eq!(net.providers_of(&found), [alice]);
}

#[test]
fn what_comes_after_the_answer_is_there_the_next_time() {
    let mut net = Net::new(5);
    let a = net.relay();
    let b = net.relay_knowing(&[a]);
    let far = net.relay_knowing(&[a]);
    let alice = net.client(&[a, b]);
    let carol = net.client(&[far]);
    let bob = net.client(&[a, b, far]);
    for id in [alice, bob, carol] {
        net.join(id).expect("relays are there");
    }
    net.run_for(10.s());
    // What carol offers reaches the far relay alone, and goes no further.
    for near in [a, b] {
        net.cut(carol, near);
        net.cut(far, near);
    }
    let order = net.provide(alice, "chess");
    net.wait(order).expect("two of three are a quorum");
    net.provide(carol, "chess");
    net.run_for(2.s());
    net.latency.between(bob, far, 400.ms());
    let first = net.ask(bob, "chess");
    assert_eq!(net.providers_of(&first), [alice], "the far relay is not waited for");
    net.run_for(3.s());
    let second = net.find(bob, "chess");
    assert_eq!(second.layer, Some(Layer::Cache), "nobody was asked");
    assert_eq!(net.providers_of(&second), [alice, carol]);
}

#[test]
fn nobody_is_remembered_for_a_second() {
    let (mut net, _, alice, bob) = scene(6);
    assert!(net.find(bob, "go").records.is_empty());
    let walks = net.machine(bob).stats().dht.walks;
    let order = net.seek(bob, "go");
    assert_eq!(net.took(order), Some(Duration::ZERO), "it was asked a moment ago");
    assert_eq!(net.machine(bob).stats().dht.walks, walks);
    let order = net.provide(alice, "go");
    net.wait(order).expect("relays are there");
    let found = net.ask(bob, "go");
    assert_eq!(net.providers_of(&found), [alice]);
    assert_eq!(net.providers(bob, "go"), [alice], "a record ends it");
}

#[test]
fn a_find_before_joining_is_answered_by_a_directory() {
    let (mut net, relays, alice, _) = scene(7);
    let carol = net.client(&relays[..1]);
    let order = net.seek(carol, "chess");
    net.wait(order).expect("the directory answers");
    let story = net.machine(carol).explain_find(&"chess".parse().expect("a name")).expect("it has ended");
    assert_eq!(story.layer, Some(Layer::Directory), "{story:?}");
    assert!(!net.is_ready(carol), "no peer-to-peer link was needed");
    let again = net.find(carol, "chess");
    assert_eq!(net.providers_of(&again), [alice], "what directories say is remembered and asked again");
    net.join(carol).expect("relays are there");
    let one = format!("chess@{}", net.peer(alice));
    assert_eq!(net.ask(carol, &one).layer, Some(Layer::Dht));
}

#[test]
fn a_directory_that_talks_nonsense_is_told_and_harmless() {
    let (mut net, relays, alice, _) = scene(8);
    net.publish_list("http://192.0.2.7:80/v1/bundles/chess", "this is no bundle");
    let liar = RelayAddress::parse("192.0.2.7:80", false).expect("an address");
    let carol = net.client_with(&relays[..1], |config| config.relays.insert(0, liar));
    let order = net.seek(carol, "chess");
    net.wait(order).expect("others answer");
    assert_eq!(net.providers(carol, "chess"), [alice]);
    net.run_for(5.s());
    let warnings = net.warnings(carol, "MISBEHAVED");
    assert!(warnings.iter().any(|warning| warning.contains("http://192.0.2.7:80")), "{warnings:?}");
}

#[test]
fn a_silent_network_is_an_error_that_the_layers_explain() {
    let mut net = Net::new(9);
    let a = net.relay();
    net.kill(a);
    let bob = net.client(&[a]);
    let order = net.seek(bob, "chess");
    assert_eq!(net.wait(order).expect_err("nobody can be asked").code(), "NO_RELAY");
    let story = net.machine(bob).explain_find(&"chess".parse().expect("a name")).expect("it has ended");
    assert_eq!(story.code, "UNANSWERED");
    let directory = story.layers.last().expect("the directories are last");
    let reason = directory.outcome.reason().unwrap_or_default();
    assert_eq!(directory.outcome.as_str(), "failed");
    assert!(reason.contains("connection refused"), "{reason}");
}

#[test]
fn a_popular_name_stays_fresh() {
    let (mut net, _, _, bob) = scene(10);
    for _ in 0..3 {
        net.find(bob, "chess");
        net.run_for(4.s());
    }
    // The first answer is twelve seconds old; it was looked up again after eight.
    let order = net.seek(bob, "chess");
    assert_eq!(net.took(order), Some(Duration::ZERO));
    net.run_for(2.mins());
    let walks = net.machine(bob).stats().dht.walks;
    net.run_for(30.s());
    assert_eq!(net.machine(bob).stats().dht.walks, walks, "what nobody asks for is left alone");
}

#[test]
fn a_crowd_that_asks_for_one_name_is_one_walk() {
    let (mut net, _, alice, bob) = scene(11);
    let walks = net.machine(bob).stats().dht.walks;
    let orders: Vec<_> = (0..100).map(|_| net.seek(bob, "chess")).collect();
    for order in orders {
        net.wait(order).expect("found");
    }
    assert_eq!(net.providers(bob, "chess"), [alice]);
    net.run_for(1.s());
    // One for the crowd, and perhaps one that looks after the neighbourhood.
    assert!(net.machine(bob).stats().dht.walks - walks <= 2);
}

#[test]
fn an_open_asks_the_network_when_all_that_is_remembered_has_gone() {
    let (mut net, relays, alice, bob) = scene(12);
    let carol = net.client(&relays);
    net.join(carol).expect("relays are there");
    assert_eq!(net.providers(bob, "chess"), [alice]);
    net.kill(alice);
    let order = net.provide(carol, "chess");
    net.wait(order).expect("relays are there");
    assert_eq!(net.providers(bob, "chess"), [alice], "the newcomer is not known to the cache");
    assert_eq!(net.open(bob, "chess").expect("the network knows somebody who lives"), carol);
    let found = net.find(bob, "chess");
    let verdicts: Vec<_> =
        found.records.iter().map(|found| (net.node(&found.record.provider), found.verdict)).collect();
    assert_eq!(verdicts, [(Some(carol), Verdict::Up), (Some(alice), Verdict::Suspect)]);
}

#[test]
fn an_open_whose_only_provider_is_gone_says_so_after_asking_again() {
    let (mut net, _, alice, bob) = scene(13);
    net.find(bob, "chess");
    net.kill(alice);
    let error = net.open(bob, "chess").expect_err("nobody else offers it");
    assert_eq!(error.code(), "UNREACHABLE");
    assert!(error.to_string().contains(&net.peer(alice).to_string()), "{error}");
}

#[test]
fn a_walk_that_has_answered_one_find_goes_on_when_another_is_given_up() {
    let mut net = Net::new(31);
    let relays = [net.relay()];
    let alice = net.client(&relays);
    let bob = net.client(&relays);
    let offered = net.provide(alice, "chess");
    net.wait(offered).expect("offered");
    net.join(bob).expect("joined");
    let walks = |net: &Net| net.machine(bob).stats().dht.walks;
    let before = walks(&net);
    // The first find ends by its own time with nothing; the walk has just begun.
    let hasty = net.seek_with(bob, "chess", |options| options.timeout = Duration::from_millis(1));
    let patient = net.seek_with(bob, "chess", |_| ());
    net.wait(hasty).expect("it ends");
    net.cancel(patient);
    net.run_for(2.s());
    assert!(walks(&net) > before, "the walk came to its end");
}
