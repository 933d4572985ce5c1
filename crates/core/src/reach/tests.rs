use std::time::Duration;

use libp2p_identity::{Keypair, PeerId};
use multiaddr::{Multiaddr, Protocol};

use crate::{Config, Error, Input, Machine, Now, OpId, Outcome, Output, Role};

const NOW: Now = Now { elapsed: Duration::from_secs(1), unix_ms: 1_795_000_000_000 };

fn key(number: u8) -> Keypair {
    Keypair::ed25519_from_bytes([number; 32]).expect("32 bytes are a seed")
}

fn peer(number: u8) -> PeerId {
    key(number).public().to_peer_id()
}

fn address(text: &str) -> Multiaddr {
    text.parse().expect("a multiaddr")
}

/// A relay that is reached at these addresses.
fn relay(own: &[&str]) -> Machine {
    let mut machine = Machine::new(Config::new("main".parse().expect("a name"), Role::Relay, vec![]), key(1), 7, NOW);
    for own in own {
        machine.handle_input(Input::Reachable { address: address(own) }, NOW);
    }
    while machine.poll_output().is_some() {}
    machine
}

/// Asks after a peer; the addresses that are dialled, or how it ended at once.
fn ask(machine: &mut Machine, addresses: &[Multiaddr]) -> Result<Vec<Multiaddr>, Result<(), &'static str>> {
    machine.reach(OpId(1), peer(2), addresses, Duration::from_secs(10), NOW);
    while let Some(output) = machine.poll_output() {
        match output {
            Output::Dial { addresses, .. } => return Ok(addresses),
            Output::Done { outcome, .. } => return Err(outcome.map(drop).map_err(|error: Error| error.code())),
            _ => {}
        }
    }
    panic!("nothing came of it");
}

#[test]
fn private_addresses_are_dialled_only_by_relays_that_have_no_others() {
    let (private, public) = (address("/ip4/10.0.0.7/tcp/4001"), address("/ip4/9.9.9.7/tcp/4001"));
    let both = [private.clone(), public.clone()];
    let names = [address("/dns4/node.example/tcp/22"), address("/dnsaddr/node.example")];
    let mut open = relay(&["/ip4/192.0.2.1/tcp/80/ws", "/ip4/10.0.0.1/tcp/80/ws"]);
    assert_eq!(ask(&mut open, &both), Ok(vec![public.clone()]));
    let mut open = relay(&["/dns/relay.example/tcp/443/tls/ws"]);
    assert_eq!(ask(&mut open, std::slice::from_ref(&private)), Err(Err("UNSUPPORTED")), "nothing is said of the peer");
    assert_eq!(ask(&mut open, &names), Err(Err("UNSUPPORTED")), "a name leads wherever its owner wants");
    assert_eq!(ask(&mut relay(&[]), &both), Ok(vec![public.clone()]), "where it is reached itself is not known yet");
    let mut home = relay(&["/ip4/10.0.0.1/tcp/80/ws", "/ip4/127.0.0.1/tcp/80/ws"]);
    assert_eq!(ask(&mut home, &both), Ok(both.to_vec()));
}

#[test]
fn who_is_reached_through_this_relay_alone_is_known_to_be_away() {
    let mut own = relay(&["/ip4/192.0.2.1/tcp/80/ws"]);
    let circuit =
        |relay: u8| address("/ip4/192.0.2.1/tcp/80/ws").with(Protocol::P2p(peer(relay))).with(Protocol::P2pCircuit);
    assert_eq!(ask(&mut own, &[circuit(1)]), Err(Err("UNREACHABLE")));
    assert_eq!(ask(&mut own, &[circuit(1), circuit(3)]), Err(Err("UNSUPPORTED")), "the other relay is not at hand");
    assert_eq!(ask(&mut own, &[]), Err(Err("UNSUPPORTED")));
}

#[test]
fn a_link_of_either_side_answers() {
    let mut own = relay(&["/ip4/192.0.2.1/tcp/80/ws"]);
    let theirs = address("/ip4/9.9.9.7/tcp/4001");
    assert!(ask(&mut own, std::slice::from_ref(&theirs)).is_ok(), "it is dialled");
    let connected = Input::Connected {
        peer: peer(2),
        connection: crate::ConnectionId(1),
        address: theirs.clone(),
        relayed: false,
        dial: None,
    };
    own.handle_input(connected, NOW);
    let done = std::iter::from_fn(|| own.poll_output()).find_map(|output| match output {
        Output::Done { op, outcome } => Some((op, outcome)),
        _ => None,
    });
    assert!(matches!(done, Some((OpId(1), Ok(Outcome::Reached)))), "{done:?}");
    assert_eq!(ask(&mut own, &[]), Err(Ok(())), "whoever is connected is there, wherever it says it is");
}
