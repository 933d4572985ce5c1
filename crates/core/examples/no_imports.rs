//! A whole network without a world: one relay, a node that offers a service, and a node that finds it, all in one
//! program that has no input, output, clock or randomness.
//!
//! `cargo xtask test` builds it for wasm32, sees that the module asks for no import at all, and runs it: were core to
//! read a clock or call JavaScript anywhere on these ways, the module could not be started.

use std::{collections::VecDeque, time::Duration};

use libp2p_identity::{Keypair, PeerId};
use multiaddr::{Multiaddr, multiaddr};
use openred_core::{
    Config, ConnectionId, InboundId, Input, Machine, Now, OpId, Outcome, Output, RequestId, Response, Role,
    address::RelayAddress, find::FindOptions, name::NetworkName, publish::Offer,
};

const RELAY: usize = 0;
const PROVIDER: usize = 1;
const SEEKER: usize = 2;

/// How far the clock moves when nothing is left to deliver.
const TICK: Duration = Duration::from_millis(10);

/// Three machines and what is on its way between them.
struct World {
    now: Now,
    machines: Vec<Machine>,
    /// To whom, and what.
    inputs: VecDeque<(usize, Input)>,
    /// Who asked, and under which number, by [`InboundId`].
    asked: Vec<(usize, RequestId)>,
    connections: u64,
    done: Vec<(usize, OpId, Outcome)>,
}

impl World {
    fn new() -> Self {
        let now = Now { elapsed: Duration::ZERO, unix_ms: 1_795_000_000_000 };
        let machine = |role, relays, seed| {
            let config = Config::new(NetworkName::default(), role, relays);
            let keypair = Keypair::ed25519_from_bytes([seed; 32]).expect("32 bytes");
            Machine::new(config, keypair, seed.into(), now)
        };
        let relays = || vec![RelayAddress::parse("192.0.2.1:443", true).expect("an address")];
        let machines = vec![
            machine(Role::Relay, vec![], 1),
            machine(Role::Client, relays(), 2),
            machine(Role::Client, relays(), 3),
        ];
        Self { now, machines, inputs: VecDeque::new(), asked: Vec::new(), connections: 0, done: Vec::new() }
    }

    /// Runs until an order has ended; how.
    fn run_until(&mut self, who: usize, op: OpId) -> Outcome {
        for _ in 0..10_000 {
            for index in 0..self.machines.len() {
                while let Some(output) = self.machines[index].poll_output() {
                    self.carry_out(index, output);
                }
            }
            if let Some((_, _, outcome)) = self.done.iter().find(|(index, done, _)| (*index, *done) == (who, op)) {
                return outcome.clone();
            }
            if let Some((index, input)) = self.inputs.pop_front() {
                self.machines[index].handle_input(input, self.now);
                continue;
            }
            self.now = self.now + TICK;
            for machine in &mut self.machines {
                if machine.poll_timeout().is_some_and(|(due, _)| due <= self.now.elapsed) {
                    machine.handle_timeout(self.now);
                }
            }
        }
        panic!("the order {op:?} of machine {who} never ended");
    }

    fn carry_out(&mut self, from: usize, output: Output) {
        match output {
            Output::Dial { dial, .. } => {
                self.connections += 1;
                let connection = ConnectionId(self.connections);
                for (index, other, dial) in [(from, RELAY, Some(dial)), (RELAY, from, None)] {
                    let (peer, address) = (self.machines[other].local(), address(other));
                    self.inputs
                        .push_back((index, Input::Connected { peer, connection, address, relayed: false, dial }));
                    self.inputs
                        .push_back((index, Input::Identified { peer, protocols: protocols(other), addresses: vec![] }));
                }
            }
            Output::Request { request, peer, message, .. } => {
                let inbound = InboundId(self.asked.len() as u64);
                self.asked.push((from, request));
                let asker = self.machines[from].local();
                self.inputs.push_back((self.index_of(peer), Input::Asked { inbound, peer: asker, message }));
            }
            Output::Respond { inbound, response } => {
                let (asker, request) = self.asked[inbound.0 as usize];
                let input = match response {
                    Response::Message(message) => Input::Answered { request, message },
                    Response::Nothing => Input::Sent { request },
                    Response::Reset => Input::RequestFailed { request, reason: "refused".to_owned() },
                };
                self.inputs.push_back((asker, input));
            }
            Output::Reserve { relay, .. } => self.inputs.push_back((from, Input::Reserved { relay })),
            Output::Done { op, outcome } => self.done.push((from, op, outcome.expect("an order that ends well"))),
            Output::CancelDial { .. } | Output::CancelRequest { .. } | Output::Remember(_) | Output::Event(_) => {}
            other => panic!("nothing in this story leads to {other:?}"),
        }
    }

    fn index_of(&self, peer: PeerId) -> usize {
        self.machines.iter().position(|machine| machine.local() == peer).expect("one of the three")
    }
}

fn address(index: usize) -> Multiaddr {
    multiaddr!(Ip4([192, 0, 2, index as u8 + 1]), Tcp(443_u16), Tls, Ws("/"))
}

fn protocols(index: usize) -> Vec<String> {
    let server = [NetworkName::default().kad_protocol(), "/libp2p/circuit/relay/0.2.0/hop".to_owned()];
    if index == RELAY { server.into() } else { Vec::new() }
}

fn main() {
    let mut world = World::new();
    let limit = Duration::from_secs(10);

    let op = OpId(1);
    world.machines[PROVIDER].provide(op, Offer::new("chess".parse().expect("a name")), limit, world.now);
    assert!(matches!(world.run_until(PROVIDER, op), Outcome::Provided(_)));

    world.machines[SEEKER].find(op, "chess".parse().expect("a name"), FindOptions::default(), world.now);
    let Outcome::Found(found) = world.run_until(SEEKER, op) else { panic!("a find ends with what was found") };
    let providers: Vec<_> = found.records.iter().map(|found| found.record.provider).collect();
    assert_eq!(providers, [world.machines[PROVIDER].local()]);
}
