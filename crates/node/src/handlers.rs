//! The services that this program answers for: a name, and a queue of the streams that peers open to it.
//!
//! Bounds: [`MAX_HANDLERS`] names; [`MAX_WAITING`] accepted streams wait for each, further ones are told that the
//! provider is busy.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use futures::{Stream, StreamExt, channel::mpsc};
use openred_core::{error::Error, map::Map, name::ServiceName, wire::stream::Status};

use crate::service_stream::ServiceStream;

/// Names answered for at once; as many as may be offered.
const MAX_HANDLERS: usize = 1024;

/// Streams waiting for one handler; a handler that is slower than this lets openers wait in vain.
const MAX_WAITING: usize = 64;

/// The table, shared by the node and its driver.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handlers(Arc<Mutex<Map<ServiceName, mpsc::Sender<ServiceStream>>>>);

impl Handlers {
    /// Registers a name; an error if it is taken.
    pub(crate) fn register(&self, name: ServiceName) -> Result<Handler, Error> {
        let mut table = self.table();
        if table.contains_key(&name) {
            return Err(Error::InvalidOption(format!("\"{name}\" has a handler already; close that one first")));
        }
        if table.len() >= MAX_HANDLERS {
            return Err(Error::Quota(format!("this node handles {MAX_HANDLERS} names already")));
        }
        let (sender, streams) = mpsc::channel(MAX_WAITING);
        table.insert(name.clone(), sender);
        Ok(Handler { name, streams, handlers: self.clone() })
    }

    /// Whether a stream to this name is accepted at this moment.
    pub(crate) fn status(&self, name: &ServiceName) -> Status {
        match self.table().get_mut(name) {
            None => Status::NotFound,
            Some(sender) if sender.is_closed() => Status::NotFound,
            Some(_) => Status::Ok,
        }
    }

    /// Hands a stream over; dropped, and so reset, if the handler has gone or is too slow.
    pub(crate) fn deliver(&self, name: &ServiceName, stream: ServiceStream) -> bool {
        self.table().get_mut(name).is_some_and(|sender| sender.try_send(stream).is_ok())
    }

    /// Ends every handler's stream.
    pub(crate) fn close(&self) {
        self.table().clear();
    }

    fn remove(&self, name: &ServiceName) {
        self.table().remove(name);
    }

    fn table(&self) -> MutexGuard<'_, Map<ServiceName, mpsc::Sender<ServiceStream>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The streams that peers open to one name, as they come. Dropping it stops answering for the name.
#[derive(Debug)]
pub struct Handler {
    name: ServiceName,
    streams: mpsc::Receiver<ServiceStream>,
    handlers: Handlers,
}

impl Handler {
    /// The name answered for.
    pub fn name(&self) -> &ServiceName {
        &self.name
    }

    /// The next stream; none once the node is closed.
    pub async fn next(&mut self) -> Option<ServiceStream> {
        StreamExt::next(self).await
    }
}

impl Stream for Handler {
    type Item = ServiceStream;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ServiceStream>> {
        self.streams.poll_next_unpin(cx)
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        self.handlers.remove(&self.name);
    }
}
