//! Operations of the application on their way to the driver, and what an offer leaves in its hands.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{
    SinkExt,
    channel::{mpsc, oneshot},
};
use openred_core::{Error, OpId, RegistrationId, name::ServiceName, publish::OfferPatch};

use crate::{
    command::{Command, Operation},
    driver::Done,
};

/// Time for an offer, its update or its withdrawal to reach a write quorum: a cold join on a WAN, a reservation and two
/// rounds of messages fit three times.
pub(crate) const STORE_LIMIT: Duration = Duration::from_secs(30);

/// The way to the driver, which it does not keep alive.
#[derive(Clone, Debug)]
pub(crate) struct Operator {
    commands: mpsc::Sender<Command>,
    next: Arc<AtomicU64>,
}

impl Operator {
    pub(crate) fn new(commands: mpsc::Sender<Command>) -> Self {
        Self { commands, next: Arc::default() }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.commands.is_closed()
    }

    pub(crate) async fn send(&self, command: Command) -> Result<(), Error> {
        self.commands.clone().send(command).await.map_err(|_| Error::Closed)
    }

    /// Runs one operation. Dropping the returned future cancels it.
    pub(crate) async fn operate(&self, operation: Operation) -> Result<Done, Error> {
        let op = OpId(self.next.fetch_add(1, Ordering::Relaxed));
        let (done, outcome) = oneshot::channel();
        let mut pending = Pending { operator: self, op: Some(op) };
        self.send(Command::Operation { op, operation, done }).await?;
        let outcome = outcome.await;
        pending.op = None;
        outcome.map_err(|_| Error::Closed)?
    }

    /// Sends from where nothing can be awaited. A fresh sender has a place of its own in the queue, so this cannot fail
    /// while the driver lives.
    pub(crate) fn send_now(&self, command: Command) {
        let _ = self.commands.clone().try_send(command);
    }
}

/// Cancels an operation whose caller went away.
struct Pending<'a> {
    operator: &'a Operator,
    op: Option<OpId>,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if let Some(op) = self.op {
            self.operator.send_now(Command::Cancel(op));
        }
    }
}

/// An offered service. Dropping it takes the offer back in the background.
#[derive(Debug)]
pub struct Registration {
    pub(crate) operator: Operator,
    pub(crate) name: ServiceName,
    pub(crate) id: RegistrationId,
    pub(crate) withdrawn: bool,
}

impl Registration {
    /// The name offered.
    pub fn name(&self) -> &ServiceName {
        &self.name
    }

    /// Changes the offer. Resolves once a write quorum holds the new record.
    ///
    /// # Errors
    ///
    /// If the changed offer breaks a limit, in which case the old one stays, or `TIMEOUT` after 30 s.
    pub async fn update(&self, patch: OfferPatch) -> Result<(), Error> {
        let operation = Operation::Update { registration: self.id, patch, limit: STORE_LIMIT };
        self.operator.operate(operation).await.map(drop)
    }

    /// Takes the offer back. Resolves once a write quorum holds the withdrawal.
    ///
    /// # Errors
    ///
    /// `TIMEOUT` after 30 s; holders that were not told keep the record until its ttl ends.
    pub async fn withdraw(mut self) -> Result<(), Error> {
        self.withdrawn = true;
        let operation = Operation::Withdraw { registration: self.id, limit: STORE_LIMIT };
        self.operator.operate(operation).await.map(drop)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if !self.withdrawn {
            self.operator.send_now(Command::Withdraw(self.id));
        }
    }
}
