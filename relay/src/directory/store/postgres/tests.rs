use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Instant,
};

use openred_core::lifecycle::{Standing, State};

use super::{server::Server, *};
use crate::directory::store::conformance::{self, NOW, node, offer, peer, put, register, signed};

#[tokio::test]
async fn postgres_keeps_the_contract() {
    let server = Server::start();
    let number = AtomicU32::new(0);
    conformance::run_all(|| {
        let url = server.database(&format!("story{}", number.fetch_add(1, Ordering::Relaxed)));
        async move { PostgresStore::open(&url, 1).await.unwrap() }
    })
    .await;
}

#[tokio::test]
async fn instances_that_start_at_once_migrate_once_and_follow_each_other() {
    let server = Server::start();
    let url = server.database("shared");
    let stores = futures::future::join_all((0..4).map(|origin| PostgresStore::open(&url, origin))).await;
    let stores: Vec<PostgresStore> = stores.into_iter().map(Result::unwrap).collect();

    // All write at once; what they wrote is in one order, and each tells its own from the others'.
    let writes = (0..80).map(|number| stores[number as usize % 4].apply(vec![register(number)]));
    futures::future::try_join_all(writes).await.unwrap();
    let seen = stores[0].changes(0, 1000).await.unwrap().changes;
    assert_eq!(seen.len(), 80);
    assert!(seen.is_sorted_by(|a, b| a.id < b.id));
    assert_eq!(seen.iter().filter(|change| change.is_foreign).count(), 60);

    let row = Liveness {
        peer: peer(1),
        standing: Standing { state: State::Draining, since: NOW + 1, deadline: NOW + 9 },
        heard: NOW + 1,
        moved: true,
    };
    let stamp = stores[1].newest_stamp().await.unwrap();
    stores[0].apply(vec![Write::Liveness(vec![row], NOW + 1)]).await.unwrap();
    let told = stores[1].liveness(stamp, 10).await.unwrap();
    assert_eq!(told.iter().map(|(_, row)| *row).collect::<Vec<_>>(), [Liveness { moved: false, ..row }]);
    assert_eq!(stores[1].liveness(told[0].0, 10).await.unwrap(), []);
    assert_eq!(stores[0].liveness(stamp, 10).await.unwrap(), [], "its own are not told");
}

#[tokio::test]
async fn rivals_that_write_the_same_service_leave_one_winner_everywhere() {
    let server = Server::start();
    let url = server.database("rivals");
    let [a, b] = [PostgresStore::open(&url, 1).await.unwrap(), PostgresStore::open(&url, 2).await.unwrap()];
    a.apply(vec![register(1)]).await.unwrap();
    let record = |kind: u32| {
        let kind = kind.to_string();
        signed(1, openred_core::record::Record { kind, ..offer(1, "chess") })
    };
    let rivals: Vec<SignedRecord> = (0..20).map(record).collect();
    let writes =
        rivals.iter().zip([&a, &b].into_iter().cycle()).map(|(record, store)| store.apply(vec![put(record.clone())]));
    futures::future::try_join_all(writes).await.unwrap();
    let winner =
        rivals.iter().find(|one| rivals.iter().all(|other| *one == other || one.is_newer_than(other))).unwrap();
    assert_eq!(a.services_of(vec![peer(1)]).await.unwrap(), std::slice::from_ref(winner));
}

#[tokio::test]
async fn a_server_that_crashes_is_unavailable_and_then_back_with_what_was_acknowledged() {
    let server = Server::start();
    let store = PostgresStore::open(&server.database("crashes"), 1).await.unwrap();
    store.apply(vec![register(1)]).await.unwrap();
    server.stop();
    let started = Instant::now();
    for _ in 0..3 {
        let error = store.apply(vec![register(2)]).await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)) && error.is_passing(), "{error}");
    }
    assert!(store.ping().await.is_err());
    assert!(started.elapsed() < CONNECT_TIME * 5, "{:?}", started.elapsed());
    server.resume();
    // Connections that broke are noticed one by one, at the latest when they are used.
    let mut tries = 0;
    while let Err(error) = store.apply(vec![register(2)]).await {
        tries += 1;
        assert!(error.is_passing() && tries <= CONNECTIONS, "{error}");
    }
    let nodes = store.nodes(NodeQuery::default(), None, 10).await.unwrap();
    assert_eq!(nodes.len(), 2);
    assert!(nodes.contains(&node(1)));
}

#[tokio::test]
async fn a_lock_that_is_not_given_back_is_unavailable_and_costs_nothing_afterwards() {
    let server = Server::start();
    let url = server.database("locked");
    let store = PostgresStore::open(&url, 1).await.unwrap();
    let other = PostgresStore::open(&url, 2).await.unwrap();
    let mut client = other.client().await.unwrap();
    let transaction = client.transaction().await.unwrap();
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await.unwrap();
    let error = store.apply(vec![register(1)]).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    transaction.rollback().await.unwrap();
    assert_eq!(store.apply(vec![register(1)]).await.unwrap(), [Outcome::Applied]);
}

#[tokio::test]
async fn wrong_urls_are_refused_without_telling_the_password() {
    let server = Server::start();
    let url = server.database("there");
    for (url, expected) in [
        ("postgres://test:hunter2@[bad/x".to_owned(), "the database URL"),
        (url.replace("/there", "/elsewhere"), "does not exist"),
        ("postgres://test:hunter2@127.0.0.1:1/x".to_owned(), "refused"),
    ] {
        let error = PostgresStore::open(&url, 1).await.err().unwrap().to_string();
        assert!(error.contains(expected) && !error.contains("hunter2"), "{error}");
    }
}

#[tokio::test]
async fn a_database_of_a_newer_release_is_left_alone() {
    let server = Server::start();
    let url = server.database("newer");
    let store = PostgresStore::open(&url, 1).await.unwrap();
    store.client().await.unwrap().execute("UPDATE openred_schema SET version = 99", &[]).await.unwrap();
    let error = PostgresStore::open(&url, 2).await.err().unwrap();
    assert!(matches!(error, StoreError::Newer { found: 99, .. }), "{error}");
}

#[tokio::test]
async fn a_copy_leaves_the_schema_as_it_is_and_who_replaces_all_is_alone() {
    let server = Server::start();
    let url = server.database("copied");
    let error = PostgresStore::open_to_copy(&url, 1).await.err().unwrap();
    assert!(matches!(error, StoreError::Older { found: 0, known: 1 }), "{error}");
    let relay = PostgresStore::open(&url, 2).await.unwrap();
    let copied = PostgresStore::open_to_copy(&url, 3).await.unwrap();
    assert_eq!(copied.nodes(NodeQuery::default(), None, 10).await.unwrap(), []);
    let error = PostgresStore::open_alone(&url, 4).await.err().unwrap().to_string();
    assert!(error.contains("in use by relays") && error.contains("stop them first"), "{error}");
    relay.client().await.unwrap().execute("UPDATE openred_schema SET version = 99", &[]).await.unwrap();
    let error = PostgresStore::open_to_copy(&url, 5).await.err().unwrap();
    assert!(matches!(error, StoreError::Newer { found: 99, .. }), "{error}");
}
