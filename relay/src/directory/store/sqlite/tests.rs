use std::{collections::BTreeMap, time::Instant};

use super::*;
use crate::directory::store::conformance::{self, NOW, node, offer, peer, put, register, signed};

async fn open(directory: &tempfile::TempDir) -> SqliteStore {
    SqliteStore::open(&directory.path().join("directory.sqlite")).await.unwrap()
}

#[tokio::test]
async fn sqlite_keeps_the_contract() {
    let directory = tempfile::tempdir().unwrap();
    let number = std::sync::atomic::AtomicU32::new(0);
    conformance::run_all(|| {
        let number = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = directory.path().join(format!("{number}.sqlite"));
        async move { SqliteStore::open(&path).await.unwrap() }
    })
    .await;
}

#[tokio::test]
async fn what_was_written_is_there_when_the_file_is_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    store.apply(vec![register(1), put(signed(1, offer(1, "chess")))]).await.unwrap();
    drop(store);
    let store = open(&directory).await;
    assert_eq!(store.nodes(NodeQuery::default(), None, 10).await.unwrap(), [node(1)]);
    assert_eq!(store.services_of(vec![peer(1)]).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_closed_database_is_one_file() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    store.apply(vec![register(1)]).await.unwrap();
    assert_eq!(store.nodes(NodeQuery::default(), None, 10).await.unwrap(), [node(1)]);
    let files =
        || std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    assert!(files().len() > 1, "while it is open its log lies beside it");
    store.close().await.unwrap();
    assert_eq!(files(), ["directory.sqlite"]);
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_database_that_another_process_locks_is_unavailable_and_then_back() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    let other = Connection::open(directory.path().join("directory.sqlite")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let started = Instant::now();
    let error = store.apply(vec![register(1)]).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)) && error.is_passing(), "{error}");
    assert!(started.elapsed() < LOCK_TIME * 3);
    assert_eq!(store.nodes(NodeQuery::default(), None, 10).await.unwrap(), [], "reading goes on");
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(store.apply(vec![register(1)]).await.unwrap(), [Outcome::Applied]);
}

#[cfg(unix)]
#[tokio::test]
async fn a_database_that_is_moved_away_takes_no_writes_until_it_is_back() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    store.apply(vec![register(1)]).await.unwrap();
    let move_all = |from: &str, to: &str| {
        for end in ["", "-wal", "-shm"] {
            let path = |name: &str| directory.path().join(format!("{name}.sqlite{end}"));
            if path(from).exists() {
                std::fs::rename(path(from), path(to)).unwrap();
            }
        }
    };
    move_all("directory", "elsewhere");
    for _ in 0..2 {
        let error = store.apply(vec![register(2)]).await.unwrap_err();
        assert!(matches!(&error, StoreError::Unavailable(reason) if reason.contains("is gone")), "{error}");
    }
    move_all("elsewhere", "directory");
    assert_eq!(store.apply(vec![register(2)]).await.unwrap(), [Outcome::Applied]);
    assert_eq!(store.nodes(NodeQuery::default(), None, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_answers_questions() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    store.apply(vec![register(1)]).await.unwrap();
    let set_pages = async |pages: i64| {
        // SQLite reports this limit as it reports a full disk.
        store.write(move |connection| Ok(connection.pragma_update(None, "max_page_count", pages)?)).await.unwrap();
    };
    set_pages(40).await;
    let error = store.apply((0..2000).map(register).collect()).await.unwrap_err();
    assert!(matches!(error, StoreError::Full(_)) && error.is_passing(), "{error}");
    assert_eq!(store.nodes(NodeQuery::default(), None, 10).await.unwrap(), [node(1)], "nothing of the batch is there");
    set_pages(1_000_000).await;
    assert_eq!(store.apply((0..2000).map(register).collect()).await.unwrap().len(), 2000);
}

#[tokio::test]
async fn a_damaged_file_and_a_newer_one_are_refused_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("directory.sqlite");
    std::fs::write(&path, b"this is no database, and long enough for anybody to see that it is none").unwrap();
    let error = SqliteStore::open(&path).await.err().unwrap();
    assert!(matches!(error, StoreError::Corrupt(_)), "{error}");
    std::fs::remove_file(&path).unwrap();
    drop(open(&directory).await);
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = SqliteStore::open(&path).await.err().unwrap().to_string();
    assert!(error.contains("version 99") && error.contains("use the release that made it"), "{error}");
}

#[tokio::test]
async fn a_copy_changes_nothing_whether_the_database_was_closed_or_its_relay_crashed() {
    let directory = tempfile::tempdir().unwrap();
    let contents = |place: &Path| -> BTreeMap<_, _> {
        let files = std::fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path());
        // The index of a log is made anew by whoever needs it.
        let files = files.filter(|path| path.extension().is_none_or(|extension| extension != "sqlite-shm"));
        files.map(|path| (path.file_name().unwrap().to_owned(), std::fs::read(path).unwrap())).collect()
    };
    let store = open(&directory).await;
    store.apply(vec![register(1)]).await.unwrap();
    let crashed = tempfile::tempdir().unwrap();
    for (name, content) in contents(directory.path()) {
        std::fs::write(crashed.path().join(name), content).unwrap();
    }
    assert_eq!(contents(crashed.path()).len(), 2, "the log of a crashed relay is there");
    store.close().await.unwrap();
    for place in [&directory, &crashed] {
        let before = contents(place.path());
        let copied = SqliteStore::open_to_copy(&place.path().join("directory.sqlite")).await.unwrap();
        assert_eq!(copied.nodes(NodeQuery::default(), None, 10).await.unwrap(), [node(1)]);
        copied.close().await.unwrap();
        assert_eq!(contents(place.path()), before);
    }
}

#[tokio::test]
async fn a_database_of_another_version_is_not_copied_and_not_changed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("directory.sqlite");
    let version = |connection: Connection| -> i64 {
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
    };
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE nodes (peer)").unwrap();
    let error = SqliteStore::open_to_copy(&path).await.err().unwrap();
    assert!(matches!(error, StoreError::Older { found: 0, known: 1 }), "{error}");
    assert_eq!(version(Connection::open(&path).unwrap()), 0);
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = SqliteStore::open_to_copy(&path).await.err().unwrap();
    assert!(matches!(error, StoreError::Newer { found: 99, .. }), "{error}");
    let missing = directory.path().join("missing.sqlite");
    assert!(SqliteStore::open_to_copy(&missing).await.is_err() && !missing.exists());
}

#[tokio::test]
async fn two_that_start_at_once_migrate_once() {
    let directory = tempfile::tempdir().unwrap();
    let stores = futures::future::join_all((0..16).map(|_| open(&directory))).await;
    for (number, store) in (0..).zip(&stores) {
        store.apply(vec![register(number)]).await.unwrap();
    }
    assert_eq!(stores[0].nodes(NodeQuery::default(), None, 20).await.unwrap().len(), 16);
    assert!(stores[1].changes(0, 10).await.unwrap().changes.iter().all(|change| change.at == NOW));
}
