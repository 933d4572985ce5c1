//! The one task that writes: it takes what waits, writes it in one transaction, brings the index up to date in the same order,
//! and only then tells the callers. So what is acknowledged is durable, and memory never shows what the store does not hold.
//!
//! While a transaction is under way the next batch gathers, so batches grow with the load and nobody waits for a timer. If the
//! store refuses one row of a batch, each write is tried alone, so that nobody's bad row costs others theirs.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::{
    super::store::{Outcome, StoreError, Write},
    Shared,
    index::Index,
};

/// A write that waits, and who waits for it.
pub(super) struct Job {
    pub(super) write: Write,
    pub(super) done: Option<oneshot::Sender<Result<Outcome, StoreError>>>,
}

/// Writes until the registry is dropped.
pub(super) async fn run(shared: Arc<Shared>, mut jobs: mpsc::Receiver<Job>, written: watch::Sender<u64>) {
    let mut batch = Vec::new();
    while jobs.recv_many(&mut batch, shared.config.batch).await > 0 {
        let (writes, waiting): (Vec<_>, Vec<_>) = batch.drain(..).map(|job: Job| (job.write, job.done)).unzip();
        let results = apply(&shared, &writes).await;
        {
            let mut index = shared.index();
            for (write, result) in writes.into_iter().zip(&results) {
                follow(&shared, &mut index, write, result);
            }
        }
        written.send_modify(|count| *count += 1);
        for (done, result) in waiting.into_iter().zip(results) {
            // Who gave up waiting is not told.
            let _ = done.map(|done| done.send(result));
        }
    }
}

async fn apply(shared: &Shared, writes: &[Write]) -> Vec<Result<Outcome, StoreError>> {
    let together = shared.store.apply(writes.to_vec()).await;
    *shared.trouble() = together.as_ref().err().filter(|error| error.is_passing()).cloned();
    match together {
        Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
        Err(StoreError::Refused(reason)) if writes.len() > 1 => {
            tracing::warn!(reason, "a batch was refused; its writes are tried one by one");
            let mut results = Vec::with_capacity(writes.len());
            for write in writes {
                let alone = shared.store.apply(vec![write.clone()]).await;
                let outcome = alone.map(|outcomes| outcomes.first().copied().unwrap_or(Outcome::Absent));
                results.push(outcome);
            }
            results
        }
        Err(error) => vec![Err(error); writes.len()],
    }
}

/// Brings the index up to date with what was written, or was not.
fn follow(shared: &Shared, index: &mut Index, write: Write, result: &Result<Outcome, StoreError>) {
    let now = shared.clock.now();
    match (write, result) {
        (Write::Node(row), Ok(Outcome::Applied)) => index.put_node(now, &row),
        (Write::Forget { peer, .. }, Ok(_)) => index.remove(&peer),
        (Write::Service { record, .. }, Ok(Outcome::Applied | Outcome::Known)) => index.put_service(now, &record),
        (Write::Withhold { peer, withheld, .. }, Ok(Outcome::Applied)) => index.withhold(&peer, withheld),
        (Write::Liveness(rows, _), Err(error)) => {
            // A state that was not written is written with the next sign of life, or decided again after a restart.
            tracing::warn!(rows = rows.len(), %error, "signs of life could not be written");
            index.put_back(&rows);
        }
        _ => {}
    }
}
