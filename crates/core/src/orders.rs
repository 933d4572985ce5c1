//! The orders of the application that have not ended, and their time limits.
//!
//! Finds are not among them: they keep their own time. An order leaves this list in the moment in which its
//! [`Output::Done`](crate::Output::Done) is queued, so that it ends once.

use std::time::Duration;

use crate::{boundary::OpId, map::Map};

/// What is remembered of an order.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) kind: OrderKind,
    /// What it does, for the message of a time-out.
    pub(crate) what: &'static str,
    pub(crate) limit: Duration,
    pub(crate) deadline: Duration,
}

/// The kinds of orders that have time limits here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OrderKind {
    Join,
    Publish,
    Open,
    Close,
}

/// See the module's documentation.
pub(crate) type Orders = Map<OpId, Order>;
