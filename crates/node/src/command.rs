//! What a node's handles say to its driver.

use std::time::Duration;

use futures::channel::oneshot;
use libp2p::{Multiaddr, PeerId};
use openred_core::{
    Error, Machine, Now, OpId, RegistrationId,
    find::FindOptions,
    name::ServiceTarget,
    open::Target,
    publish::{Offer, OfferPatch},
};

use crate::driver::Done;

/// One message to the driver.
pub(crate) enum Command {
    /// An order to the machine, and who waits for its end.
    Operation { op: OpId, operation: Operation, done: oneshot::Sender<Result<Done, Error>> },
    /// Nobody waits for this operation any more.
    Cancel(OpId),
    /// Take an offer back; nobody waits for it.
    Withdraw(RegistrationId),
    /// Try at once whatever waits for its turn.
    Wake,
    /// The network is another one.
    NetworkChanged,
    /// Do what is due: timers may be late.
    Tick,
    /// Close what would be missed late.
    HangUp,
    /// Stop without a word to anybody.
    Abandon,
    /// The platform has no network.
    NetworkGone,
}

/// An order to the machine.
pub(crate) enum Operation {
    Ready { limit: Duration },
    Provide { offer: Offer, limit: Duration },
    Update { registration: RegistrationId, patch: OfferPatch, limit: Duration },
    Withdraw { registration: RegistrationId, limit: Duration },
    Find { target: ServiceTarget, options: FindOptions },
    Open { target: Target, limit: Duration },
    Reach { peer: PeerId, addresses: Vec<Multiaddr>, limit: Duration },
    Close,
}

impl Operation {
    pub(crate) fn start(self, machine: &mut Machine, op: OpId, now: Now) {
        match self {
            Operation::Ready { limit } => machine.ready(op, limit, now),
            Operation::Provide { offer, limit } => machine.provide(op, offer, limit, now),
            Operation::Update { registration, patch, limit } => machine.update(op, registration, patch, limit, now),
            Operation::Withdraw { registration, limit } => machine.withdraw(Some(op), registration, limit, now),
            Operation::Find { target, options } => machine.find(op, target, options, now),
            Operation::Open { target, limit } => machine.open(op, target, limit, now),
            Operation::Reach { peer, addresses, limit } => machine.reach(op, peer, &addresses, limit, now),
            Operation::Close => machine.close(op, now),
        }
    }
}
