//! The services this node offers, and keeping them findable.
//!
//! Every offer becomes a signed record that is stored three ways: in the bundle of its name, alone under
//! `name@<peer id>`, and as a provider announcement that any libp2p implementation finds. It is signed and stored again at
//! half its ttl, and whenever the endpoints, and so what the record says, change. Beside the offers the node publishes its
//! own signed addresses.
//!
//! A store that misses its write quorum is repeated with backoff until it succeeds or the offer goes. Offers wait
//! until the node can be reached; withdrawals do not, and each lasts as long as the longest-lived record it withdraws.
//!
//! What is due together goes out in the order of the key space, beginning behind the *cursor*, the place where the last
//! offer was stored. Sequence and cursor survive the node (`Publisher::memory`): the one so that a clock that was set back
//! does not make new records look old, the other so that a node that is often interrupted does not refresh the same part
//! of its offers again and again.
//!
//! **When the network breaks.** Offers are stored again before they are due when this node has lost half of its links, or
//! half of those it asked were silent, or it is back from being offline (`alarm`); when most holders of an
//! offer have gone, which is found out by asking some of them, one offer at a time (`check`); see `vigilance.rs`.
//!
//! Bounds: [`Config::max_registrations`](crate::Config) offers, `MAX_QUEUED` placements that wait for a walk at a time.

mod offer;
mod vigilance;

use std::time::Duration;

use libp2p_identity::Keypair;
use multiaddr::Multiaddr;

use crate::{
    backoff::Backoff,
    boundary::{OpId, Outcome, RegistrationId},
    bundle::Bundle,
    context::Context,
    dht::{
        Dht, Placed, PlacementId,
        key::{Key, Position},
    },
    error::Error,
    map::Map,
    name::ServiceName,
    peer_record::PeerRecord,
    record::{MAX_ENDPOINTS, MAX_NUMBER, Record, SignedRecord, next_sequence},
    time::{Now, PEER_RECORD_TTL, TTL_DEFAULT, TTL_MAX, TTL_MIN, millis},
    wire::kad::{PeerAddresses, Request},
};

pub use offer::{Offer, OfferPatch};
use vigilance::Vigilance;

/// Delays between two attempts to store after a missed quorum.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));

/// How long changed endpoints may go on changing before they are stored: a second reservation follows the first by about
/// a round trip, and each change costs every offer a round of messages. A guess.
const DEBOUNCE: Duration = Duration::from_millis(500);

/// The version of what [`Publisher::memory`] writes.
const MEMORY: u8 = 1;

/// Placements that may wait for a walk before more offers are signed: what a hundred milliseconds of walks serve, so that
/// the queue never runs dry and a thousand offers are not signed in one go.
const MAX_QUEUED: usize = 64;

#[derive(Debug)]
struct Registration {
    offer: Offer,
    record: Option<SignedRecord>,
    withdrawing: bool,
    /// When the longest-lived record signed so far expires, in milliseconds since the Unix epoch; 0 if there is none.
    /// Until then a holder that missed everything later may bring it back, so a withdrawal must last as long.
    until: u64,
    /// Placements of the round under way; the value is whether its quorum is needed.
    placing: Map<PlacementId, bool>,
    waiters: Vec<(OpId, Outcome)>,
    backoff: Backoff,
    due: Option<Duration>,
    /// The placements under the name and under `name@<peer id>`, and who was to hold each when it was stored last.
    stored: [(Option<PlacementId>, Vec<PeerAddresses>); 2],
}

impl Registration {
    /// When it is to be stored: an offer only while the node can be reached, a withdrawal in any case.
    fn waits_until(&self, reachable: bool) -> Option<Duration> {
        self.due.filter(|_| reachable || self.withdrawing)
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Publisher {
    keypair: Keypair,
    registrations: Map<RegistrationId, Registration>,
    endpoints: Vec<Multiaddr>,
    addresses_due: Option<Duration>,
    addresses_placing: Option<PlacementId>,
    addresses_backoff: Backoff,
    sequence: u64,
    /// The place in the key space of the offer that was stored last.
    cursor: Position,
    /// Whether offers that are due wait until fewer placements do.
    blocked: bool,
    vigilance: Vigilance,
    next_id: u64,
}

impl Publisher {
    pub(crate) fn new(keypair: Keypair) -> Self {
        Self {
            keypair,
            registrations: Map::new(),
            endpoints: Vec::new(),
            addresses_due: None,
            addresses_placing: None,
            addresses_backoff: Backoff::new(RETRY.0, RETRY.1),
            sequence: 0,
            cursor: Position::from_bytes([0; 32]),
            blocked: false,
            vigilance: Vigilance::default(),
            next_id: 0,
        }
    }

    /// Offers a service; `op` ends when a write quorum holds it and the node can be reached.
    pub(crate) fn provide(
        &mut self,
        cx: &mut Context<'_>,
        dht: &mut Dht,
        op: OpId,
        offer: Offer,
    ) -> Result<RegistrationId, Error> {
        if self.registrations.len() >= cx.config.max_registrations {
            let most = cx.config.max_registrations;
            return Err(Error::Quota(format!("this node offers {most} services already; withdraw one first")));
        }
        if let Some(known) =
            self.registrations.values().find(|known| known.offer.name == offer.name && !known.withdrawing)
        {
            let name = &known.offer.name;
            return Err(Error::InvalidOption(format!(
                "this node offers \"{name}\" already; update or withdraw that registration"
            )));
        }
        // Signing once before anything is sent shows every broken limit at once.
        self.sign(cx, &offer)?;
        let (mut waiters, until) = self.supersede(cx, dht, &offer.name);
        self.next_id += 1;
        let id = RegistrationId(self.next_id);
        waiters.push((op, Outcome::Provided(id)));
        let registration = Registration {
            offer,
            record: None,
            withdrawing: false,
            until,
            placing: Map::new(),
            waiters,
            backoff: Backoff::new(RETRY.0, RETRY.1),
            due: Some(cx.now.elapsed),
            stored: Default::default(),
        };
        self.registrations.insert(id, registration);
        Ok(id)
    }

    /// Changes an offer; `op` ends when a write quorum knows.
    pub(crate) fn update(
        &mut self,
        cx: &mut Context<'_>,
        dht: &mut Dht,
        op: OpId,
        id: RegistrationId,
        patch: OfferPatch,
    ) -> Result<(), Error> {
        let Some(mut offer) = self.offered(id).map(|registration| registration.offer.clone()) else {
            return Err(Error::NotFound("this registration; it was withdrawn".to_owned()));
        };
        offer.kind = patch.kind.unwrap_or(offer.kind);
        offer.metadata = patch.metadata.unwrap_or(offer.metadata);
        offer.ttl = patch.ttl.or(offer.ttl);
        offer.region = patch.region.unwrap_or(offer.region);
        offer.clusters = patch.clusters.unwrap_or(offer.clusters);
        self.sign(cx, &offer)?;
        self.restart(cx, dht, id, |registration| {
            registration.offer = offer;
            registration.waiters.push((op, Outcome::Stored));
        });
        Ok(())
    }

    /// Takes an offer back; `op` ends when a write quorum holds the withdrawal.
    pub(crate) fn withdraw(
        &mut self,
        cx: &mut Context<'_>,
        dht: &mut Dht,
        op: Option<OpId>,
        id: RegistrationId,
    ) -> Result<(), Error> {
        if self.offered(id).is_none() {
            return Err(Error::NotFound("this registration; it was withdrawn already".to_owned()));
        }
        self.restart(cx, dht, id, |registration| {
            registration.withdrawing = true;
            registration.waiters.extend(op.map(|op| (op, Outcome::Stored)));
        });
        let never_stored = self.registrations.get(&id).is_some_and(|registration| registration.until == 0);
        if never_stored && let Some(registration) = self.registrations.remove(&id) {
            for (op, outcome) in registration.waiters {
                cx.done(op, Ok(outcome));
            }
        }
        Ok(())
    }

    /// The caller of `op` gave up or ran out of time: a first store that never reached its quorum is taken back.
    pub(crate) fn cancel(&mut self, cx: &mut Context<'_>, dht: &mut Dht, op: OpId) -> bool {
        let mut first = None;
        let mut known = false;
        for (id, registration) in self.registrations.iter_mut() {
            if let Some(at) = registration.waiters.iter().position(|(waiter, _)| *waiter == op) {
                known = true;
                if let (_, Outcome::Provided(_)) = registration.waiters.remove(at) {
                    first = Some(*id);
                }
            }
        }
        if let Some(id) = first {
            // Whoever waits for the withdrawal of a cancelled call has nobody to tell.
            let _ = self.withdraw(cx, dht, None, id);
        }
        known
    }

    /// The addresses at which this node is reached have changed.
    pub(crate) fn set_endpoints(&mut self, cx: &mut Context<'_>, endpoints: Vec<Multiaddr>) {
        if endpoints == self.endpoints {
            return;
        }
        let first = self.endpoints.is_empty();
        self.endpoints = endpoints;
        if self.endpoints.is_empty() {
            return;
        }
        let due = cx.after(if first { Duration::ZERO } else { DEBOUNCE });
        self.addresses_due = Some(due);
        for registration in self.registrations.values_mut() {
            registration.due = Some(registration.due.map_or(due, |known| known.min(due)));
        }
    }

    /// The wall clock was set: what was signed by the old time is signed anew.
    pub(crate) fn clock_was_set(&mut self, now: Now) {
        for registration in self.registrations.values_mut() {
            registration.due = Some(now.elapsed);
        }
    }

    /// Stores what is due; `ready` tells whether the DHT can be asked.
    pub(crate) fn advance(&mut self, cx: &mut Context<'_>, dht: &mut Dht, ready: bool) {
        if !ready {
            return;
        }
        let reachable = !self.endpoints.is_empty();
        if reachable && self.addresses_due.is_some_and(|due| due <= cx.now.elapsed) {
            self.addresses_due = Some(cx.after(PEER_RECORD_TTL / 2));
            self.publish_addresses(cx, dht);
        }
        let mut due: Vec<_> = self
            .registrations
            .iter()
            .filter(|(_, registration)| registration.waits_until(reachable).is_some_and(|due| due <= cx.now.elapsed))
            .map(|(id, registration)| (Key::service(&cx.config.network, &registration.offer.name).position(), *id))
            .collect();
        self.blocked = false;
        due.sort();
        let behind = due.partition_point(|(position, _)| *position <= self.cursor);
        due.rotate_left(behind);
        for (position, id) in due {
            if dht.queued() >= MAX_QUEUED {
                self.blocked = true;
                break;
            }
            self.cursor = position;
            self.store(cx, dht, id);
        }
        self.check(cx, dht);
    }

    /// A placement reached its quorum or ended without.
    pub(crate) fn placed(
        &mut self,
        cx: &mut Context<'_>,
        id: PlacementId,
        placed: Placed,
        holders: Vec<PeerAddresses>,
    ) {
        if self.addresses_placing == Some(id) {
            self.addresses_placing = None;
            if placed.is_quorum() {
                self.addresses_backoff.reset();
            } else {
                self.addresses_due = Some(cx.now.elapsed + self.addresses_backoff.fail(cx.rng));
            }
            return;
        }
        let Some((registration_id, registration)) =
            self.registrations.iter_mut().find(|(_, registration)| registration.placing.contains_key(&id))
        else {
            return;
        };
        let needed = registration.placing.remove(&id).unwrap_or(false);
        if let Some((_, held_by)) = registration.stored.iter_mut().find(|(placement, _)| *placement == Some(id)) {
            *held_by = holders;
        }
        if needed && !placed.is_quorum() {
            // One miss spoils the round, however the others end.
            registration.placing.clear();
            registration.due = Some(cx.now.elapsed + registration.backoff.fail(cx.rng));
            return;
        }
        if registration.placing.values().any(|needed| *needed)
            || registration.due.is_some_and(|due| due <= cx.now.elapsed)
        {
            return;
        }
        registration.backoff.reset();
        for (op, outcome) in std::mem::take(&mut registration.waiters) {
            cx.done(op, Ok(outcome));
        }
        if registration.withdrawing {
            let id = *registration_id;
            self.registrations.remove(&id);
        }
    }

    /// The record of a name that this node offers itself.
    ///
    /// It holds now, even if what was stored last does not: the clock may have been set, or nobody reached for hours.
    pub(crate) fn own(&mut self, cx: &Context<'_>, name: &ServiceName) -> Option<SignedRecord> {
        let registration = self
            .registrations
            .values()
            .find(|registration| registration.offer.name == *name && !registration.withdrawing)?;
        let record = registration.record.clone()?;
        if record.check_time(cx.now.unix_ms).is_ok() {
            return Some(record);
        }
        let offer = registration.offer.clone();
        self.sign(cx, &offer).ok()
    }

    /// The record of a name that was stored last, if this node still offers it.
    pub(crate) fn current(&self, name: &ServiceName) -> Option<&SignedRecord> {
        let offers = |known: &&Registration| known.offer.name == *name && !known.withdrawing;
        self.registrations.values().find(offers)?.record.as_ref()
    }

    /// Takes everything back; true if there was anything.
    pub(crate) fn withdraw_all(&mut self, cx: &mut Context<'_>, dht: &mut Dht) -> bool {
        let ids: Vec<_> = self.registrations.keys().copied().collect();
        for id in &ids {
            // Those that are being withdrawn already stay as they are.
            let _ = self.withdraw(cx, dht, None, *id);
        }
        !self.is_idle()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.registrations.is_empty()
    }

    pub(crate) fn next_deadline(&self, ready: bool) -> Option<Duration> {
        if !ready {
            return None;
        }
        let reachable = !self.endpoints.is_empty();
        let registrations = self.registrations.values().filter(|_| !self.blocked);
        let registrations = registrations.filter_map(|registration| registration.waits_until(reachable));
        let check = self.vigilance.next_deadline().filter(|_| reachable);
        registrations.chain(self.addresses_due.filter(|_| reachable)).chain(check).min()
    }

    /// What the next life of this node should know: the last sequence and the cursor.
    pub(crate) fn memory(&self) -> Vec<u8> {
        [&[MEMORY][..], &self.sequence.to_be_bytes(), self.cursor.as_bytes()].concat()
    }

    /// Takes up what an earlier life left by [`Publisher::memory`]; what cannot be read is passed over.
    pub(crate) fn restore(&mut self, memory: &[u8]) {
        if let Ok(memory) = <[u8; 41]>::try_from(memory)
            && memory[0] == MEMORY
        {
            let sequence = u64::from_be_bytes(std::array::from_fn(|i| memory[1 + i]));
            // A memory can be wrong though it is whole: no record may carry more.
            self.sequence = self.sequence.max(if sequence > MAX_NUMBER { 0 } else { sequence });
            self.cursor = Position::from_bytes(std::array::from_fn(|i| memory[9 + i]));
        }
    }

    fn offered(&self, id: RegistrationId) -> Option<&Registration> {
        self.registrations.get(&id).filter(|registration| !registration.withdrawing)
    }

    /// Gives up what is under way for a registration, changes it, and makes it due at once.
    fn restart(
        &mut self,
        cx: &mut Context<'_>,
        dht: &mut Dht,
        id: RegistrationId,
        change: impl FnOnce(&mut Registration),
    ) {
        let Some(registration) = self.registrations.get_mut(&id) else { return };
        for (placement, _) in std::mem::take(&mut registration.placing) {
            dht.cancel_placement(cx, placement);
        }
        change(registration);
        registration.due = Some(cx.now.elapsed);
    }

    /// Ends the withdrawal of a name that is under way: a new offer takes its place. Returns who waited for it, and until
    /// when what it withdrew may come back.
    fn supersede(&mut self, cx: &mut Context<'_>, dht: &mut Dht, name: &ServiceName) -> (Vec<(OpId, Outcome)>, u64) {
        let known = self.registrations.iter().find(|(_, known)| known.withdrawing && known.offer.name == *name);
        let Some(old) = known.map(|(id, _)| *id).and_then(|id| self.registrations.remove(&id)) else {
            return (Vec::new(), 0);
        };
        for placement in old.placing.into_keys() {
            dht.cancel_placement(cx, placement);
        }
        (old.waiters, old.until)
    }

    fn store(&mut self, cx: &mut Context<'_>, dht: &mut Dht, id: RegistrationId) {
        let Some(registration) = self.registrations.get(&id) else { return };
        let (offer, withdrawing) = (registration.offer.clone(), registration.withdrawing);
        let until = registration.until;
        let signed =
            if withdrawing { self.sign_withdrawal(cx, offer.name.clone(), until) } else { self.sign(cx, &offer) };
        let signed = match signed {
            Ok(signed) => signed,
            Err(error) => return self.fail(cx, id, error),
        };
        let network = &cx.config.network;
        let name = Key::service(network, &offer.name);
        let alone = Key::service_of(network, &offer.name, &cx.local);
        let provider = PeerAddresses { peer: cx.local, addresses: self.endpoints.clone() };
        let announcement = Request::AddProvider { key: name.provider(), provider };
        let mut requests: Vec<(Request, bool)> = [name, alone]
            .into_iter()
            .map(|key| {
                let mut bundle = Bundle::new(key.clone());
                // The record was signed a moment ago for this very key.
                let _ = bundle.merge(signed.clone(), cx.now);
                (Request::PutValue { key: key.as_bytes().to_vec(), value: bundle.encode(cx.now) }, true)
            })
            .collect();
        if !withdrawing {
            requests.push((announcement, false));
        }
        let ttl = Duration::from_millis(signed.record().ttl);
        let placing: Vec<_> = requests.into_iter().map(|(request, needed)| (dht.place(cx, request), needed)).collect();
        let half = cx.after(ttl / 2);
        if let Some(registration) = self.registrations.get_mut(&id) {
            for ((placement, _), (id, _)) in registration.stored.iter_mut().zip(&placing) {
                *placement = Some(*id);
            }
            registration.placing = placing.into_iter().collect();
            registration.until = registration.until.max(signed.record().expires_at());
            registration.record = Some(signed);
            registration.due = (!withdrawing).then_some(half);
        }
    }

    fn fail(&mut self, cx: &mut Context<'_>, id: RegistrationId, error: Error) {
        let Some(registration) = self.registrations.remove(&id) else { return };
        for (op, _) in registration.waiters {
            cx.done(op, Err(error.clone()));
        }
    }

    fn publish_addresses(&mut self, cx: &mut Context<'_>, dht: &mut Dht) {
        let sequence = self.next_sequence(cx);
        let record = PeerRecord { peer: cx.local, sequence, addresses: self.endpoints.clone() };
        match record.sign(&self.keypair) {
            Ok(signed) => {
                let key = Key::peer(&cx.config.network, &cx.local).as_bytes().to_vec();
                let request = Request::PutValue { key, value: signed.envelope().to_vec() };
                self.addresses_placing = Some(dht.place(cx, request));
            }
            Err(error) => {
                cx.emit(crate::event::Event::Warning { code: "RECORD_TOO_LARGE", message: error.to_string() })
            }
        }
    }

    fn sign(&mut self, cx: &Context<'_>, offer: &Offer) -> Result<SignedRecord, Error> {
        let region = if offer.region.is_empty() { &cx.config.region } else { &offer.region };
        let mut record = Record {
            name: offer.name.clone(),
            kind: offer.kind.clone(),
            provider: cx.local,
            endpoints: self.endpoints.iter().take(MAX_ENDPOINTS).cloned().collect(),
            metadata: offer.metadata.clone(),
            region: region.clone(),
            clusters: offer.clusters.clone(),
            sequence: self.next_sequence(cx),
            issued_at: cx.now.unix_ms,
            ttl: millis(offer.ttl.unwrap_or(TTL_DEFAULT)),
            withdrawn: false,
            pq_key_hash: Vec::new(),
        };
        record.fit_endpoints();
        Ok(record.sign(&self.keypair)?)
    }

    fn sign_withdrawal(&mut self, cx: &Context<'_>, name: ServiceName, until: u64) -> Result<SignedRecord, Error> {
        let left = until.saturating_sub(cx.now.unix_ms);
        let record = Record {
            sequence: self.next_sequence(cx),
            ttl: left.clamp(millis(TTL_MIN), millis(TTL_MAX)),
            withdrawn: true,
            ..Record::new(name, cx.local, cx.now.unix_ms)
        };
        Ok(record.sign(&self.keypair)?)
    }

    /// Never the same twice, and ahead of everything signed before this start unless the clock was set back.
    fn next_sequence(&mut self, cx: &Context<'_>) -> u64 {
        self.sequence = next_sequence(self.sequence, cx.now.unix_ms);
        self.sequence
    }
}

#[cfg(test)]
mod tests;
