//! Answering other peers, if this node is a relay.
//!
//! Every request costs its peer from its [`quota`](super::quota) before it is looked at; what exceeds it is reset, and one
//! warning tells of a burst. Values are acknowledged after they were verified and merged, and only then. Only peers that
//! were met and do not fail are named. A peer announces itself as a provider and nobody else.
//!
//! What a peer stores about itself is news for the relay's directory (`Event::Stated`). Records of others that it brings along,
//! to repair a holder or to make a new one, are not.

use std::time::Duration;

use libp2p_identity::PeerId;

use super::{
    CLOSEST, Dht, News,
    key::{Key, KeyKind, Position},
    quota::{Quota, Verdict},
    store::{PutOutcome, PutRefused, Value},
};
use crate::{
    boundary::Response as Reply,
    context::Context,
    event::{Event, Statement},
    wire::kad::{PeerAddresses, Request, Response},
};

impl Dht {
    /// Another peer asks.
    pub(crate) fn asked(&mut self, cx: &mut Context<'_>, peer: PeerId, message: &[u8]) -> Reply {
        if !self.serves() {
            return Reply::Reset;
        }
        if self.refuses(cx, peer, Quota::admit) {
            return Reply::Reset;
        }
        let request = match Request::decode(message) {
            Ok(request) => request,
            Err(error) => return self.nonsense(cx, peer, error.to_string()),
        };
        if matches!(request, Request::PutValue { .. }) && self.refuses(cx, peer, Quota::admit_checks) {
            return Reply::Reset;
        }
        self.counters.served += 1;
        let closer = || self.closer(&Position::of(request.key()), &peer);
        let response = match &request {
            Request::Ping => Response::Ping,
            Request::FindNode { .. } => Response::FindNode { closer: closer() },
            Request::GetValue { key } => Response::GetValue { value: self.store.get(key, cx.now), closer: closer() },
            Request::GetProviders { key } => {
                Response::GetProviders { providers: self.store.providers(key, cx.now), closer: closer() }
            }
            Request::PutValue { key, value } => {
                let before = self.stated_by(cx, key, &peer).map(|statement| sequence(&statement));
                let put = self.store.put(key, value, cx.now);
                self.quota.checked(peer, checked(&put), cx.now.elapsed);
                match put {
                    Ok(_) => {
                        let stated = self.stated_by(cx, key, &peer);
                        if let Some(news) = stated.filter(|statement| before != Some(sequence(statement))) {
                            cx.emit(Event::Stated(Box::new(news)));
                        }
                    }
                    // That is no fault of the peer's.
                    Err(PutRefused::Full { .. }) => return Reply::Reset,
                    Err(refused) => return self.nonsense(cx, peer, refused.to_string()),
                }
                Response::PutValue { key: key.clone(), value: value.clone() }
            }
            Request::AddProvider { key, provider } => {
                let refused = if provider.peer != peer {
                    Some(format!("it announced {} as a provider in its place", provider.peer))
                } else {
                    match self.store.add_provider(key, provider.clone(), cx.now) {
                        Ok(_) | Err(PutRefused::Full { .. }) => None,
                        Err(refused) => Some(refused.to_string()),
                    }
                };
                if let Some(reason) = refused {
                    self.nonsense(cx, peer, reason);
                }
                return Reply::Nothing;
            }
        };
        Reply::Message(response.encode(&request))
    }

    /// What is held under a key that a peer has said of itself. The records under `name@<peer id>` stand under the name too.
    fn stated_by(&self, cx: &Context<'_>, key: &[u8], peer: &PeerId) -> Option<Statement> {
        let key = Key::parse(&cx.config.network, key).ok()?;
        match self.store.value(&key)? {
            Value::Bundle(bundle) if matches!(key.kind(), KeyKind::Service(_)) => {
                bundle.get(peer).cloned().map(Statement::Service)
            }
            Value::Peer { record, .. } if record.peer() == *peer => Some(Statement::Addresses((**record).clone())),
            _ => None,
        }
    }

    /// Whether a request exceeds its peer's quota; tells of the first of a burst.
    fn refuses(&mut self, cx: &Context<'_>, peer: PeerId, ask: fn(&mut Quota, PeerId, Duration) -> Verdict) -> bool {
        let Verdict::Refused(first) = ask(&mut self.quota, peer, cx.now.elapsed) else { return false };
        self.counters.refused += 1;
        if first {
            let reason = "it asks for more than its share; the rest is refused".to_owned();
            self.news.push_back(News::Misbehaved(peer, reason));
        }
        true
    }

    fn nonsense(&mut self, cx: &Context<'_>, peer: PeerId, reason: String) -> Reply {
        self.quota.nonsense(peer, cx.now.elapsed);
        self.news.push_back(News::Misbehaved(peer, reason));
        Reply::Reset
    }

    fn closer(&self, target: &Position, asker: &PeerId) -> Vec<PeerAddresses> {
        let mut closer = self.table.live(target, CLOSEST + 1);
        closer.retain(|peer| peer.peer != *asker);
        closer.truncate(CLOSEST);
        closer
    }
}

/// Which of a peer's statements it is.
fn sequence(statement: &Statement) -> u64 {
    match statement {
        Statement::Service(record) => record.record().sequence,
        Statement::Addresses(record) => record.record().sequence,
    }
}

/// How many signatures were checked for a put.
fn checked(put: &Result<PutOutcome, PutRefused>) -> usize {
    match put {
        Ok(put) => put.merged.checked(),
        Err(PutRefused::Full { checked }) => *checked,
        Err(PutRefused::AllBad { rejected }) => rejected.len(),
        Err(PutRefused::PeerRecord(_) | PutRefused::OtherPeer { .. }) => 1,
        Err(_) => 0,
    }
}
