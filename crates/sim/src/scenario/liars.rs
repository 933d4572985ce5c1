//! DHT servers that lie.
//!
//! | how | what it answers |
//! |---|---|
//! | `junk` | bytes that are no message, messages without meaning, and values that nobody signed |
//! | `closer` | that peers near the key exist whom nobody has ever seen: half of their addresses refuse, half are silent |
//! | `sybil` | nothing, from identities ground to be the closest to the keys of services; each names the others |
//! | `replay` | what stood under a key when the liars came, for ever, withdrawn or not |

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use fastrand::Rng;
use libp2p_identity::{Keypair, PeerId};
use multiaddr::{Multiaddr, Protocol};
use openred_core::{
    Response as Reply,
    dht::key::Position,
    wire::kad::{PeerAddresses, Request, Response},
};
use serde::Deserialize;

use crate::{NodeId, Time, crowd::Crowd};

/// How they lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// Bytes without sense.
    Junk,
    /// False closer peers.
    Closer,
    /// Identities near a key.
    Sybil,
    /// Old records.
    Replay,
}

/// Identities drawn until one counts as near: eight bits nearer than any one drawn.
const GRIND: usize = 256;

/// Peers that a false answer names.
const NAMED: usize = 20;

/// Relays that each liar makes itself known to.
const MET: usize = 20;

/// Lets liars into the network: they connect to honest relays and so get into routing tables.
pub fn let_in(crowd: &mut Crowd, count: usize, how: How) {
    let mut liars = Vec::new();
    match how {
        How::Junk => {
            for _ in 0..count {
                let mut rng = crowd.rng.fork();
                liars.push(crowd.net.hostile(move |message| junk(&mut rng, message)));
            }
        }
        How::Closer => {
            let hole = crowd.net.hostile(|_| Reply::Nothing);
            crowd.net.lose(hole);
            let addresses = [crowd.net.address(hole), unused()];
            let known = Rc::new(RefCell::new(BTreeMap::new()));
            for _ in 0..count {
                let (mut rng, addresses, known) = (crowd.rng.fork(), addresses.clone(), Rc::clone(&known));
                liars.push(crowd.net.hostile(move |message| {
                    answer(message, |key| {
                        let mut known = known.borrow_mut();
                        let named = known.entry(key.to_vec()).or_insert_with(|| false_peers(&mut rng, key, &addresses));
                        (None, named.clone())
                    })
                }));
            }
        }
        How::Sybil => {
            let keys: Vec<_> = crowd.services.iter().map(|service| crowd.net.key_of(&service.name)).collect();
            let all = Rc::new(RefCell::new(Vec::new()));
            for number in 0..count {
                let Some(key) = keys.get(number / NAMED) else { break };
                let keypair = ground(&mut crowd.rng, key, crowd.relays.len());
                let peers = Rc::clone(&all);
                let liar =
                    crowd.net.hostile_as(keypair, move |message| answer(message, |_| (None, peers.borrow().clone())));
                let addresses = vec![crowd.net.address(liar)];
                all.borrow_mut().push(PeerAddresses { peer: crowd.net.peer(liar), addresses });
                liars.push(liar);
            }
        }
        How::Replay => {
            let old: BTreeMap<Vec<u8>, Vec<u8>> = crowd
                .services
                .iter()
                .filter_map(|service| {
                    let target = service.name.parse().ok()?;
                    let bundle = crowd.relays.iter().find_map(|relay| crowd.net.bundle(*relay, &target))?;
                    Some((crowd.net.key_of(&service.name), bundle))
                })
                .collect();
            let old = Rc::new(old);
            for _ in 0..count {
                let old = Rc::clone(&old);
                liars
                    .push(crowd.net.hostile(move |message| answer(message, |key| (old.get(key).cloned(), Vec::new()))));
            }
        }
    }
    let honest = crowd.relays.clone();
    for liar in liars {
        introduce(crowd, liar, &honest);
    }
}

/// A liar connects to the relays nearest to it, which have the most room for it.
fn introduce(crowd: &mut Crowd, liar: NodeId, honest: &[NodeId]) {
    let own = Position::of_peer(&crowd.net.peer(liar));
    let mut near: Vec<_> = honest.iter().copied().filter(|relay| crowd.net.is_alive(*relay)).collect();
    near.sort_by_cached_key(|relay| own.distance(&Position::of_peer(&crowd.net.peer(*relay))));
    for relay in near.into_iter().take(MET) {
        crowd.net.greet(liar, relay);
    }
    crowd.net.run_for(10.ms());
}

fn junk(rng: &mut Rng, message: &[u8]) -> Reply {
    let bytes = |rng: &mut Rng, most: usize| -> Vec<u8> { (0..rng.usize(..most)).map(|_| rng.u8(..)).collect() };
    match (rng.u8(..4), Request::decode(message)) {
        (0, _) => Reply::Message(bytes(rng, 4096)),
        (1, _) => Reply::Message(message.to_vec()),
        (2, Ok(request @ Request::GetValue { .. })) => {
            let response = Response::GetValue { value: Some(bytes(rng, 4096)), closer: Vec::new() };
            Reply::Message(response.encode(&request))
        }
        _ => Reply::Reset,
    }
}

/// Answers as a server would, with another's words.
fn answer(message: &[u8], mut say: impl FnMut(&[u8]) -> (Option<Vec<u8>>, Vec<PeerAddresses>)) -> Reply {
    let Ok(request) = Request::decode(message) else { return Reply::Reset };
    let (value, closer) = say(request.key());
    let response = match &request {
        Request::Ping => Response::Ping,
        Request::FindNode { .. } => Response::FindNode { closer },
        Request::GetValue { .. } => Response::GetValue { value, closer },
        Request::GetProviders { .. } => Response::GetProviders { providers: Vec::new(), closer },
        // It says that it has stored what it throws away.
        Request::PutValue { key, value } => Response::PutValue { key: key.clone(), value: value.clone() },
        Request::AddProvider { .. } => return Reply::Nothing,
    };
    Reply::Message(response.encode(&request))
}

fn false_peers(rng: &mut Rng, key: &[u8], addresses: &[Multiaddr; 2]) -> Vec<PeerAddresses> {
    (0..NAMED)
        .map(|number| {
            let peer = ground(rng, key, GRIND).public().to_peer_id();
            PeerAddresses { peer, addresses: vec![addresses[number % 2].clone()] }
        })
        .collect()
}

/// The identity nearest to a key among so many.
fn ground(rng: &mut Rng, key: &[u8], among: usize) -> Keypair {
    let target = Position::of(key);
    let draw = |rng: &mut Rng| {
        let mut seed = [0; 32];
        seed.fill_with(|| rng.u8(..));
        Keypair::ed25519_from_bytes(seed).expect("32 bytes are a key")
    };
    let near = |keypair: &Keypair| target.distance(&Position::of_peer(&PeerId::from(keypair.public())));
    (0..among.max(1)).map(|_| draw(rng)).min_by_key(near).expect("at least one is drawn")
}

/// An address that nobody has.
fn unused() -> Multiaddr {
    let host = std::net::Ipv4Addr::new(10, 255, 255, 254);
    Multiaddr::from(host).with(Protocol::Tcp(80)).with(Protocol::Ws("/".into()))
}
