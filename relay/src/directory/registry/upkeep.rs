//! What a registry does by itself: reading the store at its start, judging the silent, writing signs of life down, removing
//! what has expired, and following the change log, its own and that of other instances.

use std::{sync::Arc, time::Duration};

use libp2p_identity::PeerId;
use openred_core::time::Now;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};

use super::{
    super::store::{ChangeKind, Liveness, StoreError, Write},
    BANS, Shared,
    writer::Job,
};

/// Rows of one page when the store is followed.
const PAGE: usize = 2000;

/// Signs of life of one write. A registration that comes in between waits for one of them, some milliseconds.
const CHUNK: usize = 1000;

/// How often the lifecycle is looked after. Its shortest wait is seconds long, and a look that finds nothing costs nothing.
const JUDGE: Duration = Duration::from_millis(500);

/// Pause between two readings of the change log while much is written, so that watchers read in batches.
const PAUSE: Duration = Duration::from_millis(20);

/// Reads the store into the index, and from then on nobody is judged for the time of grace. The newest stamp of liveness.
pub(super) async fn load(shared: &Arc<Shared>) -> Result<u64, StoreError> {
    // Read first: what others write meanwhile is followed afterwards, and finds itself there already.
    let newest = shared.store.changes(u64::MAX, 1).await?.newest;
    let stamp = shared.store.newest_stamp().await?;
    shared.changes.start(newest);
    let (index, now) = (Arc::clone(shared), shared.clock.now());
    shared.store.load(Box::new(move |kept| index.index().restore(now, &kept))).await?;
    load_bans(shared).await?;
    let now = shared.clock.now();
    let mut index = shared.index();
    if index.len() > 0 {
        index.tell(|lifecycle| lifecycle.handle_absence(now));
    }
    Ok(stamp)
}

async fn load_bans(shared: &Shared) -> Result<(), StoreError> {
    let now = shared.clock.now().unix_ms;
    let mut bans = std::collections::HashMap::new();
    let mut after = None;
    loop {
        let page = shared.store.notes(BANS, after, PAGE, now).await?;
        after = page.last().map(|note| note.key.clone());
        let is_last = page.len() < PAGE;
        bans.extend(page.into_iter().filter_map(|note| Some((PeerId::from_bytes(&note.key).ok()?, note.expires))));
        if is_last {
            break;
        }
    }
    shared.index().bans = bans;
    Ok(())
}

/// Judges the silent.
pub(super) async fn judge(shared: Arc<Shared>) {
    let mut ticks = ticks(JUDGE);
    loop {
        ticks.tick().await;
        let now = shared.clock.now();
        {
            let mut index = shared.index();
            if index.lifecycle().poll_timeout().is_some_and(|due| due <= now.elapsed) {
                index.tell(|lifecycle| lifecycle.handle_timeout(now));
            }
        }
        write_news(&shared, now).await;
    }
}

/// Writes down what the lifecycle decided, and tells whom to check.
async fn write_news(shared: &Shared, now: Now) {
    let (news, is_check_wished) = {
        let mut index = shared.index();
        (index.take_news(), index.is_check_wished())
    };
    if is_check_wished {
        shared.wished.notify_one();
    }
    for chunk in news.moved.chunks(CHUNK) {
        send(shared, Write::Liveness(chunk.to_vec(), now.unix_ms)).await;
    }
    for peer in news.died {
        send(shared, Write::Forget { peer, why: ChangeKind::Died, at: now.unix_ms }).await;
    }
}

/// Writes signs of life down and removes what has expired.
pub(super) async fn keep(shared: Arc<Shared>) {
    let (mut flushes, mut purges) = (ticks(shared.config.flush), ticks(shared.config.purge));
    loop {
        tokio::select! {
            _ = flushes.tick() => flush(&shared).await,
            _ = purges.tick() => {
                let now = shared.clock.now().unix_ms;
                let (changes, audit) = (shared.config.changes, shared.config.audit);
                send(&shared, Write::Purge { now, changes, audit }).await;
                shared.index().purge(now);
                // Another instance may have banned somebody who was never here, which no change tells.
                if let Err(error) = load_bans(&shared).await {
                    tracing::debug!(%error, "bans cannot be read");
                }
            }
        }
    }
}

/// Writes the signs of life that only memory knows.
pub(super) async fn flush(shared: &Shared) {
    let now = shared.clock.now();
    // A sign of life that is written first would make the moves before it look outdated.
    write_news(shared, now).await;
    let mut rows = shared.index().take_dirty(now);
    // Neighbours in the store are written together.
    rows.sort_unstable_by(|a, b| a.peer.as_ref().digest().cmp(b.peer.as_ref().digest()));
    for chunk in rows.chunks(CHUNK) {
        send(shared, Write::Liveness(chunk.to_vec(), now.unix_ms)).await;
    }
}

/// Hands a write of the registry's own to the writer, and waits for its place in the queue.
async fn send(shared: &Shared, write: Write) {
    // The writer ends only with the registry.
    let _ = shared.jobs.send(Job { write, done: None }).await;
}

/// Reads the change log whenever something was written here, and every now and then what others wrote. Asks a database that was
/// away whether it is back.
pub(super) async fn follow(shared: Arc<Shared>, mut writes: watch::Receiver<u64>, mut stamp: u64) {
    loop {
        if let Ok(Err(_)) = timeout(shared.config.tail, writes.changed()).await {
            return;
        }
        if let Err(error) = catch_up(&shared, &mut stamp).await {
            tracing::debug!(%error, "the change log cannot be read");
            if error.is_passing() {
                *shared.trouble() = Some(error);
            }
        }
        // Whoever is sent elsewhere because of it brings no write that would show that it is back.
        if shared.trouble().is_some() && shared.store.ping().await.is_ok() {
            *shared.trouble() = None;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn catch_up(shared: &Shared, stamp: &mut u64) -> Result<(), StoreError> {
    loop {
        let read = shared.store.changes(shared.changes.position(), PAGE).await?;
        let is_last = read.changes.len() < PAGE;
        let mut peers: Vec<PeerId> =
            read.changes.iter().filter(|change| change.is_foreign).map(|change| change.peer).collect();
        peers.sort_unstable();
        peers.dedup();
        if !peers.is_empty() {
            // First, so that nobody who was banned elsewhere finds a gap to come back through.
            load_bans(shared).await?;
            refresh(shared, peers).await?;
        }
        shared.changes.extend(read.dropped, read.changes);
        if is_last {
            break;
        }
    }
    loop {
        let rows = shared.store.liveness(*stamp, PAGE).await?;
        let Some((newest, _)) = rows.last() else { return Ok(()) };
        *stamp = *newest;
        let now = shared.clock.now();
        let mut index = shared.index();
        for (_, row) in &rows {
            hear_of(&mut index, now, row);
        }
        if rows.len() < PAGE {
            return Ok(());
        }
    }
}

/// Reads nodes again that another instance changed.
async fn refresh(shared: &Shared, peers: Vec<PeerId>) -> Result<(), StoreError> {
    let rows = shared.store.nodes_of(peers.clone()).await?;
    let records = shared.store.services_of(peers.clone()).await?;
    let now = shared.clock.now();
    let mut index = shared.index();
    for peer in &peers {
        if !rows.iter().any(|row| row.peer == *peer) {
            index.remove(peer);
        }
    }
    rows.iter().for_each(|row| row.kept(|kept| index.restore_node(now, &kept)));
    let mut by_provider = std::collections::BTreeMap::<PeerId, Vec<_>>::new();
    for record in records {
        by_provider.entry(record.record().provider).or_default().push(record);
    }
    for peer in &peers {
        index.set_services(now, peer, by_provider.get(peer).map_or(&[], Vec::as_slice));
    }
    Ok(())
}

fn hear_of(index: &mut super::index::Index, now: Now, row: &Liveness) {
    if let Some(id) = index.find(&row.peer) {
        index.hear_of(now, id, row.standing.state, row.heard);
    }
}

fn ticks(period: Duration) -> tokio::time::Interval {
    let mut ticks = interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
