use super::*;
use crate::{
    address::RelayAddress,
    boundary::{ConnectionId, DialId, Input},
};

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

/// A page with a place at a relay, whose ping came back a moment before it fell asleep.
struct Sleeper {
    machine: Machine,
    relay: PeerId,
    now: Now,
}

/// The link of before, and the one that is made after the wake.
const BEFORE: ConnectionId = ConnectionId(1);
const ANEW: ConnectionId = ConnectionId(2);

impl Sleeper {
    /// It slept for five seconds and is awake.
    fn awake() -> Self {
        let now = Now { elapsed: Duration::from_secs(1), unix_ms: 1_795_000_000_000 };
        let config =
            Config::new(Default::default(), Role::Client, vec![RelayAddress::parse(OWN, false).expect("a relay")]);
        let kad = config.network.kad_protocol();
        let mut machine = Machine::new(config, key(0), 1, now);
        let relay = key(1).public().to_peer_id();
        let dial = dials(&mut machine).pop().expect("the relay is dialled");
        machine.handle_input(connected(relay, BEFORE, dial), now);
        let protocols = vec![kad, "/libp2p/circuit/relay/0.2.0/hop".to_owned()];
        machine.handle_input(Input::Identified { peer: relay, protocols, addresses: Vec::new() }, now);
        machine.handle_input(Input::Reserved { relay }, now);
        let mut sleeper = Self { machine, relay, now };
        sleeper.pong(BEFORE);
        sleeper.pass(Duration::from_secs(5));
        sleeper.outputs();
        sleeper.machine.wake(sleeper.now);
        sleeper
    }

    fn pass(&mut self, time: Duration) {
        self.now.elapsed += time;
        self.now.unix_ms += crate::time::millis(time);
    }

    /// Lets the machine do what it wants to do within `time`.
    fn run(&mut self, time: Duration) {
        let end = self.now.elapsed + time;
        while let Some((at, _)) = self.machine.poll_timeout().filter(|(at, _)| *at <= end) {
            self.pass(at.saturating_sub(self.now.elapsed));
            self.machine.handle_timeout(self.now);
        }
        self.pass(end - self.now.elapsed);
    }

    fn pong(&mut self, connection: ConnectionId) {
        let rtt = Duration::from_millis(20);
        self.machine.handle_input(Input::Ponged { peer: self.relay, connection, rtt }, self.now);
    }

    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.machine.poll_output()).collect()
    }

    /// The links that it gives up.
    fn given_up(&mut self) -> Vec<ConnectionId> {
        let given_up = |output| match output {
            Output::Disconnect { connection } => Some(connection),
            _ => None,
        };
        self.outputs().into_iter().filter_map(given_up).collect()
    }
}

fn connected(peer: PeerId, connection: ConnectionId, dial: DialId) -> Input {
    let address = OWN.parse().expect("an address");
    Input::Connected { peer, connection, address, relayed: false, dial: Some(dial) }
}

fn dials(machine: &mut Machine) -> Vec<DialId> {
    let dial = |output| match output {
        Output::Dial { dial, .. } => Some(dial),
        _ => None,
    };
    std::iter::from_fn(|| machine.poll_output()).filter_map(dial).collect()
}

#[test]
fn after_a_wake_a_dead_link_is_replaced_before_its_time_is_over_and_the_place_at_the_relay_asked_for_again() {
    let mut page = Sleeper::awake();
    page.run(Duration::from_millis(500));
    let dial = dials(&mut page.machine).pop().expect("the relay is dialled once more");
    let relay = page.relay;
    page.machine.handle_input(connected(relay, ANEW, dial), page.now);
    assert_eq!(page.given_up(), [BEFORE]);
    page.machine.handle_input(Input::Disconnected { peer: relay, connection: BEFORE }, page.now);
    assert!(page.outputs().iter().any(|output| matches!(output, Output::Reserve { .. })));
}

#[test]
fn after_a_wake_a_link_that_lives_is_kept_and_one_made_in_vain_given_back() {
    let mut page = Sleeper::awake();
    page.run(Duration::from_millis(500));
    let dial = dials(&mut page.machine).pop().expect("the relay is dialled once more");
    page.pong(BEFORE);
    let relay = page.relay;
    page.machine.handle_input(connected(relay, ANEW, dial), page.now);
    assert_eq!(page.given_up(), [ANEW]);
    page.machine.handle_input(Input::Disconnected { peer: relay, connection: ANEW }, page.now);
    page.run(Duration::from_secs(3));
    assert_eq!(page.given_up(), []);
}

#[test]
fn after_a_wake_who_answers_as_fast_as_ever_is_not_dialled() {
    let mut page = Sleeper::awake();
    page.run(Duration::from_millis(100));
    page.pong(BEFORE);
    page.run(Duration::from_secs(3));
    assert_eq!(dials(&mut page.machine), []);
}

#[test]
fn who_hangs_up_closes_what_browsers_end_without_a_word_and_nothing_else() {
    let mut page = Sleeper::awake();
    for (id, address) in [(5, RELAYED), (6, "/webrtc"), (7, "/ip4/192.0.2.1/tcp/80/ws/p2p-circuit/webrtc")] {
        let address: Multiaddr = address.parse().expect("an address");
        let (peer, relayed) = (key(id).public().to_peer_id(), crate::address::is_relayed(&address));
        let connection = ConnectionId(id.into());
        page.machine.handle_input(Input::Connected { peer, connection, address, relayed, dial: None }, page.now);
    }
    page.outputs();
    page.machine.hang_up(page.now);
    assert_eq!(page.given_up(), [ConnectionId(6), ConnectionId(7)]);
}
