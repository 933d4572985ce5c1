//! Answering other peers, if this node is a relay.

use libp2p_identity::PeerId;

use super::{CLOSEST, Dht, News, key::Position};
use crate::{
    boundary::Response as Reply,
    context::Context,
    wire::kad::{PeerAddresses, Request, Response},
};

impl Dht {
    /// Another peer asks.
    pub(crate) fn asked(&mut self, cx: &mut Context<'_>, peer: PeerId, message: &[u8]) -> Reply {
        if !self.serves() {
            return Reply::Reset;
        }
        self.counters.served += 1;
        let request = match Request::decode(message) {
            Ok(request) => request,
            Err(error) => {
                self.news.push_back(News::Misbehaved(peer, error.to_string()));
                return Reply::Reset;
            }
        };
        let closer = || self.closer(&Position::of(request.key()), &peer);
        let response = match &request {
            Request::Ping => Response::Ping,
            Request::FindNode { .. } => Response::FindNode { closer: closer() },
            Request::GetValue { key } => Response::GetValue { value: self.store.get(key, cx.now), closer: closer() },
            Request::GetProviders { key } => {
                Response::GetProviders { providers: self.store.providers(key, cx.now), closer: closer() }
            }
            Request::PutValue { key, value } => match self.store.put(key, value, cx.now) {
                Ok(_) => Response::PutValue { key: key.clone(), value: value.clone() },
                Err(refused) => {
                    self.news.push_back(News::Misbehaved(peer, refused.to_string()));
                    return Reply::Reset;
                }
            },
            Request::AddProvider { key, provider } => {
                if provider.peer != peer {
                    let reason = format!("it announced {} as a provider in its place", provider.peer);
                    self.news.push_back(News::Misbehaved(peer, reason));
                } else if let Err(refused) = self.store.add_provider(key, provider.clone(), cx.now) {
                    self.news.push_back(News::Misbehaved(peer, refused.to_string()));
                }
                return Reply::Nothing;
            }
        };
        Reply::Message(response.encode(&request))
    }

    fn closer(&self, target: &Position, asker: &PeerId) -> Vec<PeerAddresses> {
        let mut closer = self.table.live(target, CLOSEST + 1);
        closer.retain(|peer| peer.peer != *asker);
        closer.truncate(CLOSEST);
        closer
    }
}
