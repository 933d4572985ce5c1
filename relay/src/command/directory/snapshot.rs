//! `openred directory snapshot`: a directory's database to a file and back, without a relay.
//!
//! A snapshot does not depend on the database, so one of SQLite restored into PostgreSQL moves a directory.

use serde_json::json;

use super::super::output::{print_json, print_line};
use crate::{
    clock,
    config::{
        directory::{Place, SnapshotAction, SnapshotConfig},
        relay::Database,
    },
    data_dir::{DataDir, DataDirError},
    directory::{
        file_in, open_store_alone, open_store_to_copy,
        store::{NodeQuery, ServiceQuery, Store, StoreError, snapshot},
    },
    failure::Failure,
};

/// Takes or restores one.
pub(crate) async fn run(config: SnapshotConfig) -> Result<(), Failure> {
    let SnapshotConfig { file, place, action, json } = config;
    // Held until the end: a relay that starts meanwhile finds the data directory in use.
    let mut data = None;
    let url = match &place.database {
        Database::Postgres(url) => Some(url.as_str()),
        Database::Sqlite => {
            if action == SnapshotAction::Take {
                exists(&place)?;
            } else {
                // A file that is no snapshot should not leave an empty database behind.
                snapshot::check(&file).map_err(failed)?;
                data = Some(DataDir::open(&place.data).map_err(held)?);
            }
            None
        }
    };
    let store = match action {
        SnapshotAction::Take => open_store_to_copy(url, &place.data).await,
        SnapshotAction::Restore | SnapshotAction::Replace => open_store_alone(url, &place.data).await,
    };
    let store = store.map_err(unrefused)?;
    let done = match action {
        SnapshotAction::Take => snapshot::take(&*store, &file, clock::millis()).await,
        SnapshotAction::Replace => snapshot::restore(&*store, &file).await,
        SnapshotAction::Restore => match is_empty(&*store).await {
            Ok(true) => snapshot::restore(&*store, &file).await,
            Ok(false) => Err(StoreError::Refused(format!(
                "{} holds a directory already; --replace puts the snapshot in its place",
                told(&place)
            ))),
            Err(error) => Err(error),
        },
    };
    let closed = store.close().await;
    drop(data);
    let done = done.map_err(unrefused)?;
    closed.map_err(failed)?;
    if json {
        print_json(&json!({ "file": done.path, "rows": done.rows, "bytes": done.bytes, "madeAt": done.made }));
    } else {
        let (rows, bytes, file) = (done.rows, done.bytes, done.path.display());
        let what = if action == SnapshotAction::Take { "taken" } else { "restored" };
        print_line(&format!("{what}: {rows} rows, {bytes} bytes, {file}"));
    }
    Ok(())
}

/// Opening would make the database that is asked for.
fn exists(place: &Place) -> Result<(), Failure> {
    if file_in(&place.data).is_file() {
        return Ok(());
    }
    let data = place.data.display();
    Err(Failure::NothingFound(format!("`{data}` holds no directory; a relay with --data {data} makes one")))
}

async fn is_empty(store: &dyn Store) -> Result<bool, StoreError> {
    let nodes = store.nodes(NodeQuery::default(), None, 1).await?;
    let services = store.services(ServiceQuery::default(), None, 1).await?;
    let trail = store.audit(None, 1).await?;
    Ok(nodes.is_empty() && services.is_empty() && trail.is_empty())
}

fn told(place: &Place) -> String {
    match place.database {
        Database::Sqlite => format!("`{}`", file_in(&place.data).display()),
        Database::Postgres(_) => "the database of --database".to_owned(),
    }
}

/// What is refused here are orders, not rows.
fn unrefused(error: StoreError) -> Failure {
    match error {
        StoreError::Refused(reason) => Failure::Failed(reason),
        error => failed(error),
    }
}

/// Here only one thing helps against a relay that runs.
fn held(error: DataDirError) -> Failure {
    match error {
        DataDirError::InUse { path, holder } => Failure::Failed(format!(
            "--data: `{}` is in use by a running relay{holder}, which would go on with what it has in memory; stop it first",
            path.display()
        )),
        error => error.into(),
    }
}

fn failed(error: StoreError) -> Failure {
    Failure::Failed(error.to_string())
}
