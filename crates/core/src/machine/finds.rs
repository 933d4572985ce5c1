//! Finds among the other parts of the machine: how each begins and ends, and what is told of it.

use std::time::Duration;

use super::Machine;
use crate::{
    boundary::Outcome,
    error::Error,
    find::{Asker, FindOptions, FindStory, Finished, Order},
    name::ServiceTarget,
    time::Now,
};

impl Machine {
    /// What each layer did for the latest find of a target, among the latest 64 targets.
    pub fn explain_find(&self, target: &ServiceTarget) -> Option<FindStory> {
        self.finds.story(target).cloned()
    }

    pub(super) fn start_find(&mut self, asker: Asker, target: ServiceTarget, options: FindOptions, now: Now) {
        if self.finds.len() >= self.config.max_orders {
            let most = self.config.max_orders;
            let (Asker::Find(op) | Asker::Open(op)) = asker;
            self.give_up(op, now);
            return self.done(op, Err(Error::Quota(format!("{most} finds are running already"))));
        }
        let mut parts = self.parts(now);
        let meant = target.provider.is_none_or(|provider| provider == parts.cx.local);
        let own = if meant { parts.publisher.own(&parts.cx, &target.name) } else { None };
        parts.finds.start(&mut parts.cx, parts.dht, asker, Order { target, options, own });
    }

    /// Hands news round, and lets finds ask and end, until nothing comes of it any more.
    pub(super) fn settle_finds(&mut self, now: Now) {
        loop {
            self.hand_round_news(now);
            while let Some((op, target)) = self.openings.next_again() {
                let deadline = self.orders.get(&op).map_or(now.elapsed, |order| order.deadline);
                let timeout = deadline.saturating_sub(now.elapsed);
                let options = FindOptions { timeout, max_age: Duration::ZERO, ..FindOptions::default() };
                self.start_find(Asker::Open(op), target, options, now);
            }
            let ready = self.is_ready();
            let mut parts = self.parts(now);
            let walks = parts.finds.walks();
            let finished = parts.finds.advance(&mut parts.cx, parts.dht, ready);
            if finished.is_empty() && self.finds.walks() == walks {
                return;
            }
            for finished in finished {
                self.finish_find(finished, now);
            }
        }
    }

    fn finish_find(&mut self, finished: Finished, now: Now) {
        let Finished { asker, found, asked } = finished;
        let nobody = !asked && found.records.is_empty();
        match asker {
            Asker::Find(op) => {
                self.stats.finds += 1;
                self.stats.find_time += found.elapsed;
                let outcome = if nobody { Err(self.no_relay()) } else { Ok(Outcome::Found(found)) };
                self.done(op, outcome);
            }
            Asker::Open(op) if nobody => {
                let hint = self.give_up(op, now);
                let error = if hint.is_empty() { self.no_relay() } else { Error::Unreachable(hint) };
                self.done(op, Err(error));
            }
            Asker::Open(op) => {
                let mut parts = self.parts(now);
                parts.openings.found(&mut parts.cx, parts.dht, op, found);
            }
        }
    }
}
