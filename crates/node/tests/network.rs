//! Real nodes over loopback TCP: joining, offering, finding, talking.

use std::{collections::BTreeMap, time::Duration};

use futures::{AsyncReadExt, AsyncWriteExt};
use openred_node::{
    Config, Keypair, Node, RelayLimits, Role,
    core::{
        Error,
        address::RelayAddress,
        find::{FindOptions, Layer},
        name::NetworkName,
        open::Target,
        publish::{Offer, OfferPatch},
    },
};

const LIMIT: Duration = Duration::from_secs(10);

async fn relay(bootstrap: &[&Node]) -> Node {
    let mut config = Config::client(NetworkName::default(), Keypair::generate_ed25519(), addresses(bootstrap));
    config.role = Role::Relay(RelayLimits::default());
    config.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().expect("an address")];
    Node::start(config).await.expect("a relay starts")
}

async fn client(relays: &[&Node]) -> Node {
    let config = Config::client(NetworkName::default(), Keypair::generate_ed25519(), addresses(relays));
    let node = Node::start(config).await.expect("a client starts");
    node.ready(LIMIT).await.expect("it joins");
    node
}

fn addresses(relays: &[&Node]) -> Vec<RelayAddress> {
    relays
        .iter()
        .flat_map(|relay| relay.addresses())
        .map(|address| RelayAddress::parse(&address.to_string(), false).expect("a relay's own address"))
        .collect()
}

/// What the network says in this moment, not what the node remembers.
fn asked_now() -> FindOptions {
    FindOptions { max_age: Duration::ZERO, ..FindOptions::default() }
}

fn offer(name: &str) -> Offer {
    Offer::new(name.parse().expect("a name"))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clients_of_different_relays_find_each_other_and_talk() {
    let first = relay(&[]).await;
    let second = relay(&[&first]).await;
    second.ready(LIMIT).await.expect("the second relay joins the first");
    let (alice, bob) = (client(&[&first]).await, client(&[&second]).await);

    let mut echo = alice.handle("echo".parse().expect("a name")).expect("free");
    let serving = tokio::spawn(async move {
        let mut stream = echo.next().await.expect("a stream");
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.expect("the whole request");
        stream.write_all(&bytes).await.expect("echoed");
        stream.close().await.expect("closed");
        stream.remote_peer()
    });
    let registration = alice.provide(offer("echo")).await.expect("offered");

    let found = bob.find(&"echo".parse().expect("a target"), FindOptions::default()).await.expect("asked");
    assert_eq!(found.layer, Some(Layer::Dht));
    assert_eq!(found.records.iter().map(|found| found.record.provider).collect::<Vec<_>>(), [alice.peer_id()]);

    let target = Target::Name("echo".parse().expect("a target"));
    let mut stream = bob.open(target, LIMIT).await.expect("opened");
    let request = vec![42_u8; 300_000];
    stream.write_all(&request).await.expect("sent");
    stream.close().await.expect("half-closed");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("answered");
    assert_eq!(answer, request);
    assert_eq!(stream.path().as_str(), "relayed");
    assert_eq!(serving.await.expect("served"), bob.peer_id());

    let patch =
        OfferPatch { metadata: Some(BTreeMap::from([("mood".to_owned(), "red".to_owned())])), ..OfferPatch::default() };
    registration.update(patch).await.expect("updated");
    let found = bob.find(&"echo".parse().expect("a target"), asked_now()).await.expect("asked");
    assert_eq!(found.records[0].record.metadata["mood"], "red");

    registration.withdraw().await.expect("withdrawn");
    let found = bob.find(&"echo".parse().expect("a target"), asked_now()).await.expect("asked");
    assert!(found.records.is_empty() && found.layer.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_opened_says_why() {
    let relay = relay(&[]).await;
    let (alice, bob) = (client(&[&relay]).await, client(&[&relay]).await);
    let open = |name: &str| Target::Name(name.parse().expect("a target"));

    let nobody = bob.open(open("nobody-offers-this"), LIMIT).await.expect_err("nobody");
    assert_eq!(nobody.code(), "NOT_FOUND");

    let _offered = alice.provide(offer("mute")).await.expect("offered");
    let mute = bob.open(open("mute"), LIMIT).await.expect_err("offered without a handler");
    assert_eq!(mute.code(), "REFUSED", "{mute}");

    let record = bob.find(&"mute".parse().expect("a target"), FindOptions::default()).await.expect("asked");
    let record = record.records[0].record.clone();
    alice.close().await;
    let gone = bob.open(Target::Record(Box::new(record)), LIMIT).await.expect_err("the provider is gone");
    assert_eq!(gone.code(), "UNREACHABLE", "{gone}");

    bob.clone().close().await;
    assert!(matches!(bob.find(&"mute".parse().expect("a target"), FindOptions::default()).await, Err(Error::Closed)));
    assert_eq!(bob.status().state.as_str(), "closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_cannot_join_names_every_relay_and_reason() {
    let other: NetworkName = "other".parse().expect("a network name");
    let mut config = Config::client(other, Keypair::generate_ed25519(), Vec::new());
    config.role = Role::Relay(RelayLimits::default());
    config.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().expect("an address")];
    let foreign = Node::start(config).await.expect("a relay starts");

    let config = Config::client(NetworkName::default(), Keypair::generate_ed25519(), addresses(&[&foreign]));
    let lost = Node::start(config).await.expect("starts");
    let error = lost.ready(LIMIT).await.expect_err("another network");
    assert_eq!(error.code(), "WRONG_NETWORK", "{error}");

    let nobody = RelayAddress::parse("/ip4/127.0.0.1/tcp/1", false).expect("an address");
    let config = Config::client(NetworkName::default(), Keypair::generate_ed25519(), vec![nobody]);
    let lost = Node::start(config).await.expect("starts");
    let error = lost.ready(Duration::from_millis(500)).await.expect_err("nobody is there");
    assert_eq!(error.code(), "NO_RELAY");
    assert!(error.to_string().contains("/ip4/127.0.0.1/tcp/1"), "{error}");
}
