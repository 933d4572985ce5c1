//! Stories of a registry on SQLite. Time is tokio's, which jumps ahead when nothing else is left to do.

mod kill;
mod shared;

use std::{collections::BTreeMap, path::Path};

use multiaddr::Multiaddr;
use openred_core::{lifecycle::LifecycleConfig, peer_record::PeerRecord, record::Record};
use tokio::time::{sleep, timeout};

use super::{
    super::store::{
        Words,
        conformance::{keypair, offer, peer, signed},
        sqlite::SqliteStore,
    },
    *,
};

/// When the stories begin.
const EPOCH: u64 = super::super::store::conformance::NOW;

/// A directory whose data outlives the registry.
struct Home {
    directory: tempfile::TempDir,
    clock: Arc<TestClock>,
    config: RegistryConfig,
}

impl Home {
    fn new() -> Self {
        Self::with(RegistryConfig::default())
    }

    fn with(config: RegistryConfig) -> Self {
        Self { directory: tempfile::tempdir().unwrap(), clock: TestClock::start(), config }
    }

    async fn open(&self) -> Registry {
        open(&self.directory.path().join("directory.sqlite"), self.config.clone(), self.clock.clone()).await
    }
}

async fn open(path: &Path, config: RegistryConfig, clock: Arc<dyn Clock>) -> Registry {
    let store = Arc::new(SqliteStore::open(path).await.unwrap());
    Registry::open(store, config, clock).await.unwrap()
}

/// Waits of two seconds times `factor`, so that a whole life fits into a story.
fn hasty(factor: u32) -> RegistryConfig {
    let [one, two] = [1, 2].map(|seconds| Duration::from_secs(seconds) * factor);
    let lifecycle = LifecycleConfig {
        heartbeat: one,
        active: two,
        first_check: two,
        failed_first_check: two,
        first_retry: two,
        second_retry: two,
        third_retry: two,
        coma: two,
        draining: two,
        grace: two,
        ..LifecycleConfig::default()
    };
    let (flush, tail) = (Duration::from_millis(500) * factor, Duration::from_millis(100));
    RegistryConfig { lifecycle, flush, tail, ..RegistryConfig::default() }
}

/// What a node says of itself, at the story's beginning or later.
pub(super) fn registration(number: u64, later: u64) -> Registration {
    let keypair = keypair(number);
    let addresses = vec![format!("/ip4/192.0.2.{}/tcp/4001", number % 250).parse().unwrap()];
    let record = PeerRecord { peer: peer(number), sequence: EPOCH + later, addresses };
    Registration {
        public_key: keypair.public(),
        addresses: Addresses::Signed(Box::new(record.sign(&keypair).unwrap())),
        region: "eu".into(),
        metadata: BTreeMap::from([("tier".into(), "large".into())]),
    }
}

async fn register(registry: &Registry, numbers: impl IntoIterator<Item = u64>) {
    let all = numbers.into_iter().map(|number| registry.register(registration(number, 0)));
    futures::future::try_join_all(all).await.unwrap();
}

async fn publish(registry: &Registry, number: u64, name: &str) {
    assert!(registry.publish(signed(number, offer(number, name))).await.unwrap());
}

fn state(registry: &Registry, number: u64) -> Option<State> {
    registry.node(&peer(number)).map(|node| node.standing.state)
}

fn providers(registry: &Registry, name: &str) -> Vec<PeerId> {
    registry.lookup(&name.parse().unwrap(), None, 100).iter().map(|found| found.record.record().provider).collect()
}

#[tokio::test(start_paused = true)]
async fn who_registers_is_found_with_its_services_until_it_leaves() {
    let home = Home::new();
    let registry = home.open().await;
    let registered = registry.register(registration(1, 0)).await.unwrap();
    assert!(registered.is_new && registered.standing.state == State::Active);
    publish(&registry, 1, "chess").await;
    assert!(!registry.publish(signed(1, offer(1, "chess"))).await.unwrap(), "the same again is nothing new");

    let node = registry.node(&peer(1)).unwrap();
    assert_eq!((&*node.info.region, node.services, node.heard), ("eu", 1, EPOCH));
    assert_eq!(providers(&registry, "chess"), [peer(1)]);
    let page = registry.nodes(NodeQuery { region: Some("eu".into()), ..NodeQuery::default() }, None, 10).await.unwrap();
    assert_eq!((page.items, page.next), (vec![node], None));

    assert!(!registry.register(registration(1, 5)).await.unwrap().is_new);
    assert!(matches!(registry.register(registration(1, 0)).await, Err(RegistryError::Stale)));
    registry.deregister(peer(1)).await.unwrap();
    assert_eq!(registry.node(&peer(1)), None);
    assert_eq!(providers(&registry, "chess"), []);
    assert!(matches!(registry.deregister(peer(1)).await, Err(RegistryError::UnknownNode(_))));
    assert!(matches!(registry.heartbeat(&peer(1)), Err(RegistryError::UnknownNode(_))));
    let orphan = registry.publish(signed(1, offer(1, "go"))).await;
    assert!(matches!(orphan, Err(RegistryError::UnknownNode(_))));
}

#[tokio::test(start_paused = true)]
async fn a_certain_provider_is_found_however_many_there_are() {
    let home = Home::new();
    let registry = home.open().await;
    register(&registry, 1..6).await;
    for number in 1..5 {
        publish(&registry, number, "chess").await;
    }
    let name = "chess".parse().unwrap();
    let found = |number| registry.lookup(&name, Some(&peer(number)), 1);
    for number in 1..5 {
        assert_eq!(found(number)[0].record.record().provider, peer(number));
    }
    assert!(found(5).is_empty(), "it is registered and offers something else");
    assert!(found(6).is_empty(), "nobody knows it");
}

#[tokio::test(start_paused = true)]
async fn what_is_acknowledged_is_there_after_the_registry_is_dropped_in_the_middle() {
    let home = Home::new();
    let registry = home.open().await;
    register(&registry, 0..50).await;
    publish(&registry, 7, "chess").await;
    drop(registry);
    let registry = home.open().await;
    assert_eq!(registry.stats().states[0], 50);
    assert_eq!(providers(&registry, "chess"), [peer(7)]);
    assert_eq!(registry.node(&peer(7)).unwrap().info.registered, EPOCH);
}

#[tokio::test(start_paused = true)]
async fn silence_is_judged_and_one_heartbeat_revives() {
    let home = Home::new();
    let registry = home.open().await;
    register(&registry, [1, 2]).await;
    publish(&registry, 2, "chess").await;
    for _ in 0..4 {
        sleep(Duration::from_secs(30)).await;
        registry.heartbeat(&peer(1)).unwrap();
    }
    assert_eq!((state(&registry, 1), state(&registry, 2)), (Some(State::Active), Some(State::PendingFirstCheck)));
    assert_eq!(registry.wished_checks(10).await, [peer(2)]);
    registry.unreached(&peer(2));
    assert_eq!(state(&registry, 2), Some(State::FailedFirstCheck));
    assert_eq!(providers(&registry, "chess"), [], "who is not there is not named");
    registry.heard([peer(2), peer(3)]);
    assert_eq!(state(&registry, 2), Some(State::Active));
    assert_eq!(providers(&registry, "chess"), [peer(2)]);
    sleep(Duration::from_secs(2)).await;
    let moves: Vec<_> = all_changes(&registry).await.into_iter().filter_map(|change| change.state).collect();
    assert_eq!(moves, [State::PendingFirstCheck, State::FailedFirstCheck, State::Active]);
}

#[tokio::test(start_paused = true)]
async fn no_wish_for_a_check_is_lost_while_nobody_takes_it() {
    let home = Home::new();
    let registry = home.open().await;
    register(&registry, [1]).await;
    sleep(Duration::from_secs(60)).await;
    register(&registry, [2, 3]).await;
    sleep(Duration::from_secs(200)).await;
    registry.deregister(peer(3)).await.unwrap();
    let mut wished = registry.wished_checks(1).await;
    wished.extend(registry.wished_checks(10).await);
    wished.sort_unstable();
    let mut expected = [peer(1), peer(2)];
    expected.sort_unstable();
    assert_eq!(wished, expected);
    let more = timeout(Duration::from_secs(60), registry.wished_checks(10)).await;
    assert!(more.is_err(), "each is told once: {more:?}");
}

#[tokio::test(start_paused = true)]
async fn services_are_counted_as_a_lookup_names_them() {
    let home = Home::new();
    let registry = home.open().await;
    register(&registry, 1..6).await;
    for number in 1..6 {
        publish(&registry, number, "chess").await;
    }
    let counted = async || {
        sleep(Duration::from_secs(2)).await;
        assert_eq!(registry.stats().services, providers(&registry, "chess").len());
        registry.stats().services
    };
    assert_eq!(counted().await, 5);
    registry.publish(signed(1, offer(1, "chess").withdrawal(EPOCH + 1))).await.unwrap();
    registry.withhold(peer(2), true).await.unwrap();
    registry.ban(peer(3), u64::MAX).await.unwrap();
    assert_eq!(counted().await, 2);
    registry.farewell(&peer(4)).unwrap();
    assert_eq!(counted().await, 1);
    sleep(Duration::from_secs(100)).await;
    assert_eq!(counted().await, 1, "who is silent since a moment is thought to be there");
    registry.unreached(&peer(5));
    assert_eq!(counted().await, 0);
}

#[tokio::test(start_paused = true)]
async fn who_takes_back_all_that_it_offered_and_hangs_up_has_stopped() {
    let home = Home::new();
    let registry = home.open().await;
    register(&registry, 1..6).await;
    let withdraw = async |number, name| {
        registry.publish(signed(number, offer(number, name).withdrawal(EPOCH + 1))).await.unwrap();
    };
    for number in [1, 2, 4, 5] {
        publish(&registry, number, "chess").await;
        publish(&registry, number, "go").await;
    }
    for name in ["chess", "go"] {
        withdraw(1, name).await;
    }
    registry.hung_up(&peer(1));
    assert_eq!(state(&registry, 1), Some(State::Draining));
    registry.hung_up(&peer(2));
    withdraw(2, "chess").await;
    assert_eq!(state(&registry, 2), Some(State::Active), "it still offers something");
    withdraw(2, "go").await;
    assert_eq!(state(&registry, 2), Some(State::Draining), "its last words were on their way");

    for number in [3, 4] {
        registry.hung_up(&peer(number));
    }
    for name in ["chess", "go"] {
        withdraw(5, name).await;
    }
    sleep(Duration::from_secs(31)).await;
    assert_eq!(state(&registry, 3), Some(State::PendingFirstCheck), "who offered nothing may be back");
    assert_eq!(state(&registry, 4), Some(State::PendingFirstCheck), "as may who took nothing back");
    assert_eq!(state(&registry, 5), Some(State::Active), "who is connected is there");
    registry.heard([peer(1)]);
    assert_eq!(state(&registry, 1), Some(State::Active));
    drop(registry);
    let registry = home.open().await;
    assert_eq!(state(&registry, 2), Some(State::Draining), "that is written down");
    assert_eq!(registry.node(&peer(2)).unwrap().info.registered, EPOCH, "and nothing of it is forgotten");
}

async fn all_changes(registry: &Registry) -> Vec<super::super::store::Change> {
    registry.changes(0, MOST_ITEMS).await.unwrap().changes
}

#[tokio::test(start_paused = true)]
async fn a_whole_life_ends_in_the_store_too() {
    let home = Home::with(hasty(1));
    let registry = home.open().await;
    register(&registry, [1]).await;
    publish(&registry, 1, "chess").await;
    let mut newest = registry.newest_change();
    let died = async {
        while !all_changes(&registry).await.iter().any(|change| change.kind == ChangeKind::Died) {
            newest.changed().await.unwrap();
        }
    };
    timeout(Duration::from_secs(60), died).await.unwrap();
    assert_eq!(registry.node(&peer(1)), None);
    assert_eq!(registry.nodes(NodeQuery::default(), None, 10).await.unwrap().items, []);
    let states: Vec<_> = all_changes(&registry).await.into_iter().filter_map(|change| change.state).collect();
    assert_eq!(
        states,
        [
            State::PendingFirstCheck,
            State::FailedFirstCheck,
            State::Retry48Hours,
            State::Retry2Weeks,
            State::Retry2Months,
            State::Coma
        ]
    );
    assert!(registry.register(registration(1, 9)).await.unwrap().is_new, "it may come back as a new node");
}

#[tokio::test(start_paused = true)]
async fn a_restart_judges_nobody_before_there_was_time_to_be_heard() {
    let home = Home::new();
    let registry = home.open().await;
    register(&registry, 0..20).await;
    sleep(Duration::from_secs(60)).await;
    (0..20).for_each(|number| drop(registry.heartbeat(&peer(number))));
    registry.close().await;
    drop(registry);
    sleep(Duration::from_secs(3600)).await;

    let registry = home.open().await;
    assert_eq!(registry.stats().states[0], 20);
    assert_eq!(registry.node(&peer(3)).unwrap().heard, EPOCH + 60_000, "the last sign of life was written down");
    assert!(registry.stats().held.is_some());
    sleep(Duration::from_secs(60)).await;
    (0..18).for_each(|number| drop(registry.heartbeat(&peer(number))));
    sleep(Duration::from_secs(31)).await;
    assert_eq!(registry.stats().held, None);
    assert_eq!(registry.stats().states[State::Active as usize], 18);
    assert_eq!(registry.stats().states[State::PendingFirstCheck as usize], 2);
}

#[tokio::test(start_paused = true)]
async fn a_mass_silence_holds_and_is_told() {
    let home = Home::new();
    let registry = home.open().await;
    register(&registry, 0..40).await;
    sleep(Duration::from_secs(3600)).await;
    let stats = registry.stats();
    assert_eq!(stats.held.map(|hold| hold.silent), Some(10));
    assert_eq!((stats.states[State::Active as usize], stats.states[State::PendingFirstCheck as usize]), (30, 10));
    registry.release_brake();
    assert_eq!(registry.stats().held, None);
}

#[tokio::test(start_paused = true)]
async fn a_planned_stop_is_no_failure() {
    let home = Home::new();
    let registry = home.open().await;
    register(&registry, [1]).await;
    publish(&registry, 1, "chess").await;
    assert_eq!(registry.farewell(&peer(1)).unwrap().state, State::Draining);
    assert_eq!(providers(&registry, "chess"), []);
    drop(registry);
    let registry = home.open().await;
    assert_eq!(registry.heartbeat(&peer(1)).unwrap().state, State::Active);
}

#[tokio::test(start_paused = true)]
async fn limits_are_named() {
    let home = Home::with(RegistryConfig { max_nodes: 2, max_services: 2, ..RegistryConfig::default() });
    let registry = home.open().await;
    let refused = async |change: fn(&mut Registration)| {
        let mut registration = registration(1, 0);
        change(&mut registration);
        registry.register(registration).await.unwrap_err().to_string()
    };
    for (text, expected) in [
        (refused(|said| said.region = "x".repeat(33)).await, "a region of 33 bytes, at most 32"),
        (refused(|said| said.region = "a\0b".into()).await, "control character (U+0000)"),
        (refused(|said| drop(said.metadata.insert("k".into(), "v".repeat(1024)))).await, "1034 bytes of metadata"),
        (
            refused(|said| said.metadata = (0..33).map(|n| (n.to_string(), String::new())).collect()).await,
            "33 metadata",
        ),
        (refused(|said| said.addresses = Addresses::Stated(vec![Multiaddr::empty(); 33])).await, "33 addresses"),
        (refused(|said| said.addresses = registration(2, 0).addresses).await, "the peer record is by"),
    ] {
        assert!(text.contains(expected), "{text}");
    }
    register(&registry, [1, 2]).await;
    assert!(matches!(registry.register(registration(3, 0)).await, Err(RegistryError::Full)));
    assert!(!registry.register(registration(2, 1)).await.unwrap().is_new, "who is here may say something new");
    publish(&registry, 1, "a").await;
    publish(&registry, 1, "b").await;
    let third = registry.publish(signed(1, offer(1, "c"))).await.unwrap_err();
    assert_eq!((third.code(), third.to_string().contains("2 services")), ("QUOTA", true), "{third}");
    let newer = signed(1, Record { sequence: EPOCH + 1, ..offer(1, "b") });
    assert!(registry.publish(newer).await.unwrap());

    let late = signed(2, Record { issued_at: EPOCH - 7_200_000, ..offer(2, "late") });
    let early = signed(2, Record { issued_at: EPOCH + 700_000, ..offer(2, "early") });
    for (record, expected) in [(late, "expired"), (early, "in the future")] {
        let error = registry.publish(record).await.unwrap_err();
        assert!(matches!(&error, RegistryError::Record(_)) && error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn when_there_is_no_room_who_was_here_shortly_and_is_long_silent_gives_way() {
    let home = Home::with(RegistryConfig { max_nodes: 3, ..RegistryConfig::default() });
    let registry = home.open().await;
    register(&registry, [1]).await;
    for _ in 0..120 {
        sleep(Duration::from_secs(60)).await;
        registry.heartbeat(&peer(1)).unwrap();
    }
    register(&registry, [2, 3]).await;
    assert!(matches!(registry.register(registration(4, 0)).await, Err(RegistryError::Full)), "nobody is away");
    for _ in 0..20 {
        sleep(Duration::from_secs(60)).await;
        registry.heartbeat(&peer(3)).unwrap();
    }
    assert_eq!(
        (state(&registry, 1), state(&registry, 2)),
        (Some(State::FailedFirstCheck), Some(State::FailedFirstCheck))
    );
    assert!(registry.register(registration(4, 0)).await.unwrap().is_new);
    assert_eq!(state(&registry, 2), None, "it was here for a moment; node 1 for two hours");
    assert_eq!((state(&registry, 1), state(&registry, 3)), (Some(State::FailedFirstCheck), Some(State::Active)));
}

#[tokio::test(start_paused = true)]
async fn who_is_banned_stays_out_even_after_a_restart() {
    let home = Home::new();
    let registry = home.open().await;
    register(&registry, [1, 2]).await;
    registry.ban(peer(1), EPOCH + 3_600_000).await.unwrap();
    registry.ban(peer(9), u64::MAX).await.unwrap();
    assert_eq!(registry.node(&peer(1)), None);
    drop(registry);
    let registry = home.open().await;
    for error in [
        registry.register(registration(1, 1)).await.unwrap_err(),
        registry.heartbeat(&peer(1)).unwrap_err(),
        registry.publish(signed(1, offer(1, "chess"))).await.unwrap_err(),
        registry.register(registration(9, 1)).await.unwrap_err(),
    ] {
        assert!(matches!(error, RegistryError::Banned { .. }), "{error}");
    }
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(registry.banned(&peer(1)), None);
    registry.register(registration(1, 1)).await.unwrap();
    assert!(registry.unban(peer(9)).await.unwrap());
    assert!(!registry.unban(peer(9)).await.unwrap());
    registry.register(registration(9, 1)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_is_withheld_is_not_named_and_can_still_beat() {
    let home = Home::new();
    let registry = home.open().await;
    register(&registry, [1]).await;
    publish(&registry, 1, "chess").await;
    registry.withhold(peer(1), true).await.unwrap();
    assert_eq!(providers(&registry, "chess"), []);
    assert_eq!(registry.services(ServiceQuery::default(), None, 10).await.unwrap().items, []);
    assert_eq!(registry.heartbeat(&peer(1)).unwrap().state, State::Active);
    assert!(registry.node(&peer(1)).unwrap().withheld);
    drop(registry);
    let registry = home.open().await;
    assert_eq!(providers(&registry, "chess"), []);
    registry.withhold(peer(1), false).await.unwrap();
    assert_eq!(providers(&registry, "chess"), [peer(1)]);
    assert!(matches!(registry.withhold(peer(5), true).await, Err(RegistryError::UnknownNode(_))));
}

#[tokio::test(start_paused = true)]
async fn pages_of_services_pass_over_providers_that_are_away() {
    let home = Home::new();
    let registry = home.open().await;
    register(&registry, 0..30).await;
    for number in 0..30 {
        publish(&registry, number, &format!("chess-{number:02}")).await;
    }
    for number in (0..30).filter(|number| number % 3 != 0) {
        registry.withhold(peer(number), true).await.unwrap();
    }
    let query = ServiceQuery { words: Words::of("chess"), ..ServiceQuery::default() };
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = registry.services(query.clone(), after, 4).await.unwrap();
        assert!(page.items.len() <= 4);
        found.extend(page.items.into_iter().map(|found| found.record.record().name.to_string()));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, (0..30).step_by(3).map(|number| format!("chess-{number:02}")).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn watchers_are_woken_and_can_go_back_as_far_as_the_log_does() {
    let home = Home::with(RegistryConfig { changes_in_memory: 5, changes: 12, ..RegistryConfig::default() });
    let registry = home.open().await;
    let mut newest = registry.newest_change();
    register(&registry, [0]).await;
    newest.changed().await.unwrap();
    let first = *newest.borrow_and_update();
    register(&registry, 1..20).await;
    timeout(Duration::from_secs(10), newest.wait_for(|newest| *newest == first + 19)).await.unwrap().unwrap();
    for (after, expected) in [(first + 16, 3), (first + 2, 17), (first + 19, 0)] {
        assert_eq!(registry.changes(after, 100).await.unwrap().changes.len(), expected);
    }
    sleep(Duration::from_secs(61)).await;
    let changes = registry.changes(first, 100).await.unwrap();
    assert_eq!(changes.changes.len(), 12);
    assert!(changes.dropped > first, "the reader is told that it missed something");
}

#[tokio::test]
async fn while_the_database_is_away_heartbeats_go_on_and_nothing_is_acknowledged() {
    let home = Home::new();
    let registry = home.open().await;
    register(&registry, [1]).await;
    let locker = rusqlite::Connection::open(home.directory.path().join("directory.sqlite")).unwrap();
    locker.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (refused, beat) = tokio::join!(registry.register(registration(2, 0)), async { registry.heartbeat(&peer(1)) });
    assert!(matches!(refused, Err(RegistryError::Unavailable)), "{refused:?}");
    assert_eq!(beat.unwrap().state, State::Active);
    assert!(registry.stats().is_store_down && registry.is_store_away());
    assert_eq!(registry.node(&peer(2)), None);
    locker.execute_batch("ROLLBACK").unwrap();
    let back = async {
        while registry.is_store_away() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(30), back).await.expect("it is asked again though nobody writes");
    register(&registry, [2]).await;
    assert!(!registry.stats().is_store_down);
    registry.ping().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_audit_trail_and_notes_are_kept_as_lines_that_cannot_lie() {
    let home = Home::new();
    let registry = home.open().await;
    registry.audit("admin", "evict", "x\nadmin evict y", &"d".repeat(1000)).await.unwrap();
    let line = registry.audit_trail(None, 10).await.unwrap().remove(0);
    assert_eq!(line.subject, "x\u{fffd}admin evict y");
    assert_eq!(line.detail.len(), 256);
    let note = Note { space: "revoked".into(), key: b"jti".to_vec(), value: Vec::new(), expires: EPOCH + 1000 };
    registry.remember(note.clone()).await.unwrap();
    assert_eq!(registry.recall("revoked", None, 10).await.unwrap(), std::slice::from_ref(&note));
    let too_long = Note { key: vec![0; 129], ..note };
    assert!(matches!(registry.remember(too_long).await, Err(RegistryError::Invalid(_))));
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_of_a_running_directory_restores_it_and_a_damaged_one_changes_nothing() {
    use super::super::store::snapshot;
    let home = Home::new();
    let registry = home.open().await;
    register(&registry, 0..30).await;
    publish(&registry, 1, "chess").await;
    let file = home.directory.path().join("copy.snapshot");
    let taken = snapshot::take(&**registry.store(), &file, EPOCH).await.unwrap();
    assert_eq!((taken.rows, taken.made), (31, EPOCH));
    assert_eq!(snapshot::check(&file).unwrap(), taken);
    registry.deregister(peer(1)).await.unwrap();

    let whole = std::fs::read(&file).unwrap();
    let store = registry.store();
    let refused = async |bytes: &[u8]| {
        std::fs::write(&file, bytes).unwrap();
        let error = snapshot::restore(&**store, &file).await.unwrap_err().to_string();
        assert_eq!(store.nodes(NodeQuery::default(), None, 100).await.unwrap().len(), 29, "{error}");
        error
    };
    for cut in [whole.len() - 1, whole.len() / 2, 300] {
        assert!(refused(&whole[..cut]).await.contains("cut off"), "at {cut}");
    }
    let mut flipped = whole.clone();
    flipped[whole.len() / 3] ^= 1;
    assert!(refused(&flipped).await.contains("damaged"));
    assert!(refused(b"{}").await.contains("is not a directory snapshot"));
    assert!(refused(b"").await.contains("is not a directory snapshot"));

    std::fs::write(&file, &whole).unwrap();
    snapshot::restore(&**registry.store(), &file).await.unwrap();
    drop(registry);
    let registry = home.open().await;
    assert_eq!(registry.stats().states[0], 30);
    assert_eq!(providers(&registry, "chess"), [peer(1)]);
    assert!(
        !std::fs::read_dir(home.directory.path())
            .unwrap()
            .any(|entry| { entry.unwrap().file_name().to_string_lossy().ends_with(".tmp") })
    );
}
