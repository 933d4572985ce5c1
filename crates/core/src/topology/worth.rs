//! Which links are worth keeping, and which strangers are worth a dial.
//!
//! Both are a derived order: the fields, first to last, are the policy.

use std::{cmp::Reverse, time::Duration};

use libp2p_identity::PeerId;

use crate::{
    context::Context,
    dht::{
        diversity::Group,
        key::{Distance, Position},
    },
    map::{Map, Set},
    wire::kad::PeerAddresses,
};

/// Links of one bucket that count as first: with one of them silent the other still leads there.
const OF_BUCKET: usize = 2;

/// Closest linked servers that count as neighbours: Kademlia's `k`.
const NEIGHBOURS: usize = 20;

/// What one link is worth; more is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Worth {
    /// It leads to one of the closest servers, whom values are shared with.
    neighbour: bool,
    /// It leads to a part of the key space that few others lead to.
    far: bool,
    /// The best link into its region.
    region: bool,
    /// The best link into its group of addresses.
    group: bool,
    quality: Quality,
}

/// What speaks for a link, whatever the others are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Quality {
    /// It relays circuits, too.
    relay: bool,
    /// Its round trip, in powers of two of a millisecond.
    near: Reverse<u32>,
    /// How long it has stood, in powers of two of a second: who stayed long stays longer.
    lived: u32,
}

/// Connected servers, the most valuable first. `spread` says whether this node serves the DHT, so that its neighbours and
/// all parts of the key space count.
pub(super) fn ranked(cx: &Context<'_>, spread: bool) -> Vec<(PeerId, Worth)> {
    let local = Position::of_peer(&cx.local);
    let mut links: Vec<(Quality, Distance, PeerId)> = cx
        .links
        .peers()
        .filter(|(_, peer)| peer.server)
        .filter_map(|(id, peer)| {
            let (_, link) = cx.links.best(id)?;
            let lived = cx.now.elapsed.saturating_sub(link.since.elapsed);
            let quality = Quality { relay: peer.relay, near: Reverse(near(peer.rtt)), lived: bits(lived.as_secs()) };
            Some((quality, local.distance(&Position::of_peer(id)), *id))
        })
        .collect();
    links.sort_by_key(|(quality, distance, _)| (Reverse(*quality), *distance));
    let mut distances: Vec<_> = links.iter().map(|(_, distance, _)| *distance).collect();
    distances.sort();
    let edge = distances.get(NEIGHBOURS - 1).or(distances.last()).copied();
    let mut seen = Seen::default();
    let mut ranked: Vec<_> = links
        .into_iter()
        .map(|(quality, distance, peer)| {
            let (region, group) = seen.place(cx, &peer);
            let bucket = seen.buckets.get_or_insert_with(distance.bucket(), || 0);
            *bucket += 1;
            let worth = Worth {
                neighbour: spread && edge.is_some_and(|edge| distance <= edge),
                far: spread && *bucket <= OF_BUCKET,
                region,
                group,
                quality,
            };
            (peer, worth)
        })
        .collect();
    ranked.sort_by_key(|(peer, worth)| (Reverse(*worth), *peer));
    ranked
}

/// Which of two strangers is dialled first; less is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Wish {
    /// Dials that failed since it was last met.
    failures: u32,
    /// Some link leads to its region already, or the region is not known.
    known_region: bool,
    /// Some link leads to its group of addresses already.
    known_group: bool,
    /// Links that lead to its part of the key space, counted up to [`OF_BUCKET`].
    crowd: usize,
    distance: Distance,
}

/// The strangers most worth a dial.
pub(super) fn strangers(cx: &Context<'_>, known: Vec<PeerAddresses>, spread: bool, count: usize) -> Vec<PeerAddresses> {
    let local = Position::of_peer(&cx.local);
    let mut seen = Seen::default();
    for (peer, _) in cx.links.peers().filter(|(_, peer)| peer.server) {
        seen.place(cx, peer);
        *seen.buckets.get_or_insert_with(local.distance(&Position::of_peer(peer)).bucket(), || 0) += 1;
    }
    let mut strangers: Vec<(Wish, PeerAddresses)> = known
        .into_iter()
        .filter(|known| !cx.links.is_connected(&known.peer))
        .map(|known| {
            let distance = local.distance(&Position::of_peer(&known.peer));
            let remembered = cx.cache.peers.get(&known.peer);
            let region = remembered.map_or("", |known| known.region.as_str());
            let crowd = seen.buckets.get(&distance.bucket()).copied().unwrap_or(0).min(OF_BUCKET);
            let wish = Wish {
                failures: remembered.map_or(0, |known| known.failures),
                known_region: region.is_empty() || seen.regions.contains(region),
                known_group: Group::of(&known.addresses).is_none_or(|group| seen.groups.contains(&group)),
                crowd: if spread { crowd } else { 0 },
                distance,
            };
            (wish, known)
        })
        .collect();
    strangers.sort_by_key(|(wish, _)| *wish);
    strangers.into_iter().take(count).map(|(_, known)| known).collect()
}

/// Where links lead to.
#[derive(Default)]
struct Seen {
    regions: Set<String>,
    groups: Set<Group>,
    buckets: Map<Option<usize>, usize>,
}

impl Seen {
    /// Whether this is the first link into its region, and into its group of addresses.
    fn place(&mut self, cx: &Context<'_>, peer: &PeerId) -> (bool, bool) {
        let region = cx.cache.peers.get(peer).map(|known| known.region.clone()).filter(|region| !region.is_empty());
        let group = cx.links.peer(peer).and_then(|known| Group::of(&known.addresses));
        let region = region.is_some_and(|region| self.regions.insert(region));
        (region, group.is_some_and(|group| self.groups.insert(group)))
    }
}

/// Round trips in powers of two; what was never measured is far.
fn near(rtt: Option<Duration>) -> u32 {
    rtt.map_or(u32::MAX, |rtt| bits(rtt.as_millis() as u64))
}

fn bits(number: u64) -> u32 {
    u64::BITS - number.leading_zeros()
}

#[cfg(test)]
mod tests;
