//! The answer of a find: its live records, the best provider first.

use std::time::Duration;

use libp2p_identity::PeerId;

use super::{
    FoundRecord, Layer, Verdict,
    engine::{Find, Freshness},
};
use crate::context::Context;

/// Which of two records is given first; the order of the fields is the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    /// Whether its provider is believed alive.
    pub(super) verdict: Verdict,
    /// Whether the network stands behind it.
    pub(super) freshness: Freshness,
    /// The measured round trip to the provider, or what its last answer took; unmeasured last.
    pub(super) distance: Duration,
    /// Providers of this node's region first.
    pub(super) elsewhere: bool,
    /// The younger first.
    pub(super) age: Duration,
    pub(super) provider: PeerId,
}

/// The records of a find in the order of their ranks. The same whatever order they arrived in.
pub(super) fn ranked(cx: &Context<'_>, find: &Find) -> Vec<FoundRecord> {
    let mut records: Vec<(Rank, FoundRecord)> = find
        .live(cx.now)
        .map(|(record, given)| {
            let provider = record.provider;
            let verdict = verdict(cx, &provider);
            let age = Duration::from_millis(cx.now.unix_ms.saturating_sub(record.issued_at));
            let rank = Rank {
                verdict,
                freshness: given.freshness,
                distance: distance(cx, &provider).unwrap_or(Duration::MAX),
                elsewhere: record.region.is_empty() || record.region != cx.config.region,
                age,
                provider,
            };
            let layer = if provider == cx.local { Layer::Own } else { given.layer };
            (rank, FoundRecord { record: record.clone(), layer, age, verdict })
        })
        .collect();
    records.sort_by_key(|(rank, _)| *rank);
    records.into_iter().map(|(_, found)| found).take(find.options.limit).collect()
}

/// Whether a provider is believed alive.
pub(super) fn verdict(cx: &Context<'_>, provider: &PeerId) -> Verdict {
    if *provider == cx.local {
        return Verdict::Up;
    }
    let linked = cx.links.best(provider).map(|(_, link)| cx.now.elapsed.saturating_sub(link.since.elapsed));
    match (linked, cx.cache.providers.verdict(provider, cx.now)) {
        // A link that stood already when the provider could not be reached says nothing for it.
        (Some(linked), Verdict::Suspect) if cx.cache.providers.tried(provider, cx.now) < Some(linked) => {
            Verdict::Suspect
        }
        (Some(_), _) => Verdict::Up,
        (None, verdict) => verdict,
    }
}

fn distance(cx: &Context<'_>, provider: &PeerId) -> Option<Duration> {
    if *provider == cx.local {
        return Some(Duration::ZERO);
    }
    cx.links.peer(provider).and_then(|peer| peer.rtt).or_else(|| cx.cache.providers.took(provider))
}
