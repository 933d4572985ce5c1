use std::time::Duration;

use super::*;
use crate::{
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
    let config = Config::new(Default::default(), Role::Client, Vec::new());
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
    assert_eq!(dialled(spent, None, &both), both, "nobody knows how it is reached");
    assert_eq!(dialled(spent, Some(WEBSOCKET), &[DIRECT]), [DIRECT], "there is no other way");
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
