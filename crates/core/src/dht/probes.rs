//! Asking holders whether they still hold something.
//!
//! A probe sends a GET to each of some holders and counts who has exactly what it expects. A holder that answers and has it
//! not, or has something older, is sent it, and nobody waits for that. A bundle that is full may have no place for it, and
//! counts as holding it.
//!
//! Bounds: the holders it is given; [`EVIDENCE`] of time.

use libp2p_identity::PeerId;

use super::{Dht, EVIDENCE, News, ProbeId, Probed, Purpose};
use crate::{
    boundary::RequestId,
    bundle::{Bundle, MAX_RECORDS},
    context::Context,
    map::Set,
    wire::{
        bundle,
        kad::{PeerAddresses, Request},
    },
};

#[derive(Debug)]
pub(super) struct Probe {
    expected: Bundle,
    waiting: Set<RequestId>,
    probed: Probed,
}

impl Dht {
    /// Asks holders whether they have everything that is in a bundle; [`News::Probed`] follows.
    pub(crate) fn probe(&mut self, cx: &mut Context<'_>, expected: Bundle, holders: Vec<PeerAddresses>) -> ProbeId {
        let id = ProbeId(self.fresh_id());
        let request = Request::GetValue { key: expected.key().as_bytes().to_vec() };
        let mut waiting = Set::new();
        let asked = holders.len();
        for holder in holders {
            let sent = self.request(cx, &holder, request.clone(), Purpose::Probe(id));
            if let Some(request) = sent.and_then(|sent| self.requests.get_mut(&sent)) {
                request.deadline = cx.now.elapsed + EVIDENCE;
            }
            waiting.extend(sent);
        }
        self.probes.insert(id, Probe { expected, waiting, probed: Probed { asked, held: 0 } });
        self.settle_probe(id);
        id
    }

    /// A holder answered (with a value or without), or did not.
    pub(super) fn probe_answered(
        &mut self,
        cx: &mut Context<'_>,
        id: ProbeId,
        request: RequestId,
        peer: PeerId,
        answer: Option<Option<&[u8]>>,
    ) {
        let Some(probe) = self.probes.get_mut(&id) else { return };
        probe.waiting.remove(&request);
        if let Some(value) = answer {
            let envelopes = value.and_then(|value| bundle::decode(value).ok()).unwrap_or_default();
            let full = envelopes.len() >= MAX_RECORDS;
            if full || probe.expected.records().all(|record| envelopes.contains(&record.envelope())) {
                probe.probed.held += 1;
            } else {
                let key = probe.expected.key().as_bytes().to_vec();
                let request = Request::PutValue { key, value: probe.expected.encode(cx.now) };
                self.request(cx, &PeerAddresses { peer, addresses: Vec::new() }, request, Purpose::Courtesy);
            }
        }
        self.settle_probe(id);
    }

    fn settle_probe(&mut self, id: ProbeId) {
        if let Some(probe) = self.probes.get(&id).filter(|probe| probe.waiting.is_empty()) {
            self.news.push_back(News::Probed(id, probe.probed));
            self.probes.remove(&id);
        }
    }
}
