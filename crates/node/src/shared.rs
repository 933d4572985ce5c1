//! The machine and what is counted beside it, where both the driver and the node's handles can look.
//!
//! The driver holds the lock while it tells the machine one fact or takes one action; nobody holds it across an await.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use libp2p::PeerId;
use openred_core::{Input, Machine, Output, map::Map};

use crate::platform::now;

/// See the module's documentation.
#[derive(Clone, Debug)]
pub(crate) struct Shared(Arc<Mutex<State>>);

/// What stands behind the lock.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) machine: Machine,
    pub(crate) relayed: Relayed,
}

/// What this node gives as a relay.
#[derive(Clone, Debug, Default)]
pub(crate) struct Relayed {
    /// How many reservations each peer holds.
    pub(crate) reservations: Map<PeerId, usize>,
    pub(crate) circuits: usize,
}

impl Shared {
    pub(crate) fn new(machine: Machine) -> Self {
        Self(Arc::new(Mutex::new(State { machine, relayed: Relayed::default() })))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the machine a fact.
    pub(crate) fn tell(&self, input: Input) {
        self.lock().machine.handle_input(input, now());
    }

    pub(crate) fn poll_output(&self) -> Option<Output> {
        self.lock().machine.poll_output()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Duration> {
        self.lock().machine.poll_timeout().map(|(at, _)| at)
    }
}
