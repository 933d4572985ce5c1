//! Storing: a walk to a key, then a value or an announcement for the closest holders.
//!
//! A placement is told as placed when a write quorum, more than half of those asked, has acknowledged. Acknowledged means
//! verified and merged: holders answer only then. Peers that were too slow for the walk are sent the value as well, without
//! being waited for or counted: if all were slow for a moment, the first that answered would be the only holder.
//!
//! Bounds: `k` requests a placement; the callers bound the placements.

use super::{Dht, News, Placed, PlacementId, Purpose, Want};
use crate::{
    boundary::RequestId,
    context::Context,
    map::Set,
    wire::kad::{PeerAddresses, Request},
};

#[derive(Debug)]
pub(super) struct Placement {
    request: Request,
    waiting: Set<RequestId>,
    placed: Placed,
    told: bool,
}

impl Dht {
    /// Walks to the key of a request that stores something, and stores it at the closest holders.
    pub(crate) fn place(&mut self, cx: &mut Context<'_>, request: Request) -> PlacementId {
        let id = PlacementId(self.fresh_id());
        let key = request.key().to_vec();
        if self.server {
            self.keep_own(cx, &request);
        }
        let placed = Placed { held: 0, asked: 0 };
        self.placements.insert(id, Placement { request, waiting: Set::new(), placed, told: false });
        self.start(cx, key, Want::Closest, Some(id));
        id
    }

    /// Ends a placement before its time.
    pub(crate) fn cancel_placement(&mut self, cx: &mut Context<'_>, id: PlacementId) {
        self.placements.remove(&id);
        self.drop_requests(cx, Purpose::Placement(id));
        let lookups: Vec<_> =
            self.lookups.iter().filter(|(_, lookup)| lookup.placement == Some(id)).map(|(id, _)| *id).collect();
        for lookup in lookups {
            self.cancel_lookup(cx, lookup);
        }
    }

    pub(super) fn store_at(&mut self, cx: &mut Context<'_>, id: PlacementId, holders: Vec<PeerAddresses>) {
        let Some(placement) = self.placements.get(&id) else { return };
        let request = placement.request.clone();
        for holder in holders {
            let sent = self.request(cx, &holder, request.clone(), Purpose::Placement(id));
            if let Some(placement) = self.placements.get_mut(&id) {
                placement.placed.asked += 1;
                placement.waiting.extend(sent);
            }
        }
    }

    /// Sends a value also to those that were too slow to be waited for, and does not wait for them here either: if all
    /// were slow for a moment, the first that answered would be the only holder.
    pub(super) fn store_late(&mut self, cx: &mut Context<'_>, id: PlacementId, late: Vec<PeerAddresses>) {
        let Some(request) = self.placements.get(&id).map(|placement| placement.request.clone()) else { return };
        for holder in late {
            self.request(cx, &holder, request.clone(), Purpose::Courtesy);
        }
    }

    pub(super) fn placement_answered(&mut self, id: PlacementId, request: RequestId, held: bool) {
        let Some(placement) = self.placements.get_mut(&id) else { return };
        placement.waiting.remove(&request);
        placement.placed.held += usize::from(held);
        self.settle_placement(id);
    }

    /// Tells when a placement has its quorum, and again never; ends it when nothing is waited for.
    pub(super) fn settle_placement(&mut self, id: PlacementId) {
        let Some(placement) = self.placements.get_mut(&id) else { return };
        let ended = placement.waiting.is_empty();
        let alone = self.server && placement.placed.asked == 0;
        if !placement.told && (placement.placed.is_quorum() || ended) {
            placement.told = true;
            // A relay without any neighbour holds its own values; that is all there is.
            let placed = if alone { Placed { held: 1, asked: 1 } } else { placement.placed };
            self.news.push_back(News::Placed(id, placed));
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
