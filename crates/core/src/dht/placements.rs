//! Storing: a walk to a key, then a value or an announcement for the closest holders.
//!
//! A placement is told as placed when a write quorum, more than half of those asked, has acknowledged. Acknowledged means
//! verified and merged: holders answer only then. Peers that were too slow for the walk are sent the value as well, without
//! being waited for or counted: if all were slow for a moment, the first that answered would be the only holder.
//!
//! Relays that hold a place for this node are sent its values too, however far they are from the key, again uncounted: their
//! directories name it, and it need not speak HTTP for that.
//!
//! Placements that are due together share walks where that is exact. They wait in the order of the key space for one of
//! [`WALKS`] places; when a walk ends, all of them that its [`Neighbourhood`] serves are stored without a walk of their own.
//!
//! Bounds: [`WALKS`] walks, and for each placement `k` requests that count, and uncounted ones to those that were too slow and to
//! the relays that hold a place for this node; the callers bound the placements.

use libp2p_identity::PeerId;

use super::{
    Dht, LookupId, News, Placed, PlacementId, Purpose, Want,
    key::Position,
    neighbourhood::{Holders, Neighbourhood},
};
use crate::{
    boundary::RequestId,
    context::Context,
    map::Set,
    wire::kad::{PeerAddresses, Request},
};

/// Walks for placements at once. An offer is stored under three keys, and the node's addresses under a fourth, so storing
/// one offer waits for nobody; a thousand offers take a minute or two at some 30 messages a walk.
const WALKS: usize = 8;

#[derive(Debug)]
pub(super) struct Placement {
    request: Request,
    waiting: Set<RequestId>,
    placed: Placed,
    /// Who was asked.
    holders: Vec<PeerAddresses>,
    told: bool,
}

impl Dht {
    /// Walks to the key of a request that stores something, and stores it at the closest holders; begins with the next
    /// [`Dht::advance`].
    pub(crate) fn place(&mut self, cx: &mut Context<'_>, request: Request) -> PlacementId {
        let id = PlacementId(self.fresh_id());
        let position = Position::of(request.key());
        if self.serves() {
            self.keep_own(cx, &request);
        }
        let placed = Placed { held: 0, asked: 0 };
        let placement = Placement { request, waiting: Set::new(), placed, holders: Vec::new(), told: false };
        self.placements.insert(id, placement);
        self.queue.insert((position, id));
        id
    }

    /// How many placements wait for a walk.
    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Starts walks for placements that wait, as far as there are places.
    pub(super) fn walk_for_placements(&mut self, cx: &mut Context<'_>) {
        loop {
            let walks = self.lookups.values().filter(|lookup| lookup.placement.is_some()).count();
            if walks >= WALKS {
                return;
            }
            let Some((position, id)) = self.queue.iter().next().copied() else { return };
            self.queue.remove(&(position, id));
            let Some(key) = self.placements.get(&id).map(|placement| placement.request.key().to_vec()) else {
                continue;
            };
            self.start(cx, key, Want::Closest, Some(id));
        }
    }

    /// The walk of a placement has ended: it is stored, and whatever else belongs to the same holders.
    pub(super) fn store_all(&mut self, cx: &mut Context<'_>, id: PlacementId, around: &Neighbourhood) {
        let k = cx.config.query.closest;
        self.store_with(cx, id, around.own_holders(k));
        let served: Vec<_> = self.queue.iter().filter_map(|due| Some((*due, around.holders(&due.0, k)?))).collect();
        for (due, holders) in served {
            self.queue.remove(&due);
            self.store_with(cx, due.1, holders);
        }
    }

    fn store_with(&mut self, cx: &mut Context<'_>, id: PlacementId, holders: Holders) {
        let Holders { closest, mut late } = holders;
        let told = |relay: &&PeerId| !closest.iter().chain(&late).any(|holder| holder.peer == **relay);
        let untold: Vec<_> = self.relays.iter().filter(told).copied().collect();
        late.extend(untold.into_iter().map(|peer| PeerAddresses { peer, addresses: Vec::new() }));
        self.store_at(cx, id, closest);
        self.store_late(cx, id, late);
        self.settle_placement(id);
    }

    /// Ends a placement before its time.
    pub(crate) fn cancel_placement(&mut self, cx: &mut Context<'_>, id: PlacementId) {
        if let Some(placement) = self.placements.remove(&id) {
            self.queue.remove(&(Position::of(placement.request.key()), id));
        }
        self.drop_requests(cx, Purpose::Placement(id));
        let lookups: Vec<LookupId> =
            self.lookups.iter().filter(|(_, lookup)| lookup.placement == Some(id)).map(|(id, _)| *id).collect();
        for lookup in lookups {
            self.cancel_lookup(cx, lookup);
        }
    }

    fn store_at(&mut self, cx: &mut Context<'_>, id: PlacementId, holders: Vec<PeerAddresses>) {
        let Some(placement) = self.placements.get(&id) else { return };
        let request = placement.request.clone();
        for holder in holders {
            let sent = self.request(cx, &holder, request.clone(), Purpose::Placement(id));
            if let Some(placement) = self.placements.get_mut(&id) {
                placement.placed.asked += 1;
                placement.waiting.extend(sent);
                placement.holders.push(holder);
            }
        }
    }

    /// Sends a value also to those that were too slow to be waited for, and does not wait for them here either: if all
    /// were slow for a moment, the first that answered would be the only holder.
    fn store_late(&mut self, cx: &mut Context<'_>, id: PlacementId, late: Vec<PeerAddresses>) {
        let Some(request) = self.placements.get(&id).map(|placement| placement.request.clone()) else { return };
        for holder in late {
            self.request(cx, &holder, request.clone(), Purpose::Courtesy);
        }
    }

    /// A holder has acknowledged, or nobody did.
    pub(super) fn placement_answered(&mut self, id: PlacementId, request: RequestId, held: bool) {
        let Some(placement) = self.placements.get_mut(&id) else { return };
        placement.waiting.remove(&request);
        placement.placed.held += usize::from(held);
        self.settle_placement(id);
    }

    /// Tells when a placement has its quorum, and again never; ends it when nothing is waited for.
    fn settle_placement(&mut self, id: PlacementId) {
        let serves = self.serves();
        let Some(placement) = self.placements.get_mut(&id) else { return };
        let ended = placement.waiting.is_empty();
        let alone = serves && placement.placed.asked == 0;
        if !placement.told && (placement.placed.is_quorum() || ended) {
            placement.told = true;
            // A relay without any neighbour holds its own values; that is all there is.
            let placed = if alone { Placed { held: 1, asked: 1 } } else { placement.placed };
            let holders = std::mem::take(&mut placement.holders);
            self.news.push_back(News::Placed(id, placed, holders));
        }
        if ended {
            self.placements.remove(&id);
        }
    }

    /// A relay is a holder of its own values too.
    fn keep_own(&mut self, cx: &mut Context<'_>, request: &Request) {
        let kept = match request {
            Request::PutValue { key, value } => self.store.put(key, value, cx.now).map(drop),
            Request::AddProvider { key, provider } => self.store.add_provider(key, provider.clone(), cx.now).map(drop),
            _ => Ok(()),
        };
        if let Err(refused) = kept {
            self.news.push_back(News::Misbehaved(cx.local, refused.to_string()));
        }
    }
}
