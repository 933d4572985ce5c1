//! Walks to a key, and what they gather on the way.
//!
//! A lookup drives one [`Query`], verifies what holders had and merges it into a union, and tells of every change at once,
//! so that whoever waits need not wait for the walk. When the walk has ended, holders near the key that had less than the
//! union are sent it ("repair"), by requests that nobody waits for.
//!
//! A suspect is asked when a link to it stands, and not waited for. Without a link it is dialled again only some seconds
//! later, or if nobody else answers: each dial in vain takes a place that another peer could have.
//!
//! Bounds: one query's candidates and one bundle a lookup; the callers bound the lookups.

use std::time::Duration;

use libp2p_identity::PeerId;

use super::{
    Dht, LookupId, News, PlacementId, Purpose, Walk, Want,
    key::{Key, Position},
    neighbourhood::Neighbourhood,
    patience,
    query::{Next, Query, Standing},
};
use crate::{
    bundle::Bundle,
    context::Context,
    hearsay::believable,
    map::Map,
    peer_record::SignedPeerRecord,
    wire::kad::{Request, Response},
};

#[derive(Debug)]
pub(super) struct Lookup {
    key: Vec<u8>,
    want: Want,
    pub(super) query: Query,
    /// For whom it walks to find holders.
    pub(super) placement: Option<PlacementId>,
    union: Option<Bundle>,
    /// What each holder that answered had.
    holders: Map<PeerId, Option<Bundle>>,
    /// Hops of the answer that brought the first value.
    found: Option<u8>,
}

/// Holders that have spoken before a find settles early. With two, one liar alone brings nothing back that was withdrawn; a
/// third costs every find the time of the third fastest holder.
const SECOND: usize = 2;

impl Dht {
    /// Starts a walk towards a key.
    pub(crate) fn look_up(&mut self, cx: &mut Context<'_>, key: Vec<u8>, want: Want) -> LookupId {
        self.start(cx, key, want, None)
    }

    /// Ends a lookup before its time; what it had in flight is given up.
    pub(crate) fn cancel_lookup(&mut self, cx: &mut Context<'_>, id: LookupId) {
        self.lookups.remove(&id);
        self.drop_requests(cx, Purpose::Lookup(id));
    }

    pub(super) fn start(
        &mut self,
        cx: &mut Context<'_>,
        key: Vec<u8>,
        want: Want,
        placement: Option<PlacementId>,
    ) -> LookupId {
        let id = LookupId(self.fresh_id());
        let target = Position::of(&key);
        let start = self.table.closest(&target, cx.config.query.closest);
        let query = Query::new(cx.config.query.clone(), cx.local, target, start);
        let mut lookup = Lookup { key, want, query, placement, union: None, holders: Map::new(), found: None };
        if self.serves()
            && let Some(value) = self.store.get(&lookup.key, cx.now)
        {
            self.news.extend(lookup.absorb(cx, id, cx.local, Some(&value)));
        }
        self.lookups.insert(id, lookup);
        self.advance_lookup(cx, id);
        id
    }

    pub(super) fn advance_lookup(&mut self, cx: &mut Context<'_>, id: LookupId) {
        loop {
            let suspects = &self.suspects;
            let Some(lookup) = self.lookups.get_mut(&id) else { return };
            let standing = |peer: &PeerId| match (suspects.contains_key(peer), cx.links.is_connected(peer)) {
                (true, _) => Standing::Suspect,
                (false, true) => Standing::Linked,
                (false, false) => Standing::Unlinked,
            };
            match lookup.query.next(cx.now.elapsed, &standing) {
                Next::Ask(peer) => {
                    let spared = suspects.get(&peer.peer).is_some_and(|until| *until > cx.now.elapsed);
                    if spared && !cx.links.is_connected(&peer.peer) && lookup.query.spare(&peer.peer) {
                        continue;
                    }
                    let patience = self.patience(cx, &peer.peer);
                    let Some(lookup) = self.lookups.get_mut(&id) else { return };
                    lookup.query.asked(&peer.peer, cx.after(patience));
                    let request = match lookup.want {
                        Want::Closest => Request::FindNode { key: lookup.key.clone() },
                        Want::Bundle(_) | Want::Addresses(_) => Request::GetValue { key: lookup.key.clone() },
                    };
                    if self.request(cx, &peer, request, Purpose::Lookup(id)).is_none()
                        && let Some(lookup) = self.lookups.get_mut(&id)
                    {
                        lookup.query.failed(&peer.peer);
                    }
                }
                Next::Wait(_) => {
                    let slow: Vec<_> = lookup.query.slow().collect();
                    return slow.into_iter().for_each(|peer| self.suspect(peer));
                }
                Next::Finished => return self.finish_lookup(cx, id),
            }
        }
    }

    pub(super) fn finish_lookup(&mut self, cx: &mut Context<'_>, id: LookupId) {
        let Some(lookup) = self.lookups.remove(&id) else { return };
        for peer in lookup.query.slow() {
            self.suspect(peer);
        }
        self.drop_requests(cx, Purpose::Lookup(id));
        let walk = self.count(&lookup);
        match lookup.placement {
            Some(placement) => {
                self.store_all(cx, placement, &Neighbourhood::of(&lookup.query, cx.config.query.closest));
            }
            None => {
                self.repair(cx, &lookup);
                self.news.push_back(News::LookedUp(id, walk));
            }
        }
    }

    pub(super) fn lookup_answered(&mut self, cx: &mut Context<'_>, id: LookupId, peer: PeerId, response: Response) {
        self.news.push_back(News::Answer(peer));
        let Some(lookup) = self.lookups.get_mut(&id) else { return };
        let closer = match response {
            Response::FindNode { closer } => closer,
            Response::GetValue { value, closer } => {
                let news = lookup.absorb(cx, id, peer, value.as_deref());
                self.news.extend(news);
                closer
            }
            _ => return,
        };
        let closer = believable(cx, &peer, closer);
        if let Some(lookup) = self.lookups.get_mut(&id) {
            lookup.query.answered(&peer, closer);
        }
    }

    /// A slow holder's answer comes after its walk has ended: it is of use to whoever asks next.
    pub(super) fn answered_late(&mut self, cx: &Context<'_>, request: &Request, response: Response, took: Duration) {
        if let (Request::GetValue { key }, Response::GetValue { value: Some(value), .. }) = (request, response)
            && let Ok(key) = Key::parse(&cx.config.network, key)
            && let Ok((bundle, _)) = Bundle::decode(&key, &value, cx.now)
            && !bundle.is_empty()
        {
            self.news.push_back(News::Late(bundle, took));
        }
    }

    fn count(&mut self, lookup: &Lookup) -> Walk {
        let query = &lookup.query;
        let walk = Walk {
            answers: query.answers() + usize::from(self.serves()),
            misses: query.misses(),
            requests: query.requests(),
            hops: query.closest().next().and_then(|peer| query.hops(&peer.peer)).unwrap_or(0),
            found: lookup.found,
        };
        let counters = &mut self.counters;
        counters.walks += 1;
        counters.hops += u64::from(walk.hops);
        counters.most_hops = counters.most_hops.max(walk.hops);
        counters.walk_requests += walk.requests as u64;
        counters.last = walk;
        walk
    }

    /// How long a peer is waited for before others are asked.
    fn patience(&self, cx: &Context<'_>, peer: &PeerId) -> Duration {
        if self.suspects.contains_key(peer) {
            return Duration::ZERO;
        }
        match cx.links.peer(peer) {
            Some(known) => patience::linked(known.answers, known.pings),
            None => self.dials.patience(),
        }
    }

    /// Sends the union to the holders near the key that had less.
    fn repair(&mut self, cx: &mut Context<'_>, lookup: &Lookup) {
        let Some(union) = lookup.union.as_ref().filter(|union| union.spreads(cx.now)) else { return };
        let stale: Vec<_> = lookup
            .query
            .closest()
            .filter(|holder| match lookup.holders.get(&holder.peer) {
                Some(Some(had)) => !had.covers(union),
                Some(None) => true,
                None => false,
            })
            .cloned()
            .collect();
        for holder in stale {
            let request = Request::PutValue { key: lookup.key.clone(), value: union.encode(cx.now) };
            self.request(cx, &holder, request, Purpose::Courtesy);
        }
    }
}

impl Lookup {
    /// Verifies what a holder had and merges it; returns what is new or wrong.
    fn absorb(&mut self, cx: &Context<'_>, id: LookupId, from: PeerId, value: Option<&[u8]>) -> Vec<News> {
        let mut news = Vec::new();
        let bundle = match (&self.want, value) {
            (Want::Bundle(key), Some(value)) => match Bundle::decode(key, value, cx.now) {
                Ok((bundle, rejected)) => {
                    for rejected in rejected.into_iter().filter(|rejected| !rejected.reason.is_about_time()) {
                        news.push(News::Misbehaved(from, rejected.reason.to_string()));
                    }
                    let union = self.union.get_or_insert_with(|| Bundle::new(key.clone()));
                    if !bundle.is_empty() {
                        self.found.get_or_insert(self.query.hops(&from).unwrap_or(0));
                    }
                    if union.merge_all(&bundle, cx.now) {
                        news.push(News::Bundle(id, union.clone()));
                    }
                    Some(bundle)
                }
                Err(error) => {
                    news.push(News::Misbehaved(from, error.to_string()));
                    None
                }
            },
            (Want::Addresses(peer), Some(value)) => {
                match SignedPeerRecord::decode(value) {
                    Ok(record) if record.record().peer == *peer => news.push(News::Addresses(id, record)),
                    Ok(record) => {
                        let reason = format!("it answered with addresses of {} for {peer}", record.record().peer);
                        news.push(News::Misbehaved(from, reason));
                    }
                    Err(error) => news.push(News::Misbehaved(from, error.to_string())),
                }
                None
            }
            _ => None,
        };
        let heard = |holders: &Map<PeerId, Option<Bundle>>| holders.values().flatten().count();
        let before = heard(&self.holders);
        self.holders.insert(from, bundle);
        if before < SECOND && heard(&self.holders) >= SECOND {
            news.push(News::Seconded(id));
        }
        news
    }
}
