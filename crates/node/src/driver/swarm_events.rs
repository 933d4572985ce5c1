//! What the swarm tells, in the words of the machine.

use libp2p::{identify, ping, relay, swarm::SwarmEvent};
use openred_core::{ConnectionId, Error, Input, address::is_relayed, event::Path};

use super::{Connection, Driver, failed_dial, translate};
use crate::{behaviour::BehaviourEvent, platform};

impl Driver {
    pub(super) fn swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        let input = match event {
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.books.next_id += 1;
                let connection = ConnectionId(self.books.next_id);
                let address = translate::remote_address(&endpoint, peer_id, |relay| self.peer_at(relay));
                let relayed = is_relayed(&address);
                let path = if relayed { Path::Relayed } else { Path::Direct };
                let known =
                    Connection { swarm: connection_id, peer: peer_id, address: address.clone(), path, streams: 0 };
                self.books.connections.insert(connection, known);
                self.books.by_swarm.insert(connection_id, connection);
                let dial = self.books.dials.remove(&connection_id);
                self.parts.shared.tell(Input::Connected { peer: peer_id, connection, address, relayed, dial });
                return self.carries_nothing_yet(connection);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, .. } => {
                let Some(connection) = self.books.by_swarm.remove(&connection_id) else { return };
                self.books.connections.remove(&connection);
                self.books.pings.remove(&connection);
                Input::Disconnected { peer: peer_id, connection }
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                let Some(dial) = self.books.dials.remove(&connection_id) else { return };
                failed_dial(dial, translate::dial_failure(&error))
            }
            SwarmEvent::NewListenAddr { listener_id, address } => {
                let own = !self.books.reservations.contains_key(&listener_id);
                if own && self.parts.announce_listeners {
                    self.announce(address.clone());
                }
                if let Some(bound) = self.books.listening.remove(&listener_id) {
                    // Whoever started the node may have gone.
                    let _ = bound.send(Ok(address));
                }
                return;
            }
            SwarmEvent::ListenerClosed { listener_id, reason, .. } => {
                let reason = reason.err().map_or("it was closed".to_owned(), |error| translate::cause(&error));
                if let Some(bound) = self.books.listening.remove(&listener_id) {
                    let _ = bound.send(Err(Error::InvalidOption(format!("cannot listen: {reason}"))));
                }
                let Some(relay) = self.books.reservations.remove(&listener_id) else { return };
                Input::ReservationLost { relay, reason }
            }
            SwarmEvent::Behaviour(event) => match self.behaviour_event(event) {
                Some(input) => input,
                None => return,
            },
            _ => return,
        };
        self.parts.shared.tell(input);
    }

    fn behaviour_event(&mut self, event: BehaviourEvent) -> Option<Input> {
        match event {
            BehaviourEvent::Streams(event) => {
                self.stream_event(event);
                None
            }
            BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => Some(Input::Identified {
                peer: peer_id,
                protocols: info.protocols.iter().map(ToString::to_string).collect(),
                addresses: info.listen_addrs,
            }),
            BehaviourEvent::Ping(ping::Event { peer, connection, result }) => {
                let connection = *self.books.by_swarm.get(&connection)?;
                match result {
                    Ok(rtt) => Some(Input::Ponged { peer, connection, rtt }),
                    Err(error) if translate::no_pings(&error) => None,
                    Err(_) => Some(Input::PingFailed { peer, connection }),
                }
            }
            BehaviourEvent::RelayClient(relay::client::Event::ReservationReqAccepted { relay_peer_id, .. }) => {
                Some(Input::Reserved { relay: relay_peer_id })
            }
            BehaviourEvent::Pages(event) => Some(platform::page_event(event)),
            BehaviourEvent::Relay(event) => {
                platform::count_relayed(&mut self.parts.shared.lock().relayed, &event);
                if let Some((ends, change)) = platform::circuit(&event) {
                    self.circuit(ends, change);
                }
                None
            }
            _ => None,
        }
    }
}
