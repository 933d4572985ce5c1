//! Long calls that the page may give up.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    pin::pin,
};

use futures::{
    channel::oneshot,
    future::{Either, select},
};
use openred_node::core::{
    Error,
    map::{Map, Set},
};
use wasm_bindgen::JsValue;

use crate::convert::rejection;

/// The calls under way, by the number that the page chose for each. The page counts upwards.
#[derive(Default)]
pub(crate) struct Calls {
    running: RefCell<Map<u32, oneshot::Sender<()>>>,
    /// The highest number of a call that has begun. JavaScript has its promise one turn of the event loop earlier.
    begun: Cell<u32>,
    /// Calls that were given up before they began.
    unborn: RefCell<Set<u32>>,
}

impl Calls {
    /// Runs a call until it ends or is cancelled; a cancelled future is dropped, and with it what it held.
    pub(crate) async fn run<T>(&self, op: u32, call: impl Future<Output = Result<T, Error>>) -> Result<T, JsValue> {
        self.begun.set(self.begun.get().max(op));
        if self.unborn.borrow_mut().remove(&op) {
            return Err(rejection(&Error::Aborted));
        }
        let (cancel, cancelled) = oneshot::channel();
        self.running.borrow_mut().insert(op, cancel);
        let outcome = match select(pin!(call), cancelled).await {
            Either::Left((outcome, _)) => outcome,
            Either::Right(_) => Err(Error::Aborted),
        };
        self.running.borrow_mut().remove(&op);
        outcome.map_err(|error| rejection(&error))
    }

    pub(crate) fn cancel(&self, op: u32) {
        if self.running.borrow_mut().remove(&op).is_none() && op > self.begun.get() {
            self.unborn.borrow_mut().insert(op);
        }
    }
}
