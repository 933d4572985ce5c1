//! Several registries on one PostgreSQL database.

use super::{
    super::super::store::postgres::{PostgresStore, server::Server},
    *,
};

async fn instance(url: &str, origin: i64, config: RegistryConfig) -> Registry {
    let store = PostgresStore::open(url, origin).await.unwrap();
    Registry::open(Arc::new(store), config, TestClock::start()).await.unwrap()
}

/// Waits until something holds at an instance, as its changes come in.
async fn until(registry: &Registry, holds: impl Fn(&Registry) -> bool) {
    let mut newest = registry.newest_change();
    let waiting = async {
        while !holds(registry) {
            let _ = timeout(Duration::from_millis(100), newest.changed()).await;
        }
    };
    timeout(Duration::from_secs(30), waiting).await.expect("the other instance's change arrives");
}

#[tokio::test]
async fn what_one_instance_is_told_the_others_know() {
    let server = Server::start();
    let url = server.database("directory");
    let a = instance(&url, 1, RegistryConfig::default()).await;
    let b = instance(&url, 2, RegistryConfig::default()).await;
    register(&a, 0..20).await;
    publish(&a, 3, "chess").await;
    until(&b, |b| providers(b, "chess") == [peer(3)]).await;
    assert_eq!(b.stats().states[0], 20);
    assert!(!b.register(registration(3, 9)).await.unwrap().is_new);

    b.withhold(peer(3), true).await.unwrap();
    until(&a, |a| providers(a, "chess").is_empty()).await;
    b.withhold(peer(3), false).await.unwrap();
    until(&a, |a| providers(a, "chess") == [peer(3)]).await;
    a.publish(signed(3, offer(3, "chess").withdrawal(EPOCH + 1))).await.unwrap();
    until(&b, |b| providers(b, "chess").is_empty()).await;
    b.ban(peer(4), u64::MAX).await.unwrap();
    until(&a, |a| a.node(&peer(4)).is_none() && a.heartbeat(&peer(4)).is_err()).await;
    assert!(matches!(a.register(registration(4, 9)).await, Err(RegistryError::Banned { .. })));
}

#[tokio::test]
async fn heartbeats_at_one_instance_keep_a_node_alive_at_all() {
    let server = Server::start();
    let url = server.database("directory");
    let a = instance(&url, 1, hasty(3)).await;
    let b = instance(&url, 2, hasty(3)).await;
    register(&a, [1, 2]).await;
    until(&b, |b| b.stats().states[0] == 2).await;
    for _ in 0..12 {
        a.heartbeat(&peer(1)).unwrap();
        sleep(Duration::from_millis(700)).await;
        assert_eq!(state(&b, 1), Some(State::Active));
    }
    assert_ne!(state(&b, 2), Some(State::Active), "who is silent is silent everywhere");
    b.heartbeat(&peer(2)).unwrap();
    until(&a, |a| state(a, 2) == Some(State::Active)).await;
}

#[tokio::test]
async fn a_row_that_the_database_refuses_costs_nobody_else_theirs() {
    let server = Server::start();
    let registry = instance(&server.database("directory"), 1, RegistryConfig::default()).await;
    let mut bad = super::super::super::store::conformance::node(99);
    // The registry lets no such text in; PostgreSQL could not keep it.
    bad.region = "a\0b".into();
    let good = (0..50).map(|number| registry.register(registration(number, 0)));
    let bad = registry.shared.write(Write::Node(Box::new(bad)));
    let (good, bad) = tokio::join!(futures::future::join_all(good), bad);
    assert!(good.iter().all(Result::is_ok), "{good:?}");
    assert!(matches!(bad, Err(RegistryError::Failed)), "{bad:?}");
    assert_eq!(registry.stats().states[0], 50);
}
