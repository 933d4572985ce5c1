use std::time::Duration;

use super::*;
use crate::{
    address::RelayAddress,
    cache::peers::Roles,
    config::{PeerConnections, Role},
};

const WEBSOCKET: &str = "/ip4/192.0.2.1/tcp/80/ws";
const DIRECT: &str = "/ip4/192.0.2.1/udp/80/webrtc-direct";

fn peer(seed: u8) -> PeerId {
    libp2p_identity::Keypair::ed25519_from_bytes([seed; 32]).expect("a key").public().to_peer_id()
}

/// What is dialled of `addresses` when the page has made so many connections and the peer was reached at `proven` before.
fn dialled(made: u32, proven: Option<&str>, addresses: &[&str]) -> Vec<String> {
    dialled_with(made, proven, addresses, &[])
}

fn dialled_with(made: u32, proven: Option<&str>, addresses: &[&str], configured: &[&str]) -> Vec<String> {
    let relays = configured.iter().map(|relay| RelayAddress::parse(relay, false).expect("an address"));
    let mut config = Config::new(Default::default(), Role::Client, relays.collect());
    config.webrtc = true;
    let now = Now { elapsed: Duration::from_secs(100), unix_ms: 1_795_000_000_000 };
    let mut links = Links::default();
    links.connections_made = made;
    let mut cache = Cache::new(&config.cache, &config.network, peer(0));
    if let Some(proven) = proven {
        let roles = Roles { server: true, relay: true };
        cache.peers.met(peer(1), &[proven.parse().expect("an address")], true, roles, None, now);
    }
    let (mut rng, mut outputs, mut orders) = (Rng::with_seed(1), VecDeque::new(), Orders::new());
    let (links, cache, rng, outputs, orders) = (&mut links, &mut cache, &mut rng, &mut outputs, &mut orders);
    let mut cx = Context { now, config: &config, local: peer(0), links, cache, rng, outputs, orders };
    let addresses: Vec<Multiaddr> = addresses.iter().map(|address| address.parse().expect("an address")).collect();
    cx.dial(peer(1), &addresses);
    match cx.outputs.pop_front() {
        Some(Output::Dial { addresses, .. }) => addresses.iter().map(ToString::to_string).collect(),
        None => Vec::new(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn connections_are_not_spent_on_relays_that_are_reached_without() {
    let spent = PeerConnections::default().spare_relays;
    let both = [WEBSOCKET, DIRECT];
    assert_eq!(dialled(0, Some(WEBSOCKET), &both), both);
    assert_eq!(dialled(spent, Some(WEBSOCKET), &both), [WEBSOCKET]);
    assert_eq!(dialled(spent, Some(DIRECT), &both), both, "WebSockets may be blocked");
    assert_eq!(dialled(spent - 1, None, &both), both);
    assert_eq!(dialled(spent, None, &both), [WEBSOCKET], "others name it");
    assert_eq!(dialled(spent, None, &[DIRECT]), [""; 0], "others name it");
    assert_eq!(dialled(spent, Some(WEBSOCKET), &[DIRECT]), [""; 0], "there is another way, which nobody names");
}

#[test]
fn the_last_connections_are_for_configured_relays() {
    let spent = PeerConnections::default().spare_relays;
    let direct = format!("{DIRECT}/certhash/uEiDDq4_xNyDorZBH3TlGazyJdOWSwvo4PUo5YHFMrvDE8g");
    let other = direct.replace("192.0.2.1", "192.0.2.9");
    let named = format!("{direct}/p2p/{}", peer(1));
    assert_eq!(dialled_with(spent, None, &[&direct], &[]), [""; 0]);
    assert_eq!(
        dialled_with(spent, None, &[&direct, &other], &[&direct]),
        std::slice::from_ref(&direct),
        "this address is configured"
    );
    assert_eq!(dialled_with(spent, None, &[&direct, &other], &[&named]), [direct, other], "this relay is");
}

#[test]
fn nobody_but_the_ladder_dials_a_direct_path_behind_a_relay() {
    let circuit = format!("{WEBSOCKET}/p2p/{}/p2p-circuit", peer(2));
    let through = format!("{circuit}/p2p/{}", peer(1));
    let signalled = format!("{circuit}/webrtc");
    assert_eq!(dialled(0, None, &[&signalled, &circuit]), [through]);
    assert_eq!(dialled(0, None, &[&signalled]), [""; 0]);
}

#[test]
fn addresses_behind_a_relay_name_their_target() {
    let relay = format!("{WEBSOCKET}/p2p/{}", peer(2));
    let target = peer(1);
    for (address, expected) in [
        (WEBSOCKET.to_owned(), WEBSOCKET.to_owned()),
        (format!("{WEBSOCKET}/p2p/{target}"), WEBSOCKET.to_owned()),
        (format!("{relay}/p2p-circuit"), format!("{relay}/p2p-circuit/p2p/{target}")),
        (format!("{relay}/p2p-circuit/p2p/{target}"), format!("{relay}/p2p-circuit/p2p/{target}")),
        (format!("{relay}/p2p-circuit/webrtc"), format!("{relay}/p2p-circuit/webrtc/p2p/{target}")),
    ] {
        let completed = complete(&address.parse().expect("an address"), target);
        assert_eq!(completed.to_string(), expected, "{address}");
    }
}
