//! The embedded store: one SQLite file, for one instance.
//!
//! A write-ahead log lets readers go on while one connection writes. `synchronous = FULL` syncs the log with every commit, so
//! what is acknowledged survives a power cut too; batches make that affordable. Statements run on threads for blocking work.
//!
//! SQLite does not notice when its file is moved away, and would go on writing into a file that nobody finds again. So every
//! batch looks first whether the file is the one that was opened, and opens it anew when it is back.
//!
//! Bounds: one writing connection, [`READERS`] reading ones, and as many waiters as the caller has.

mod errors;
mod read;
mod rows;
mod write;

use std::{
    cmp,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use libp2p_identity::PeerId;
use openred_core::record::SignedRecord;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, config::DbConfig};
use tokio::sync::Semaphore;

use super::{
    Answer, AuditRow, Changes, Liveness, NodeQuery, NodeRow, Note, Outcome, ServiceKey, ServiceQuery, Sink, Source,
    Store, StoreError, Taker, Write,
};

/// Connections that read at a time, a guess: more than a small machine has cores.
const READERS: usize = 4;

/// How long a connection waits for a lock that another process holds, before the store is called unavailable.
const LOCK_TIME: Duration = Duration::from_secs(2);

/// How long to let go of a lock before it is asked for anew.
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// Prepared statements a connection keeps; there are some forty.
const STATEMENTS: usize = 64;

/// The migrations in order; the database's `user_version` says how many it has seen.
const MIGRATIONS: [&str; 1] = [include_str!("migrations/sqlite/1.sql")];

/// See the module's documentation.
pub(crate) struct SqliteStore {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    writer: Mutex<Option<Opened>>,
    readers: Mutex<Vec<Opened>>,
    /// Held by the work itself, which goes on when nobody waits for it any more.
    slots: Arc<Semaphore>,
    closed: AtomicBool,
}

/// A connection and the file it was opened on.
struct Opened {
    connection: Connection,
    file: Option<FileId>,
}

impl SqliteStore {
    /// Opens the file, making it if need be, and brings it up to date.
    pub(crate) async fn open(path: &Path) -> Result<Self, StoreError> {
        Self::with(path, Opened::for_writing).await
    }

    /// Opens a file that is there to read it alone: it is not brought up to date, and when the store is closed the file is as it
    /// was, and so is what lies beside it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Older`] or [`StoreError::Newer`] if another release made it.
    pub(crate) async fn open_to_copy(path: &Path) -> Result<Self, StoreError> {
        Self::with(path, Opened::for_copying).await
    }

    async fn with(path: &Path, open: fn(&Path) -> Result<Opened, StoreError>) -> Result<Self, StoreError> {
        let path = path.to_owned();
        let opened = blocking({
            let path = path.clone();
            move || open(&path)
        });
        let writer = Mutex::new(Some(opened.await?));
        let shared = Shared {
            path,
            writer,
            readers: Mutex::default(),
            slots: Arc::new(Semaphore::new(READERS)),
            closed: AtomicBool::new(false),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Runs `work` on the writing connection.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let shared = Arc::clone(&self.shared);
        blocking(move || {
            let mut writer = shared.writer.lock().unwrap_or_else(PoisonError::into_inner);
            if shared.closed.load(Ordering::Relaxed) {
                return Err(closed());
            }
            if writer.as_ref().is_some_and(|opened| !opened.is_in_place(&shared.path)) {
                tracing::warn!(file = %shared.path.display(), "the directory's database is not where it was opened");
                *writer = None;
                shared.readers.lock().unwrap_or_else(PoisonError::into_inner).clear();
            }
            if writer.is_none() && !shared.path.exists() {
                return Err(StoreError::Unavailable(format!("`{}` is gone", shared.path.display())));
            }
            let opened = match writer.take() {
                Some(opened) => writer.insert(opened),
                None => writer.insert(Opened::for_writing(&shared.path)?),
            };
            work(&mut opened.connection)
        })
        .await
    }

    /// Runs `work` on a reading connection.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let slot = Arc::clone(&self.shared.slots).acquire_owned().await.map_err(|_| closed())?;
        let shared = Arc::clone(&self.shared);
        blocking(move || {
            let _slot = slot;
            let idle = shared.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut opened = match idle {
                Some(opened) => opened,
                None => Opened::for_reading(&shared.path)?,
            };
            let result = work(&mut opened.connection);
            if opened.connection.is_autocommit() {
                shared.readers.lock().unwrap_or_else(PoisonError::into_inner).push(opened);
            }
            result
        })
        .await
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable("it is closed".to_owned())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(StoreError::Unavailable(format!("the work on the database ended early: {error}"))))
}

impl Opened {
    fn for_writing(path: &Path) -> Result<Self, StoreError> {
        let connection = Connection::open(path).map_err(errors::opening)?;
        connection.busy_timeout(LOCK_TIME)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        write_ahead(&connection)?;
        connection.pragma_update(None, "synchronous", "full")?;
        // The log is cut back to this after a burst of writes.
        connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
        connection.pragma_update(None, "cache_size", -16 * 1024)?;
        connection.pragma_update(None, "temp_store", "memory")?;
        let mut opened = Self { connection, file: FileId::of(path) };
        opened.migrate()?;
        Ok(opened)
    }

    /// Holds the file for readers. Whoever closes it last takes the log into it and removes the log, which is right for one of our
    /// own making; one that lies there already belongs to a relay, or to one that crashed.
    fn for_copying(path: &Path) -> Result<Self, StoreError> {
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        let has_log = Path::new(&log).exists();
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(errors::opening)?;
        connection.busy_timeout(LOCK_TIME)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, has_log)?;
        connection.pragma_update(None, "query_only", true)?;
        let found: i64 =
            connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(errors::opening)?;
        let known = MIGRATIONS.len() as i64;
        match found.cmp(&known) {
            cmp::Ordering::Less => Err(StoreError::Older { found, known }),
            cmp::Ordering::Greater => Err(StoreError::Newer { found, known }),
            cmp::Ordering::Equal => Ok(Self { connection, file: FileId::of(path) }),
        }
    }

    fn for_reading(path: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(errors::opening)?;
        connection.busy_timeout(LOCK_TIME)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        Ok(Self { connection, file: FileId::of(path) })
    }

    /// Carries out the migrations that are missing. The write lock is taken first, so of two processes that start at once one
    /// finds the other's work done.
    fn migrate(&mut self) -> Result<(), StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let known = MIGRATIONS.len() as i64;
        if found > known {
            return Err(StoreError::Newer { found, known });
        }
        for migration in &MIGRATIONS[usize::try_from(found).unwrap_or(0)..] {
            transaction.execute_batch(migration)?;
        }
        transaction.pragma_update(None, "user_version", known)?;
        transaction.commit()?;
        Ok(())
    }

    fn is_in_place(&self, path: &Path) -> bool {
        self.file.is_none() || self.file == FileId::of(path)
    }
}

/// Switches to the write-ahead log. The switch raises a read lock to an exclusive one, for which SQLite does not wait as
/// `busy_timeout` says: two that wait for each other so would wait for ever. So whoever finds the file locked, by another
/// process that starts too, lets go and asks anew.
fn write_ahead(connection: &Connection) -> Result<(), rusqlite::Error> {
    let deadline = Instant::now() + LOCK_TIME;
    loop {
        match connection.pragma_update(None, "journal_mode", "wal") {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && Instant::now() < deadline => {
                std::thread::sleep(LOCK_PAUSE);
            }
            other => return other,
        }
    }
}

/// What tells a file from another at the same path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct FileId(u64, u64);

impl FileId {
    /// None if there is no file, or where the system has no such thing.
    #[cfg(unix)]
    fn of(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(path).ok().map(|file| Self(file.dev(), file.ino()))
    }

    #[cfg(not(unix))]
    fn of(_: &Path) -> Option<Self> {
        None
    }
}

impl Store for SqliteStore {
    fn apply(&self, writes: Vec<Write>) -> Answer<'_, Vec<Outcome>> {
        Box::pin(self.write(move |connection| write::apply(connection, &writes)))
    }

    fn nodes(&self, query: NodeQuery, after: Option<PeerId>, limit: usize) -> Answer<'_, Vec<NodeRow>> {
        Box::pin(self.read(move |connection| read::nodes(connection, &query, after, limit)))
    }

    fn nodes_of(&self, peers: Vec<PeerId>) -> Answer<'_, Vec<NodeRow>> {
        Box::pin(self.read(move |connection| read::nodes_of(connection, &peers)))
    }

    fn services(&self, query: ServiceQuery, after: Option<ServiceKey>, limit: usize) -> Answer<'_, Vec<SignedRecord>> {
        Box::pin(self.read(move |connection| read::services(connection, &query, after.as_ref(), limit)))
    }

    fn services_of(&self, providers: Vec<PeerId>) -> Answer<'_, Vec<SignedRecord>> {
        Box::pin(self.read(move |connection| read::services_of(connection, &providers)))
    }

    fn load(&self, taker: Taker) -> Answer<'_, ()> {
        Box::pin(self.read(move |connection| read::load(connection, taker)))
    }

    fn changes(&self, after: u64, limit: usize) -> Answer<'_, Changes> {
        Box::pin(self.read(move |connection| read::changes(connection, after, limit)))
    }

    fn liveness(&self, _: u64, _: usize) -> Answer<'_, Vec<(u64, Liveness)>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn newest_stamp(&self) -> Answer<'_, u64> {
        Box::pin(async { Ok(0) })
    }

    fn audit(&self, before: Option<u64>, limit: usize) -> Answer<'_, Vec<AuditRow>> {
        Box::pin(self.read(move |connection| read::audit(connection, before, limit)))
    }

    fn notes(&self, space: &'static str, after: Option<Vec<u8>>, limit: usize, now: u64) -> Answer<'_, Vec<Note>> {
        Box::pin(self.read(move |connection| read::notes(connection, space, after.as_deref(), limit, now)))
    }

    fn ping(&self) -> Answer<'_, ()> {
        Box::pin(self.write(write::touch))
    }

    fn export(&self, sink: Sink) -> Answer<'_, ()> {
        Box::pin(self.read(move |connection| read::export(connection, sink)))
    }

    fn import(&self, source: Source) -> Answer<'_, u64> {
        Box::pin(self.write(move |connection| write::import(connection, source)))
    }

    /// The last connection to be closed takes the log into the database and removes it, if it may write.
    fn close(&self) -> Answer<'_, ()> {
        Box::pin(async {
            let shared = Arc::clone(&self.shared);
            // Once nobody reads, nobody begins to.
            let reading = shared.slots.acquire_many(READERS as u32).await;
            shared.slots.close();
            drop(reading);
            blocking({
                let shared = Arc::clone(&shared);
                move || {
                    let mut writer = shared.writer.lock().unwrap_or_else(PoisonError::into_inner);
                    shared.closed.store(true, Ordering::Relaxed);
                    shared.readers.lock().unwrap_or_else(PoisonError::into_inner).clear();
                    let Some(Opened { connection, .. }) = writer.take() else { return Ok(()) };
                    connection.close().map_err(|(_, error)| error.into())
                }
            })
            .await
        })
    }
}

#[cfg(test)]
mod tests;
