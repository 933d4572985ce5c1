//! Noticing that the network broke, and storing again what it may have lost.
//!
//! Holders watch each other and push what has too few holders. They cannot when all of them are gone, so whoever offers
//! something looks too. An *alarm* makes every offer due within a few seconds: this node has lost half of its links, half
//! of those it asked in a walk were silent, two checks in a row have failed, or it is back from being offline. A *check*
//! asks some of those that were to hold one offer, under its name and under `name@<peer id>` in turn, whether they still hold it, the offers taking turns; whoever has lost it
//! is sent it, and if fewer than half have it, it is stored again.
//!
//! Bounds: one alarm in [`ALARM_PAUSE`]; one check at a time, of [`SAMPLE`] requests, of which one at most dials.

use std::time::Duration;

use super::Publisher;
use crate::{
    boundary::RegistrationId,
    bundle::Bundle,
    context::Context,
    dht::{Dht, ProbeId, Probed, Walk, key::Key},
    wire::kad::PeerAddresses,
};

/// Time between two alarms: an alarm stores everything, and the network needs some time to show whether that was enough.
const ALARM_PAUSE: Duration = Duration::from_secs(20);

/// The time over which the offers of an alarm are spread, so that not all nodes of a broken network store at once. Within
/// a minute everything must be stored again, and that takes a part of it.
const ALARM_SPREAD: Duration = Duration::from_secs(5);

/// The window in which losses of links count together, and how many are the least that count.
const LOSS_WINDOW: Duration = Duration::from_secs(10);
const LOSSES: usize = 2;

/// Misses in one walk that are no alarm, whatever their share: a few dead peers in a small network.
const MISSES: usize = 8;

/// Holders that are asked in one check. If eight of ten holders died, two of three answer in one case of ten.
const SAMPLE: usize = 3;

/// What is known about the health of what is stored.
#[derive(Debug, Default)]
pub(super) struct Vigilance {
    /// When links were lost, within the window.
    losses: Vec<Duration>,
    alarmed: Option<Duration>,
    due: Option<Duration>,
    /// The offer that was checked last, and which of its two keys is next.
    last: Option<RegistrationId>,
    alone: bool,
    checking: Option<(ProbeId, RegistrationId)>,
    /// Checks in a row that have failed.
    failures: usize,
}

impl Vigilance {
    pub(super) fn next_deadline(&self) -> Option<Duration> {
        self.due.filter(|_| self.checking.is_none())
    }
}

impl Publisher {
    /// The network broke: every offer is stored again soon.
    pub(crate) fn alarm(&mut self, cx: &mut Context<'_>) {
        if self.vigilance.alarmed.is_some_and(|at| at + ALARM_PAUSE > cx.now.elapsed) {
            return;
        }
        self.vigilance.alarmed = Some(cx.now.elapsed);
        let soon = |cx: &mut Context<'_>| cx.now.elapsed + ALARM_SPREAD.mul_f64(cx.rng.f64());
        for registration in self.registrations.values_mut().filter(|registration| registration.record.is_some()) {
            let due = soon(cx);
            registration.due = Some(registration.due.map_or(due, |known| known.min(due)));
        }
        if let Some(known) = self.addresses_due {
            self.addresses_due = Some(known.min(soon(cx)));
        }
    }

    /// The last link to a peer is lost; so many peers are left.
    pub(crate) fn link_lost(&mut self, cx: &mut Context<'_>, left: usize) {
        let losses = &mut self.vigilance.losses;
        losses.retain(|at| *at + LOSS_WINDOW > cx.now.elapsed);
        // More than there are links need not be counted.
        if losses.len() <= left {
            losses.push(cx.now.elapsed);
        }
        if losses.len() >= LOSSES.max(left) {
            self.alarm(cx);
        }
    }

    /// A walk has ended.
    pub(crate) fn walked(&mut self, cx: &mut Context<'_>, walk: Walk) {
        if walk.misses >= MISSES.max(walk.answers) {
            self.alarm(cx);
        }
    }

    /// Asks holders of the next offer, if it is time.
    pub(super) fn check(&mut self, cx: &mut Context<'_>, dht: &mut Dht) {
        let vigilance = &mut self.vigilance;
        if vigilance.checking.is_some() {
            return;
        }
        let stored = |alone: bool| {
            self.registrations.iter().filter_map(move |(id, registration)| {
                let record = registration.record.as_ref().filter(|_| !registration.withdrawing)?;
                let (_, holders) = &registration.stored[usize::from(alone)];
                let settled = !holders.is_empty() && registration.placing.is_empty();
                settled.then_some((*id, &registration.offer.name, record, holders))
            })
        };
        let mut alone = vigilance.alone;
        let mut next = stored(alone).find(|(id, ..)| vigilance.last.is_none_or(|last| *id > last));
        if next.is_none() {
            alone = !alone;
            next = stored(alone).next();
        }
        let Some((id, name, record, holders)) = next else {
            vigilance.due = None;
            return;
        };
        let pause = cx.config.check.mul_f64(0.75 + 0.5 * cx.rng.f64());
        if *vigilance.due.get_or_insert(cx.now.elapsed + pause) > cx.now.elapsed {
            return;
        }
        let (mut linked, mut others): (Vec<PeerAddresses>, Vec<PeerAddresses>) =
            holders.iter().cloned().partition(|holder| cx.links.is_connected(&holder.peer));
        cx.rng.shuffle(&mut linked);
        cx.rng.shuffle(&mut others);
        others.truncate(1);
        linked.truncate(SAMPLE - others.len());
        linked.extend(others);
        let key = match alone {
            true => Key::service_of(&cx.config.network, name, &cx.local),
            false => Key::service(&cx.config.network, name),
        };
        let mut bundle = Bundle::new(key);
        if bundle.merge(record.clone(), cx.now).is_err() {
            // It is out of date, and so due to be signed again.
            vigilance.due = Some(cx.after(pause));
            return;
        }
        vigilance.due = Some(cx.after(pause));
        (vigilance.last, vigilance.alone) = (Some(id), alone);
        vigilance.checking = Some((dht.probe(cx, bundle, linked), id));
    }

    /// A check has ended.
    pub(crate) fn probed(&mut self, cx: &mut Context<'_>, probe: ProbeId, probed: Probed) {
        let Some((_, id)) = self.vigilance.checking.take_if(|(checking, _)| *checking == probe) else { return };
        if probed.held * 2 >= probed.asked {
            self.vigilance.failures = 0;
            return;
        }
        self.vigilance.failures += 1;
        // The next one is looked at sooner: where one offer has lost its holders, others may have.
        self.vigilance.due = Some(cx.now.elapsed + ALARM_SPREAD.mul_f64(cx.rng.f64()));
        if let Some(registration) = self.registrations.get_mut(&id) {
            registration.due = Some(cx.now.elapsed);
        }
        if self.vigilance.failures > 1 {
            self.alarm(cx);
        }
    }
}
