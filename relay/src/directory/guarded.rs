//! A store behind a circuit breaker: when the database is gone, callers fail at once and it is asked again now and then.
//!
//! A call that takes longer than [`CALL`] counts as a failure too; what it wanted may still have been done.

use std::{sync::Arc, time::Duration};

use libp2p_identity::PeerId;
use openred_core::record::SignedRecord;
use tokio::time::{Instant, timeout};

use super::breaker::{Breaker, Open};
use super::store::{
    Answer, AuditRow, Changes, Liveness, NodeQuery, NodeRow, Note, Outcome, ServiceKey, ServiceQuery, Sink, Source,
    Store, StoreError, Taker, Write,
};

/// Time for one call: below the time of a request, above what a database under load takes.
const CALL: Duration = Duration::from_secs(8);

/// Time for reading everything, or an import.
const WHOLE: Duration = Duration::from_secs(600);

/// See the module's documentation.
pub(crate) struct Guarded {
    inner: Arc<dyn Store>,
    breaker: Breaker,
    started: Instant,
}

impl Guarded {
    /// Guards `inner`.
    pub(crate) fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, breaker: Breaker::default(), started: Instant::now() }
    }

    async fn call<T>(&self, limit: Duration, call: Answer<'_, T>) -> Result<T, StoreError> {
        if let Err(Open(wait)) = self.breaker.admit(self.started.elapsed()) {
            return Err(StoreError::Unavailable(format!("it failed again and again; it is asked again in {wait:?}")));
        }
        let result = timeout(limit, call).await;
        let result = result.unwrap_or_else(|_| Err(StoreError::Unavailable(format!("no answer within {limit:?}"))));
        match &result {
            Err(StoreError::Unavailable(_)) => {
                if self.breaker.failed(self.started.elapsed()) {
                    tracing::error!("the directory's database is left alone for a while: it failed again and again");
                }
            }
            _ => self.breaker.succeeded(),
        }
        result
    }
}

impl Store for Guarded {
    fn apply(&self, writes: Vec<Write>) -> Answer<'_, Vec<Outcome>> {
        Box::pin(self.call(CALL, self.inner.apply(writes)))
    }

    fn nodes(&self, query: NodeQuery, after: Option<PeerId>, limit: usize) -> Answer<'_, Vec<NodeRow>> {
        Box::pin(self.call(CALL, self.inner.nodes(query, after, limit)))
    }

    fn nodes_of(&self, peers: Vec<PeerId>) -> Answer<'_, Vec<NodeRow>> {
        Box::pin(self.call(CALL, self.inner.nodes_of(peers)))
    }

    fn services(&self, query: ServiceQuery, after: Option<ServiceKey>, limit: usize) -> Answer<'_, Vec<SignedRecord>> {
        Box::pin(self.call(CALL, self.inner.services(query, after, limit)))
    }

    fn services_of(&self, providers: Vec<PeerId>) -> Answer<'_, Vec<SignedRecord>> {
        Box::pin(self.call(CALL, self.inner.services_of(providers)))
    }

    fn load(&self, taker: Taker) -> Answer<'_, ()> {
        Box::pin(self.call(WHOLE, self.inner.load(taker)))
    }

    fn changes(&self, after: u64, limit: usize) -> Answer<'_, Changes> {
        Box::pin(self.call(CALL, self.inner.changes(after, limit)))
    }

    fn liveness(&self, stamp: u64, limit: usize) -> Answer<'_, Vec<(u64, Liveness)>> {
        Box::pin(self.call(CALL, self.inner.liveness(stamp, limit)))
    }

    fn newest_stamp(&self) -> Answer<'_, u64> {
        Box::pin(self.call(CALL, self.inner.newest_stamp()))
    }

    fn audit(&self, before: Option<u64>, limit: usize) -> Answer<'_, Vec<AuditRow>> {
        Box::pin(self.call(CALL, self.inner.audit(before, limit)))
    }

    fn notes(&self, space: &'static str, after: Option<Vec<u8>>, limit: usize, now: u64) -> Answer<'_, Vec<Note>> {
        Box::pin(self.call(CALL, self.inner.notes(space, after, limit, now)))
    }

    fn ping(&self) -> Answer<'_, ()> {
        Box::pin(self.call(CALL, self.inner.ping()))
    }

    fn export(&self, sink: Sink) -> Answer<'_, ()> {
        Box::pin(self.call(WHOLE, self.inner.export(sink)))
    }

    fn import(&self, source: Source) -> Answer<'_, u64> {
        Box::pin(self.call(WHOLE, self.inner.import(source)))
    }

    fn close(&self) -> Answer<'_, ()> {
        self.inner.close()
    }
}
