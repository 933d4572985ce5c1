//! The shared store: one PostgreSQL database for several instances of a directory.
//!
//! Every batch begins with one advisory lock and holds it to its end, so batches of all instances follow one another: numbers
//! of changes grow in the order in which readers see them, and of two rival records the same one wins everywhere. Within a
//! batch all statements are sent at once, so a batch costs few round trips, however far away the database is. Each row
//! tells which instance wrote it, so that an instance can follow the others.
//!
//! A connection that breaks is replaced by the pool; what was under way fails as unavailable and was not acknowledged.
//!
//! The connection is encrypted if the URL says `sslmode=require`; then the server's certificate is verified with the
//! certificates that the system trusts (or those of `SSL_CERT_FILE`).

mod read;
mod rows;
mod write;

use std::{cmp, str::FromStr, time::Duration};

use deadpool_postgres::{
    Client, Hook, HookError, Manager, ManagerConfig, Pool, PoolError, RecyclingMethod, Runtime, Timeouts,
};
use libp2p_identity::PeerId;
use openred_core::record::SignedRecord;
use tokio_postgres::{Config, NoTls, config::SslMode, error::SqlState};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    Answer, AuditRow, Changes, Liveness, NodeQuery, NodeRow, Note, Outcome, ServiceKey, ServiceQuery, Sink, Source,
    Store, StoreError, Taker, Write,
};

/// Connections at a time. A small PostgreSQL allows 100; eight for each of several instances leave room for others.
const CONNECTIONS: usize = 8;

/// How long to wait for a connection, and for the database to take one.
const CONNECT_TIME: Duration = Duration::from_secs(3);

/// What every connection is told. The longest statement is a batch of signs of life, some 100 ms.
const SESSION: &str = "SET statement_timeout = '5s'; SET lock_timeout = '3s'; SET idle_in_transaction_session_timeout = '30s'; \
     SET synchronous_commit = on; SET client_min_messages = warning";

/// The advisory lock of batches: "openred" as a number.
const LOCK: i64 = 0x006f_7065_6e72_6564;

/// The names under which a relay and a command are connected, as the database shows them.
const RELAY: &str = "openred";
const COMMAND: &str = "openred command";

/// The migrations in order; the table `openred_schema` says how many the database has seen.
const MIGRATIONS: [&str; 1] = [include_str!("migrations/postgres/1.sql")];

/// See the module's documentation.
pub(crate) struct PostgresStore {
    pool: Pool,
    /// This instance, as rows name it.
    origin: i64,
}

impl PostgresStore {
    /// Connects to a database, `postgres://user:password@host/name`, and brings it up to date. `origin` must be another
    /// number for each instance and each start.
    pub(crate) async fn open(url: &str, origin: i64) -> Result<Self, StoreError> {
        let store = Self::connect(url, origin, RELAY)?;
        store.migrate().await?;
        Ok(store)
    }

    /// Connects to a database to read it alone: it is not brought up to date.
    ///
    /// # Errors
    ///
    /// [`StoreError::Older`] or [`StoreError::Newer`] if another release made it.
    pub(crate) async fn open_to_copy(url: &str, origin: i64) -> Result<Self, StoreError> {
        let store = Self::connect(url, origin, COMMAND)?;
        let client = store.client().await?;
        let has_schema: bool =
            client.query_one("SELECT to_regclass('openred_schema') IS NOT NULL", &[]).await?.try_get(0)?;
        let found = match has_schema {
            true => client.query_opt("SELECT version FROM openred_schema", &[]).await?,
            false => None,
        };
        let found: i64 = found.map_or(Ok(0), |row| row.try_get(0))?;
        let known = MIGRATIONS.len() as i64;
        match found.cmp(&known) {
            cmp::Ordering::Less => Err(StoreError::Older { found, known }),
            cmp::Ordering::Greater => Err(StoreError::Newer { found, known }),
            cmp::Ordering::Equal => Ok(store),
        }
    }

    /// Like [`Self::open`], for who replaces what relays hold in memory: refused while a relay is connected.
    pub(crate) async fn open_alone(url: &str, origin: i64) -> Result<Self, StoreError> {
        let store = Self::connect(url, origin, COMMAND)?;
        let text = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1";
        let connections: i64 = store.client().await?.query_one(text, &[&RELAY]).await?.try_get(0)?;
        if connections > 0 {
            return Err(StoreError::Refused(format!(
                "the database of --database is in use by relays ({connections} connections); stop them first"
            )));
        }
        store.migrate().await?;
        Ok(store)
    }

    fn connect(url: &str, origin: i64, application: &str) -> Result<Self, StoreError> {
        let mut config = Config::from_str(url)
            .map_err(|error| StoreError::Refused(format!("the database URL: {}", text(&error))))?;
        config.connect_timeout(CONNECT_TIME).application_name(application).tcp_user_timeout(Duration::from_secs(10));
        let manager_config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = if config.get_ssl_mode() == SslMode::Require {
            let (tls, _) = MakeRustlsConnect::with_native_certs().map_err(|errors| {
                StoreError::Unavailable(format!("the certificates that the system trusts cannot be read: {errors:?}"))
            })?;
            Manager::from_config(config, tls, manager_config)
        } else {
            config.ssl_mode(SslMode::Disable);
            Manager::from_config(config, NoTls, manager_config)
        };
        let session = Hook::async_fn(|client, _| {
            Box::pin(async move { client.batch_execute(SESSION).await.map_err(HookError::Backend) })
        });
        let times = Timeouts { wait: Some(CONNECT_TIME), create: Some(CONNECT_TIME), recycle: Some(CONNECT_TIME) };
        let pool = Pool::builder(manager)
            .max_size(CONNECTIONS)
            .timeouts(times)
            .runtime(Runtime::Tokio1)
            .post_create(session)
            .build()
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self { pool, origin })
    }

    async fn client(&self) -> Result<Client, StoreError> {
        Ok(self.pool.get().await?)
    }

    /// Carries out the migrations that are missing. Of two instances that start at once, one waits and finds the work done.
    async fn migrate(&self) -> Result<(), StoreError> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        transaction.batch_execute("SET LOCAL statement_timeout = '60s'; SET LOCAL lock_timeout = '60s'").await?;
        transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
        transaction.batch_execute("CREATE TABLE IF NOT EXISTS openred_schema (version bigint NOT NULL)").await?;
        let found = transaction.query_opt("SELECT version FROM openred_schema", &[]).await?;
        let found: i64 = found.map_or(Ok(0), |row| row.try_get(0))?;
        let known = MIGRATIONS.len() as i64;
        if found > known {
            return Err(StoreError::Newer { found, known });
        }
        for migration in &MIGRATIONS[usize::try_from(found).unwrap_or(0)..] {
            transaction.batch_execute(migration).await?;
        }
        if found < known {
            transaction.execute("DELETE FROM openred_schema", &[]).await?;
            transaction.execute("INSERT INTO openred_schema VALUES ($1)", &[&known]).await?;
        }
        Ok(transaction.commit().await?)
    }
}

impl Store for PostgresStore {
    fn apply(&self, writes: Vec<Write>) -> Answer<'_, Vec<Outcome>> {
        Box::pin(async move { write::apply(&mut self.client().await?, self.origin, &writes).await })
    }

    fn nodes(&self, query: NodeQuery, after: Option<PeerId>, limit: usize) -> Answer<'_, Vec<NodeRow>> {
        Box::pin(async move { read::nodes(&self.client().await?, &query, after, limit).await })
    }

    fn nodes_of(&self, peers: Vec<PeerId>) -> Answer<'_, Vec<NodeRow>> {
        Box::pin(async move { read::nodes_of(&self.client().await?, &peers).await })
    }

    fn services(&self, query: ServiceQuery, after: Option<ServiceKey>, limit: usize) -> Answer<'_, Vec<SignedRecord>> {
        Box::pin(async move { read::services(&self.client().await?, &query, after.as_ref(), limit).await })
    }

    fn services_of(&self, providers: Vec<PeerId>) -> Answer<'_, Vec<SignedRecord>> {
        Box::pin(async move { read::services_of(&self.client().await?, &providers).await })
    }

    fn load(&self, taker: Taker) -> Answer<'_, ()> {
        Box::pin(async move { read::load(&mut self.client().await?, taker).await })
    }

    fn changes(&self, after: u64, limit: usize) -> Answer<'_, Changes> {
        Box::pin(async move { read::changes(&mut self.client().await?, self.origin, after, limit).await })
    }

    fn liveness(&self, stamp: u64, limit: usize) -> Answer<'_, Vec<(u64, Liveness)>> {
        Box::pin(async move { read::liveness(&self.client().await?, self.origin, stamp, limit).await })
    }

    fn newest_stamp(&self) -> Answer<'_, u64> {
        Box::pin(async move { read::newest_stamp(&self.client().await?).await })
    }

    fn audit(&self, before: Option<u64>, limit: usize) -> Answer<'_, Vec<AuditRow>> {
        Box::pin(async move { read::audit(&self.client().await?, before, limit).await })
    }

    fn notes(&self, space: &'static str, after: Option<Vec<u8>>, limit: usize, now: u64) -> Answer<'_, Vec<Note>> {
        Box::pin(async move { read::notes(&self.client().await?, space, after.as_deref(), limit, now).await })
    }

    fn ping(&self) -> Answer<'_, ()> {
        Box::pin(async move { write::touch(&mut self.client().await?).await })
    }

    fn export(&self, sink: Sink) -> Answer<'_, ()> {
        Box::pin(async move { read::export(&mut self.client().await?, sink).await })
    }

    fn close(&self) -> Answer<'_, ()> {
        self.pool.close();
        Box::pin(async { Ok(()) })
    }

    fn import(&self, source: Source) -> Answer<'_, u64> {
        Box::pin(async move { write::import(&mut self.client().await?, self.origin, source).await })
    }
}

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        let text = text(&error);
        let Some(state) = error.code() else {
            // A value that does not fit its column is an error of conversion; all else is the connection.
            return if is_conversion(&error) { Self::Corrupt(text) } else { Self::Unavailable(text) };
        };
        match *state {
            SqlState::DISK_FULL => Self::Full(text),
            SqlState::DATA_CORRUPTED | SqlState::INDEX_CORRUPTED => Self::Corrupt(text),
            _ => match &state.code()[..2] {
                // Data exceptions, broken constraints, and what a statement or its right of access lacks.
                "22" | "23" | "42" | "28" | "3D" => Self::Refused(text),
                _ => Self::Unavailable(text),
            },
        }
    }
}

impl From<PoolError> for StoreError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => error.into(),
            error => Self::Unavailable(error.to_string()),
        }
    }
}

fn is_conversion(error: &tokio_postgres::Error) -> bool {
    let text = error.to_string();
    text.starts_with("error deserializing")
        || text.starts_with("error serializing")
        || text.starts_with("invalid column")
}

/// The error with what the database or the system said. Neither holds the password.
fn text(error: &tokio_postgres::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
pub(crate) mod server;
#[cfg(test)]
mod tests;
