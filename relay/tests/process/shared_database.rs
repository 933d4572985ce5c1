//! Several relays with one PostgreSQL database: one directory.

use std::io::{BufRead, BufReader, Write};

use serde_json::Value;

use crate::{
    postgres::Server,
    support::{PATIENCE, Process, Relay, connect, until},
};

/// Two relays that know nothing of each other but the database.
struct Pair {
    server: Server,
    a: Relay,
    b: Relay,
    _data: [tempfile::TempDir; 2],
}

impl Pair {
    fn start() -> Self {
        let server = Server::start();
        let url = server.database("directory");
        let data = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let instance = |data: &tempfile::TempDir| Relay::start(data.path(), &["--database", &url]);
        Self { a: instance(&data[0]), b: instance(&data[1]), server, _data: data }
    }
}

/// Offers `name` at a relay; the provider's peer id.
fn provide(relay: &Relay, name: &str) -> (Process, String) {
    let process = Process::start(&["provide", name, "--echo", "--json", "--bootstrap", &relay.http]);
    let record: Value = serde_json::from_str(&process.line()).unwrap();
    (process, record["provider"].as_str().unwrap().to_owned())
}

fn is_active(relay: &Relay, peer: &str) -> bool {
    let node = relay.get(&format!("/v1/nodes/{peer}"));
    node.status == 200 && node.json()["state"] == "active"
}

fn offers(relay: &Relay, name: &str, peer: &str) -> bool {
    let found = relay.get(&format!("/v1/services/{name}")).json();
    found["services"].as_array().unwrap().iter().any(|service| service["provider"] == peer)
}

/// The events of a relay's watch from here on.
fn watch(relay: &Relay) -> impl Iterator<Item = Value> + use<> {
    let mut stream = connect(&relay.http);
    write!(stream, "GET /v1/watch HTTP/1.1\r\nhost: {}\r\n\r\n", relay.host()).unwrap();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("watching")), "the watch begins");
    lines.filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok())
}

#[test]
fn what_is_registered_at_one_instance_is_seen_at_the_other_and_outlives_the_first() {
    let pair = Pair::start();
    let mut changes = watch(&pair.b);
    let (_alice, alice) = provide(&pair.a, "chess");
    until("the other instance knows the node", || is_active(&pair.b, &alice));
    until("and what it offers", || offers(&pair.b, "chess", &alice));
    let published = changes.find(|change| change["type"] == "service:published").unwrap();
    assert_eq!((&published["peerId"], &published["name"]), (&alice.as_str().into(), &"chess".into()));

    let Pair { server, mut a, b, _data } = pair;
    a.process.signal("KILL");
    a.process.code(PATIENCE);
    assert!(offers(&b, "chess", &alice), "what the dead instance acknowledged stays");
    let (_bob, bob) = provide(&b, "go");
    until("the other instance goes on", || offers(&b, "go", &bob) && is_active(&b, &bob));
    changes.find(|change| change["name"] == "go").unwrap();

    server.stop();
    until("without its database an instance says so", || b.get("/v1/services?text=go").status == 503);
    assert!(is_active(&b, &bob), "what is in memory is told on");
    server.resume();
    until("and is back with it", || b.get("/v1/services?text=go").status == 200);
    let (_carol, carol) = provide(&b, "draughts");
    until("new nodes are registered again", || is_active(&b, &carol));
    b.process.stop();
}
