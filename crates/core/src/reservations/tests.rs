use super::*;
use crate::config::Role;

fn relay(seed: u8) -> PeerId {
    libp2p_identity::Keypair::ed25519_from_bytes([seed; 32]).expect("a key").public().to_peer_id()
}

/// Two relays that hold a place, each with a WebSocket address and one that pages do not dial.
fn held() -> Reservations {
    let mut reservations = Reservations::default();
    for seed in 1..=2 {
        let addresses = ["tcp/80/ws", "udp/80/quic-v1"].map(|rest| format!("/ip4/192.0.2.{seed}/{rest}"));
        let addresses = addresses.iter().map(|address| address.parse().expect("an address")).collect();
        let backoff = Backoff::new(RETRY.0, RETRY.1);
        reservations.relays.insert(relay(seed), Entry { stage: Stage::Held, backoff, addresses });
    }
    reservations
}

fn endpoints(set: impl FnOnce(&mut Config)) -> Vec<String> {
    let mut config = Config::new(Default::default(), Role::Client, Vec::new());
    config.can_dial = |address| !address.to_string().contains("quic");
    set(&mut config);
    let kind = |address: &Multiaddr| {
        let text = address.to_string();
        let transport = if text.contains("quic") { "quic" } else { "ws" };
        let direct = if text.ends_with("/p2p-circuit/webrtc") { "+webrtc" } else { "" };
        format!("{transport}{direct}")
    };
    held().endpoints(&config).iter().map(kind).collect()
}

#[test]
fn a_page_names_direct_paths_behind_the_relayed_ones_that_pages_dial() {
    let relayed = ["ws", "ws", "quic", "quic"];
    assert_eq!(endpoints(|_| {}), relayed);
    assert_eq!(endpoints(|config| config.webrtc = true), ["ws", "ws", "ws+webrtc", "ws+webrtc", "quic", "quic"]);
    let only = |config: &mut Config| (config.webrtc, config.relayed_only) = (true, true);
    assert_eq!(endpoints(only), relayed);
}

#[test]
fn a_wake_asks_a_full_relay_again() {
    let mut reservations = held();
    let until = Duration::from_secs(60);
    reservations.relays.get_mut(&relay(1)).expect("known").stage = Stage::Waiting { until };
    assert_eq!(reservations.next_deadline(2), Some(until));
    reservations.retry_now(Duration::from_secs(5));
    assert_eq!(reservations.next_deadline(2), Some(Duration::from_secs(5)));
    assert_eq!(reservations.count(), 1, "what is held stays");
}
