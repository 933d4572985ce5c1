use super::*;
use crate::boundary::{ConnectionId, Input};

const RELAYED: &str = "/ip4/192.0.2.1/tcp/80/ws/p2p-circuit";
const OWN: &str = "/ip4/192.0.2.2/tcp/80/ws";

fn key(seed: u8) -> Keypair {
    Keypair::ed25519_from_bytes([seed; 32]).expect("a key")
}

/// How many peers the routing table holds after somebody who was met at these addresses has said that he serves the DHT.
fn known(relayed_only: bool, met_at: &[&str]) -> usize {
    let now = Now { elapsed: Duration::from_secs(1), unix_ms: 1_795_000_000_000 };
    let mut config = Config::new(Default::default(), Role::Client, Vec::new());
    (config.webrtc, config.relayed_only) = (true, relayed_only);
    let protocols = vec![config.network.kad_protocol()];
    let peer = key(1).public().to_peer_id();
    let mut machine = Machine::new(config, key(0), 1, now);
    for (id, address) in met_at.iter().enumerate() {
        let address: Multiaddr = address.parse().expect("an address");
        let (relayed, connection) = (crate::address::is_relayed(&address), ConnectionId(id as u64));
        machine.handle_input(Input::Connected { peer, connection, address, relayed, dial: None }, now);
    }
    let addresses = vec![OWN.parse().expect("an address")];
    machine.handle_input(Input::Identified { peer, protocols, addresses }, now);
    machine.stats().routing_table
}

#[test]
fn who_wants_relayed_paths_only_believes_nobody_behind_a_circuit_to_be_a_server() {
    assert_eq!(known(true, &[RELAYED]), 0, "its address would be dialled");
    assert_eq!(known(true, &[OWN]), 1);
    assert_eq!(known(true, &[RELAYED, OWN]), 1);
    assert_eq!(known(false, &[RELAYED]), 1, "others have nothing to hide");
}
