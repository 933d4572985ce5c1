//! What applications order, and that each order is answered exactly once.

use std::time::Duration;

use openred_core::{
    Error, Input, Machine, Now, OpId, Outcome,
    find::{FindOptions, Found},
    name::ServiceName,
    open::Target,
    publish::{Offer, OfferPatch},
};

use super::Net;
use crate::{
    node::{Fate, NodeId},
    wire::Happening,
};

/// Time that an application gives an order: the npm contract's default.
const LIMIT: Duration = Duration::from_secs(10);

/// Time beyond its limit in which an order must be answered: a timer may be late.
const GRACE: Duration = Duration::from_millis(100);

/// One order of an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Order {
    pub(super) node: NodeId,
    pub(super) op: OpId,
}

impl Order {
    /// Whose it is.
    pub fn node(&self) -> NodeId {
        self.node
    }
}

impl Net {
    /// Begins to wait for the node to join.
    pub fn ready(&mut self, id: NodeId) -> Order {
        self.order(id, "ready", LIMIT, |machine, op, now| machine.ready(op, LIMIT, now))
    }

    /// Waits until the node has joined.
    pub fn join(&mut self, id: NodeId) -> Result<(), Error> {
        let order = self.ready(id);
        self.wait(order).map(drop)
    }

    /// Begins to offer a service, and serves its streams.
    pub fn provide(&mut self, id: NodeId, name: &str) -> Order {
        self.provide_with(id, name, |_| {})
    }

    /// Begins to offer a service with more than a name.
    pub fn provide_with(&mut self, id: NodeId, name: &str, set: impl FnOnce(&mut Offer)) -> Order {
        let mut offer = Offer::new(parsed(name));
        set(&mut offer);
        let name = offer.name.clone();
        let order =
            self.order(id, format!("provide {name}"), LIMIT, |machine, op, now| machine.provide(op, offer, LIMIT, now));
        let books = &mut self.nodes[id.0].books;
        books.handlers.insert(name.clone());
        books.provides.insert(order.op, name);
        order
    }

    /// Begins to change what the node offers under a name.
    pub fn update(&mut self, id: NodeId, name: &str, patch: OfferPatch) -> Order {
        let registration = self.registration(id, name);
        self.order(id, format!("update {name}"), LIMIT, |machine, op, now| {
            machine.update(op, registration, patch, LIMIT, now);
        })
    }

    /// Begins to take back what the node offers under a name.
    pub fn withdraw(&mut self, id: NodeId, name: &str) -> Order {
        let registration = self.registration(id, name);
        self.nodes[id.0].books.registrations.remove(&parsed(name));
        self.order(id, format!("withdraw {name}"), LIMIT, |machine, op, now| {
            machine.withdraw(Some(op), registration, LIMIT, now);
        })
    }

    /// Begins to look for a name or `name@<peer id>`.
    pub fn seek(&mut self, id: NodeId, target: &str) -> Order {
        self.seek_with(id, target, |_| {})
    }

    /// Begins to look for a name with other options than the default.
    pub fn seek_with(&mut self, id: NodeId, target: &str, set: impl FnOnce(&mut FindOptions)) -> Order {
        let mut options = FindOptions::default();
        set(&mut options);
        let target = target.parse().expect("a service's name");
        self.order(id, format!("find {target:?}"), LIMIT, |machine, op, now| {
            machine.find(op, target, options, now);
        })
    }

    /// Looks for a name.
    ///
    /// # Panics
    ///
    /// If the node cannot ask.
    pub fn find(&mut self, id: NodeId, target: &str) -> Found {
        self.try_find(id, target).unwrap_or_else(|error| panic!("{id} finds {target}: {error}"))
    }

    /// Looks for a name in the network, whatever the node remembers.
    ///
    /// # Panics
    ///
    /// If the node cannot ask.
    pub fn ask(&mut self, id: NodeId, target: &str) -> Found {
        let order = self.seek_with(id, target, |options| options.max_age = Duration::ZERO);
        self.wait(order).map(found).unwrap_or_else(|error| panic!("{id} asks for {target}: {error}"))
    }

    /// Looks for a name.
    pub fn try_find(&mut self, id: NodeId, target: &str) -> Result<Found, Error> {
        let order = self.seek(id, target);
        self.wait(order).map(found)
    }

    /// The nodes that this node finds under a name, in the order of their making.
    pub fn providers(&mut self, id: NodeId, target: &str) -> Vec<NodeId> {
        let found = self.find(id, target);
        self.providers_of(&found)
    }

    /// The nodes that were found, in the order of their making.
    pub fn providers_of(&self, found: &Found) -> Vec<NodeId> {
        let mut providers: Vec<_> = found.records.iter().map(|found| self.by_peer[&found.record.provider]).collect();
        providers.sort();
        providers
    }

    /// Begins to open a stream.
    pub fn opening(&mut self, id: NodeId, target: Target) -> Order {
        self.order(id, format!("open {target:?}"), LIMIT, |machine, op, now| machine.open(op, target, LIMIT, now))
    }

    /// Opens a stream to a provider of a name; says to whom it leads.
    pub fn open(&mut self, id: NodeId, target: &str) -> Result<NodeId, Error> {
        let order = self.opening(id, Target::Name(target.parse().expect("a service's name")));
        self.wait(order)?;
        Ok(self.stream(order).expect("an opened stream has another end"))
    }

    /// Begins to close the node.
    pub fn close(&mut self, id: NodeId) -> Order {
        self.order(id, "close", LIMIT, |machine, op, now| machine.close(op, now))
    }

    /// Gives an order up, if it is not answered yet. It must be answered at once.
    pub fn cancel(&mut self, order: Order) {
        if !self.is_pending(order) {
            return;
        }
        let node = &mut self.nodes[order.node.0];
        let now = node.clock.now(self.now);
        self.trace.note(self.now, order.node, order.op.0, &("cancel", order.op));
        if let Some(machine) = node.machine() {
            machine.cancel(order.op, now);
        }
        self.settle(order.node);
        assert!(!self.is_pending(order), "{order:?} was cancelled and is not answered");
    }

    /// Tells the node that the network came back or the page woke up.
    pub fn wake(&mut self, id: NodeId) {
        self.call(id, Machine::wake);
    }

    /// Tells the node that it is in another network.
    pub fn network_changed(&mut self, id: NodeId) {
        self.call(id, Machine::network_changed);
    }

    fn call(&mut self, id: NodeId, verb: fn(&mut Machine, Now)) {
        let node = &mut self.nodes[id.0];
        let now = node.clock.now(self.now);
        if let Some(machine) = node.machine() {
            verb(machine, now);
        }
        self.settle(id);
    }

    /// Tells the node that its platform has no network.
    pub fn network_gone(&mut self, id: NodeId) {
        self.tell(id, Input::NetworkGone);
        self.settle(id);
    }

    /// Waits for an order's answer.
    ///
    /// # Panics
    ///
    /// If the node dies before.
    pub fn wait(&mut self, order: Order) -> Result<Outcome, Error> {
        while self.is_pending(order) {
            assert!(self.step(self.now + LIMIT), "something must happen until {order:?} is answered");
        }
        self.answer(order).unwrap_or_else(|| panic!("{} died before it answered {order:?}", order.node))
    }

    /// An order's answer, if it has come.
    pub fn answer(&self, order: Order) -> Option<Result<Outcome, Error>> {
        match self.nodes[order.node.0].orders.get(&order.op)? {
            Fate::Done { outcome, .. } => Some((**outcome).clone()),
            Fate::Pending { .. } | Fate::Lost => None,
        }
    }

    /// An order's answer, if it has come; only how long it took is kept of it.
    pub fn take_answer(&mut self, order: Order) -> Option<Result<Outcome, Error>> {
        match self.nodes[order.node.0].orders.get_mut(&order.op)? {
            Fate::Done { outcome, .. } => Some(std::mem::replace(&mut **outcome, Ok(Outcome::Stored))),
            Fate::Pending { .. } | Fate::Lost => None,
        }
    }

    /// How long an order took, if it is answered.
    pub fn took(&self, order: Order) -> Option<Duration> {
        match self.nodes[order.node.0].orders.get(&order.op)? {
            Fate::Done { took, .. } => Some(*took),
            Fate::Pending { .. } | Fate::Lost => None,
        }
    }

    /// Whether an order waits for its answer.
    pub fn is_pending(&self, order: Order) -> bool {
        matches!(self.nodes[order.node.0].orders.get(&order.op), Some(Fate::Pending { .. }))
    }

    /// Whether the node holds an offer of a name that it has not withdrawn.
    pub fn offers(&self, id: NodeId, name: &str) -> bool {
        self.nodes[id.0].books.registrations.contains_key(&parsed(name))
    }

    fn registration(&self, id: NodeId, name: &str) -> openred_core::RegistrationId {
        *self.nodes[id.0].books.registrations.get(&parsed(name)).unwrap_or_else(|| panic!("{id} does not offer {name}"))
    }

    fn order(
        &mut self,
        id: NodeId,
        what: impl Into<String>,
        limit: Duration,
        give: impl FnOnce(&mut Machine, OpId, Now),
    ) -> Order {
        let op = OpId(self.fresh_id());
        let what = what.into();
        let node = &mut self.nodes[id.0];
        let (life, now) = (node.life, node.clock.now(self.now));
        self.trace.note(self.now, id, op.0, &(op, &what));
        node.orders.insert(op, Fate::Pending { what, since: self.now });
        self.pending += 1;
        give(node.machine().unwrap_or_else(|| panic!("{id} is not running")), op, now);
        self.after(limit + GRACE, Happening::Overdue { node: id, life, op });
        self.settle(id);
        Order { node: id, op }
    }

    /// A machine has answered an order.
    pub(super) fn done(&mut self, id: NodeId, op: OpId, outcome: Result<Outcome, Error>) {
        let (seed, now) = (self.seed, self.now);
        let node = &mut self.nodes[id.0];
        let fate = node.orders.get_mut(&op);
        let Some(Fate::Pending { since, .. }) = fate.as_deref() else {
            panic!("seed {seed}: {id} answers {op:?} with {outcome:?}, but it stands at {fate:?}");
        };
        let took = now - *since;
        match &outcome {
            Ok(Outcome::Provided(registration)) => {
                if let Some(name) = node.books.provides.remove(&op) {
                    node.books.registrations.insert(name, *registration);
                }
            }
            Ok(Outcome::Opened(open)) => {
                if let Some(wire) = node.books.opened.remove(open) {
                    node.books.streams.insert(op, wire);
                }
            }
            _ => {}
        }
        self.nodes[id.0].orders.insert(op, Fate::Done { outcome: Box::new(outcome), took });
        self.pending -= 1;
    }

    pub(super) fn must_be_answered(&self, id: NodeId, life: u64, op: OpId) {
        let node = &self.nodes[id.0];
        if let (true, Some(Fate::Pending { what, since })) = (node.life == life, node.orders.get(&op)) {
            panic!("seed {}: {id} has not answered \"{what}\", which it was told at {since:?}", self.seed);
        }
    }
}

fn parsed(name: &str) -> ServiceName {
    name.parse().expect("a service's name")
}

fn found(outcome: Outcome) -> Found {
    match outcome {
        Outcome::Found(found) => found,
        other => panic!("a find ended with {other:?}"),
    }
}
