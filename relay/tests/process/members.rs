//! Nodes that use a relay stand in its directory without speaking HTTP.

use std::fs;

use serde_json::Value;

use crate::support::{PATIENCE, Process, Relay, run, until};

/// A life that fits into a story.
const HASTY: [&str; 2] = ["--lifecycle", "heartbeat=1s,active=3s,pending-first-check=8s,grace=3s"];

/// The state of a node in a relay's directory; empty if it is not there.
fn state(relay: &Relay, peer: &str) -> String {
    let answer = relay.get(&format!("/v1/nodes/{peer}"));
    if answer.status == 200 { answer.json()["state"].as_str().unwrap().to_owned() } else { String::new() }
}

/// Offers "chess" with an identity that is kept; the provider's peer id.
fn provide(relay: &Relay, identity: &str) -> (Process, String) {
    let provide = ["provide", "chess", "--echo", "--json", "--identity", identity, "--bootstrap", &relay.http];
    let provider = Process::start(&provide);
    let record: Value = serde_json::from_str(&provider.line()).unwrap();
    (provider, record["provider"].as_str().unwrap().to_owned())
}

#[test]
fn a_provider_stands_in_the_directory_of_its_relay_is_waited_for_and_is_back_at_once() {
    let home = tempfile::tempdir().unwrap();
    let relay = Relay::start(&home.path().join("data"), &HASTY);
    let identity = home.path().join("provider.key");
    let seeker = run(&["find", "chess", "--bootstrap", &relay.http], b"");
    assert_eq!(seeker.code, Some(1), "{}", seeker.err);

    let (mut provider, peer) = provide(&relay, identity.to_str().unwrap());
    until("the provider is in the directory", || state(&relay, &peer) == "active");
    let node = relay.get(&format!("/v1/nodes/{peer}")).json();
    assert!(node["record"].is_string(), "its addresses are those that it signed: {node}");
    assert!(node["addresses"][0].as_str().unwrap().contains("/p2p-circuit"), "{node}");
    until("its service is found by its words", || {
        relay.get("/v1/services?text=chess").json()["services"][0]["provider"] == peer.as_str()
    });
    let registered = node["registeredAt"].as_u64().unwrap();
    until("its connection is its heartbeat", || {
        let node = relay.get(&format!("/v1/nodes/{peer}")).json();
        assert_eq!(node["state"], "active");
        node["heardAt"].as_u64().unwrap() > registered + 4_000
    });

    provider.signal("KILL");
    provider.code(PATIENCE);
    until("its silence is noticed", || state(&relay, &peer) == "pending-first-check");
    until("a check finds nobody", || state(&relay, &peer) == "failed-first-check");
    assert_eq!(relay.get("/v1/status").json()["brake"], Value::Null, "one that hangs up is no mass silence");

    let (mut provider, same) = provide(&relay, identity.to_str().unwrap());
    assert_eq!(same, peer);
    until("it is back", || state(&relay, &peer) == "active");
    assert_eq!(relay.get(&format!("/v1/nodes/{peer}")).json()["registeredAt"], registered, "nothing was forgotten");
    provider.signal("INT");
    assert_eq!(provider.code(PATIENCE), Some(0), "{}", provider.log());
    until("what it withdrew is gone", || {
        relay.get("/v1/services?text=chess").json()["services"].as_array().unwrap().is_empty()
    });
    until("it ended in good order", || state(&relay, &peer) == "draining");
    assert_eq!(relay.get(&format!("/v1/nodes/{peer}")).json()["registeredAt"], registered, "nothing was forgotten");
    assert_eq!(relay.get("/v1/status").json()["services"], 0);
    let nodes = relay.get("/v1/nodes").json();
    assert_eq!(nodes["nodes"].as_array().unwrap().len(), 1, "who only looked something up left no trace: {nodes}");

    relay.process.stop();
    let left = fs::read_dir(home.path().join("data")).unwrap().map(|entry| entry.unwrap().file_name());
    let log: Vec<_> = left.filter(|name| name.to_string_lossy().starts_with("directory.sqlite-")).collect();
    assert!(log.is_empty(), "the database is closed: {log:?}");
}

#[test]
fn while_the_database_is_locked_connected_nodes_are_heard() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let relay = Relay::start(&data, &HASTY);
    let identity = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    let (_first, first) = provide(&relay, &identity("first.key"));
    until("the first is in the directory", || state(&relay, &first) == "active");
    let locker = rusqlite::Connection::open(data.join("directory.sqlite")).unwrap();
    locker.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (_second, second) = provide(&relay, &identity("second.key"));
    let heard = || relay.get(&format!("/v1/nodes/{first}")).json()["heardAt"].as_u64().unwrap();
    let begun = heard();
    until("its connection is its heartbeat", || {
        assert_eq!(state(&relay, &first), "active");
        heard() > begun + 8_000
    });
    assert_eq!(state(&relay, &second), "", "what is not durable is not told");
    assert_eq!(relay.get("/readyz").json()["status"], "no-database");
    locker.execute_batch("ROLLBACK").unwrap();
    until("the second is registered when it can be", || state(&relay, &second) == "active");
    assert_eq!(relay.get("/readyz").status, 200);
    relay.process.stop();
}
