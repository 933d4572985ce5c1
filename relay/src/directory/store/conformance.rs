//! What every store must do, as stories. Each story gets an empty store.

use std::future::Future;

use futures::future::BoxFuture;
use libp2p_identity::Keypair;
use openred_core::record::Record;

use super::*;

/// A story and its name.
pub(crate) type Story = (&'static str, fn(&dyn Store) -> BoxFuture<'_, ()>);

macro_rules! stories {
    ($($story:ident,)*) => {
        /// Every story.
        pub(crate) const STORIES: &[Story] = &[$((stringify!($story), |store| Box::pin($story(store)))),*];
    };
}

stories![
    a_node_is_kept_as_it_was_written,
    the_higher_sequence_counts_and_the_first_date_stays,
    a_forgotten_node_takes_its_services_along,
    the_newest_record_of_a_provider_is_kept,
    a_withdrawal_hides_a_service_and_its_older_records_cannot_come_back,
    a_service_needs_its_node,
    pages_of_nodes_and_services_join_without_gap_or_overlap,
    services_are_found_by_every_field_and_by_beginnings_of_words,
    texts_of_strangers_are_only_texts,
    signs_of_life_are_kept_and_older_ones_do_not_win,
    the_change_log_tells_what_happened_in_order,
    the_change_log_says_what_it_dropped,
    notes_expire_and_are_replaced,
    the_audit_trail_is_read_backwards,
    a_batch_is_carried_out_in_order,
    a_start_is_told_of_every_node_and_then_of_every_record,
    an_export_is_one_moment_and_an_import_gives_it_back,
    an_import_that_fails_changes_nothing,
    large_batches_are_one_write,
];

/// Runs every story against stores that `open` makes.
pub(crate) async fn run_all<S: Store, F: Future<Output = S>>(open: impl Fn() -> F) {
    for (name, story) in STORIES {
        // A failing story is named by its own assertions' place; this line says which store it ran on.
        eprintln!("story: {name}");
        let store = open().await;
        story(&store).await;
    }
}

/// When the stories happen.
pub(crate) const NOW: u64 = 1_795_000_000_000;

const HOUR: u64 = 3_600_000;

/// A node's key, made from a number.
pub(crate) fn keypair(number: u64) -> Keypair {
    let mut secret = [7; 32];
    secret[..8].copy_from_slice(&number.to_be_bytes());
    Keypair::ed25519_from_bytes(secret).unwrap()
}

pub(crate) fn peer(number: u64) -> PeerId {
    keypair(number).public().to_peer_id()
}

/// A node's row.
pub(crate) fn node(number: u64) -> NodeRow {
    let public = keypair(number).public();
    NodeRow {
        peer: public.to_peer_id(),
        public_key: public.encode_protobuf(),
        addresses: vec![format!("/ip4/192.0.2.{}/tcp/4001", number % 250).parse().unwrap()],
        envelope: number.is_multiple_of(2).then(|| vec![1, 2, 3]),
        sequence: NOW,
        region: if number.is_multiple_of(3) { "eu".into() } else { String::new() },
        metadata: BTreeMap::from([("tier".to_owned(), "a \"quoted\" \u{e9}\0".to_owned())]),
        registered: NOW,
        updated: NOW,
        withheld: false,
        standing: Standing { state: State::Active, since: NOW, deadline: NOW + 90_000 },
        heard: NOW,
    }
}

/// A record of a node's service, to be changed and signed.
pub(crate) fn offer(number: u64, name: &str) -> Record {
    Record::new(name.parse().unwrap(), peer(number), NOW)
}

pub(crate) fn signed(number: u64, record: Record) -> SignedRecord {
    record.sign(&keypair(number)).unwrap()
}

pub(crate) fn put(record: SignedRecord) -> Write {
    Write::Service { record: Box::new(record), at: NOW }
}

pub(crate) fn register(number: u64) -> Write {
    Write::Node(Box::new(node(number)))
}

async fn apply(store: &dyn Store, writes: Vec<Write>) -> Vec<Outcome> {
    store.apply(writes).await.unwrap()
}

async fn all_nodes(store: &dyn Store) -> Vec<NodeRow> {
    store.nodes(NodeQuery::default(), None, 1000).await.unwrap()
}

async fn names(store: &dyn Store, query: ServiceQuery) -> Vec<String> {
    let found = store.services(query, None, 1000).await.unwrap();
    found.iter().map(|record| record.record().name.to_string()).collect()
}

async fn kinds(store: &dyn Store) -> Vec<(ChangeKind, PeerId)> {
    let changes = store.changes(0, 1000).await.unwrap().changes;
    changes.into_iter().map(|change| (change.kind, change.peer)).collect()
}

async fn a_node_is_kept_as_it_was_written(store: &dyn Store) {
    assert_eq!(apply(store, vec![register(1), register(2)]).await, [Outcome::Applied; 2]);
    let mut expected = vec![node(1), node(2)];
    expected.sort_by_key(|node| node.peer.to_bytes());
    assert_eq!(all_nodes(store).await, expected);
    assert_eq!(store.nodes_of(vec![peer(2), peer(3)]).await.unwrap(), [node(2)]);
    let in_eu = NodeQuery { region: Some("eu".into()), ..NodeQuery::default() };
    assert_eq!(store.nodes(in_eu, None, 10).await.unwrap(), []);
    let away = NodeQuery { states: vec![State::Coma, State::Draining], ..NodeQuery::default() };
    assert_eq!(store.nodes(away, None, 10).await.unwrap(), []);
    let there = NodeQuery { states: vec![State::Active], ..NodeQuery::default() };
    assert_eq!(store.nodes(there, None, 10).await.unwrap(), expected);
    store.ping().await.unwrap();
}

async fn the_higher_sequence_counts_and_the_first_date_stays(store: &dyn Store) {
    let later = NodeRow { sequence: NOW + 5, registered: NOW + 9, updated: NOW + 9, region: "us".into(), ..node(1) };
    let write = |row: &NodeRow| Write::Node(Box::new(row.clone()));
    apply(store, vec![register(1), Write::Withhold { peer: peer(1), withheld: true, at: NOW }]).await;
    assert_eq!(
        apply(store, vec![write(&later), register(1), write(&later)]).await,
        [Outcome::Applied, Outcome::Stale, Outcome::Applied]
    );
    assert_eq!(all_nodes(store).await, [NodeRow { registered: NOW, withheld: true, ..later }]);
}

async fn a_forgotten_node_takes_its_services_along(store: &dyn Store) {
    let forget = Write::Forget { peer: peer(1), why: ChangeKind::Evicted, at: NOW };
    apply(store, vec![register(1), register(2), put(signed(1, offer(1, "chess"))), put(signed(2, offer(2, "chess")))])
        .await;
    assert_eq!(apply(store, vec![forget.clone(), forget]).await, [Outcome::Applied, Outcome::Absent]);
    assert_eq!(all_nodes(store).await, [node(2)]);
    assert_eq!(names(store, ServiceQuery::default()).await, ["chess"]);
    let found = ServiceQuery { words: Words::of("chess"), ..ServiceQuery::default() };
    assert_eq!(names(store, found).await, ["chess"]);
    assert_eq!(kinds(store).await.last(), Some(&(ChangeKind::Evicted, peer(1))));
}

async fn the_newest_record_of_a_provider_is_kept(store: &dyn Store) {
    let old = signed(1, offer(1, "chess"));
    let new = signed(1, Record { sequence: NOW + 1, kind: "game".into(), ..offer(1, "chess") });
    let rival = signed(1, Record { sequence: NOW + 1, kind: "play".into(), ..offer(1, "chess") });
    let (winner, loser) = if new.is_newer_than(&rival) { (new, rival) } else { (rival, new) };
    apply(store, vec![register(1)]).await;
    let writes = [&old, &old, &loser, &old, &winner, &loser, &winner].map(|record| put(record.clone()));
    assert_eq!(
        apply(store, writes.to_vec()).await,
        [
            Outcome::Applied,
            Outcome::Known,
            Outcome::Applied,
            Outcome::Stale,
            Outcome::Applied,
            Outcome::Stale,
            Outcome::Known
        ]
    );
    assert_eq!(store.services(ServiceQuery::default(), None, 10).await.unwrap(), [winner]);
    assert_eq!(kinds(store).await.len(), 4, "what changed nothing is not in the log");
}

async fn a_withdrawal_hides_a_service_and_its_older_records_cannot_come_back(store: &dyn Store) {
    let record = offer(1, "chess");
    let withdrawal = signed(1, record.withdrawal(NOW + 1));
    let ends = withdrawal.record().expires_at();
    apply(store, vec![register(1), put(signed(1, record.clone())), put(withdrawal.clone())]).await;
    let living = ServiceQuery { living_at: Some(NOW + 2), ..ServiceQuery::default() };
    assert_eq!(names(store, living.clone()).await, [""; 0]);
    assert_eq!(apply(store, vec![put(signed(1, record))]).await, [Outcome::Stale]);
    assert_eq!(store.services_of(vec![peer(1)]).await.unwrap(), [withdrawal]);
    apply(store, vec![Write::Purge { now: ends, changes: 100, audit: 100 }]).await;
    assert_eq!(store.services_of(vec![peer(1)]).await.unwrap(), []);
    let last = store.changes(0, 10).await.unwrap().changes.pop().unwrap();
    assert_eq!((last.kind, last.name.as_deref()), (ChangeKind::Withdrawn, Some("chess")));
}

async fn a_service_needs_its_node(store: &dyn Store) {
    assert_eq!(apply(store, vec![put(signed(1, offer(1, "chess")))]).await, [Outcome::Absent]);
    assert_eq!(names(store, ServiceQuery::default()).await, [""; 0]);
    assert_eq!(kinds(store).await, []);
}

async fn pages_of_nodes_and_services_join_without_gap_or_overlap(store: &dyn Store) {
    let services = |number| ["a", "b", "c"].map(|name| put(signed(number, offer(number, name))));
    apply(store, (0..25).flat_map(|number| [vec![register(number)], services(number).to_vec()].concat()).collect())
        .await;
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = store.nodes(NodeQuery::default(), after, 7).await.unwrap();
        after = page.last().map(|node| node.peer);
        // What is written between two pages moves no other row.
        apply(store, vec![register(seen.len() as u64 % 25)]).await;
        if page.is_empty() {
            break;
        }
        seen.extend(page.into_iter().map(|node| node.peer));
    }
    assert_eq!(seen, all_nodes(store).await.iter().map(|node| node.peer).collect::<Vec<_>>());
    assert_eq!(seen.len(), 25);

    let (mut keys, mut after) = (Vec::new(), None);
    loop {
        let page = store.services(ServiceQuery::default(), after, 7).await.unwrap();
        after = page.last().map(ServiceKey::of);
        if page.is_empty() {
            break;
        }
        keys.extend(page.iter().map(ServiceKey::of));
    }
    assert_eq!(keys.len(), 75);
    assert!(keys.is_sorted_by_key(|key| (key.name.clone(), key.provider.to_bytes())));
}

async fn services_are_found_by_every_field_and_by_beginnings_of_words(store: &dyn Store) {
    let llama = Record {
        kind: "model".into(),
        region: "eu".into(),
        clusters: vec!["gpu/large".into(), "eu".into()],
        metadata: BTreeMap::from([("title".into(), "Llama 70B, chat".into())]),
        ..offer(1, "llama-3.1")
    };
    let chess = Record { kind: "game".into(), region: "us".into(), ..offer(1, "chess-\u{e9}chiquier") };
    let short = Record { ttl: 60_000, kind: "game".into(), ..offer(1, "soon-over") };
    let offers = [llama, chess, short].map(|record| put(signed(1, record)));
    apply(store, [vec![register(1)], offers.to_vec()].concat()).await;
    let words = |text| ServiceQuery { words: Words::of(text), ..ServiceQuery::default() };
    for text in ["llama", "LLAM", "chat 70b", "3 1 lla", "gpu lar", "title", "eu llama model"] {
        assert_eq!(names(store, words(text)).await, ["llama-3.1"], "{text}");
    }
    assert_eq!(names(store, words("\u{c9}CHI")).await, ["chess-\u{e9}chiquier"]);
    for text in ["lama", "llama chess", "70bb"] {
        assert_eq!(names(store, words(text)).await, [""; 0], "{text}");
    }
    let by = |change: fn(&mut ServiceQuery)| {
        let mut query = ServiceQuery::default();
        change(&mut query);
        query
    };
    assert_eq!(names(store, by(|query| query.cluster = Some("gpu/large".into()))).await, ["llama-3.1"]);
    assert_eq!(names(store, by(|query| query.cluster = Some("gpu".into()))).await, [""; 0]);
    assert_eq!(names(store, by(|query| query.region = Some("us".into()))).await, ["chess-\u{e9}chiquier"]);
    assert_eq!(names(store, by(|query| query.name = Some("soon-over".into()))).await, ["soon-over"]);
    let games = by(|query| query.kind = Some("game".into()));
    assert_eq!(names(store, games.clone()).await, ["chess-\u{e9}chiquier", "soon-over"]);
    let living = ServiceQuery { living_at: Some(NOW + 60_000), words: Words::of("game"), ..games };
    assert_eq!(names(store, living).await, ["chess-\u{e9}chiquier"]);

    // A record that changes is found by what it says, and by nothing that it said.
    let other = Record { sequence: NOW + 1, kind: "model".into(), ..offer(1, "llama-3.1") };
    apply(store, vec![put(signed(1, other))]).await;
    assert_eq!(names(store, words("70b")).await, [""; 0]);
    assert_eq!(names(store, by(|query| query.cluster = Some("eu".into()))).await, [""; 0]);
    assert_eq!(names(store, words("llama")).await, ["llama-3.1"]);
}

async fn texts_of_strangers_are_only_texts(store: &dyn Store) {
    let hostile = "x'; DROP TABLE nodes; --\" OR 1=1 NEAR(a b) :* | ! & %_\\";
    let record = Record {
        region: "a' OR 'a'='a".into(),
        kind: "%".into(),
        clusters: vec![hostile.into()],
        ..offer(1, "o'brien\"")
    };
    apply(store, vec![register(1), put(signed(1, record))]).await;
    for text in [hostile, "'", "\"", "*", "a* OR b", "NOT x", "^x", "name:x", "\\", "\0", "x & ! y | (z) <-> w:*B"] {
        let query = ServiceQuery { words: Words::of(text), ..ServiceQuery::default() };
        store.services(query, None, 10).await.unwrap_or_else(|error| panic!("{text:?}: {error}"));
        let query = ServiceQuery { region: Some(text.replace('\0', "")), ..ServiceQuery::default() };
        assert_eq!(names(store, query).await, [""; 0], "{text:?}");
    }
    let query = ServiceQuery { cluster: Some(hostile.into()), kind: Some("%".into()), ..ServiceQuery::default() };
    assert_eq!(names(store, query).await, ["o'brien\""]);
    assert_eq!(all_nodes(store).await.len(), 1);
}

async fn signs_of_life_are_kept_and_older_ones_do_not_win(store: &dyn Store) {
    apply(store, vec![register(1), register(2)]).await;
    let row = |number, state, heard, moved| Liveness {
        peer: peer(number),
        standing: Standing { state, since: heard, deadline: heard + 90_000 },
        heard,
        moved,
    };
    let newer = row(1, State::Active, NOW + 500, false);
    let older = row(1, State::PendingFirstCheck, NOW + 100, true);
    let unknown = row(3, State::Coma, NOW + 100, true);
    let moved = row(2, State::PendingFirstCheck, NOW, true);
    let before = kinds(store).await.len();
    apply(store, vec![Write::Liveness(vec![newer, older, unknown, moved], NOW + 600)]).await;
    let first = store.nodes_of(vec![peer(1)]).await.unwrap().remove(0);
    assert_eq!((first.standing, first.heard), (newer.standing, newer.heard));
    let second = store.nodes_of(vec![peer(2)]).await.unwrap().remove(0);
    assert_eq!((second.standing, second.heard), (moved.standing, NOW));
    let changes = store.changes(0, 100).await.unwrap().changes;
    assert_eq!(changes.len(), before + 1, "a move is logged, a mere sign of life is not");
    let last = changes.last().unwrap();
    assert_eq!((last.kind, last.peer, last.state), (ChangeKind::Moved, peer(2), Some(State::PendingFirstCheck)));
    assert_eq!(store.liveness(0, 100).await.unwrap(), [], "this instance's own are not told");
}

async fn the_change_log_tells_what_happened_in_order(store: &dyn Store) {
    assert_eq!(store.changes(0, 10).await.unwrap(), Changes::default());
    let record = offer(1, "chess");
    apply(store, vec![register(1), put(signed(1, record.clone()))]).await;
    apply(
        store,
        vec![
            Write::Withhold { peer: peer(1), withheld: true, at: NOW },
            Write::Withhold { peer: peer(1), withheld: false, at: NOW },
            put(signed(1, record.withdrawal(NOW + 1))),
            Write::Forget { peer: peer(1), why: ChangeKind::Left, at: NOW },
            Write::Withhold { peer: peer(1), withheld: true, at: NOW },
        ],
    )
    .await;
    let all = store.changes(0, 100).await.unwrap();
    let kinds: Vec<ChangeKind> = all.changes.iter().map(|change| change.kind).collect();
    assert_eq!(
        kinds,
        [
            ChangeKind::Registered,
            ChangeKind::Published,
            ChangeKind::Withheld,
            ChangeKind::Restored,
            ChangeKind::Withdrawn,
            ChangeKind::Left
        ]
    );
    assert!(all.changes.is_sorted_by(|a, b| a.id < b.id) && all.changes.iter().all(|change| !change.is_foreign));
    assert_eq!((all.newest, all.dropped), (all.changes.last().unwrap().id, 0));
    let rest = store.changes(all.changes[1].id, 2).await.unwrap();
    assert_eq!(rest.changes, all.changes[2..4]);
    let at_end = store.changes(u64::MAX, 10).await.unwrap();
    assert_eq!((at_end.changes.len(), at_end.newest), (0, all.newest));
}

async fn the_change_log_says_what_it_dropped(store: &dyn Store) {
    apply(store, (0..10).map(register).collect()).await;
    apply(store, vec![Write::Purge { now: 0, changes: 4, audit: 0 }]).await;
    let kept = store.changes(0, 100).await.unwrap();
    assert_eq!(kept.changes.len(), 4);
    assert_eq!(kept.dropped, kept.changes[0].id - 1);
    apply(store, vec![Write::Purge { now: 0, changes: 0, audit: 0 }]).await;
    let empty = store.changes(0, 100).await.unwrap();
    assert_eq!((empty.changes.len(), empty.newest, empty.dropped), (0, kept.newest, kept.newest));
    apply(store, vec![register(11)]).await;
    assert!(store.changes(kept.newest, 100).await.unwrap().changes[0].id > kept.newest);
}

async fn notes_expire_and_are_replaced(store: &dyn Store) {
    let note = |key: u8, value: &str, expires| Note {
        space: "revoked".into(),
        key: vec![key, 0],
        value: value.as_bytes().to_vec(),
        expires,
    };
    let for_ever = note(3, "", u64::MAX);
    let other = Note { space: "ban".into(), ..note(1, "other", NOW + 1) };
    let notes = [note(1, "a", NOW + 1), note(2, "b", NOW + 9), for_ever.clone(), note(2, "c", NOW + 5), other];
    apply(store, notes.map(Write::Note).to_vec()).await;
    let read = async |after, now| store.notes("revoked", after, 10, now).await.unwrap();
    assert_eq!(read(None, NOW).await, [note(1, "a", NOW + 1), note(2, "c", NOW + 5), for_ever.clone()]);
    assert_eq!(read(Some(vec![1, 0]), NOW).await, [note(2, "c", NOW + 5), for_ever.clone()]);
    assert_eq!(read(None, NOW + 1).await, [note(2, "c", NOW + 5), for_ever.clone()]);
    assert_eq!(store.notes("revoked", None, 1, NOW).await.unwrap(), [note(1, "a", NOW + 1)]);
    apply(store, vec![Write::Purge { now: NOW + 5, changes: 0, audit: 0 }]).await;
    assert_eq!(read(None, NOW).await, [for_ever]);
    let forget = || Write::Unnote { space: "revoked", key: vec![3, 0] };
    assert_eq!(apply(store, vec![forget(), forget()]).await, [Outcome::Applied, Outcome::Absent]);
}

async fn the_audit_trail_is_read_backwards(store: &dyn Store) {
    let line = |number: u64| AuditRow {
        id: 0,
        at: NOW + number,
        actor: "admin".into(),
        action: "evict".into(),
        subject: format!("node {number}"),
        detail: "'; --".into(),
    };
    apply(store, (0..5).map(|number| Write::Audit(line(number))).collect()).await;
    let first = store.audit(None, 2).await.unwrap();
    let rest = store.audit(first.last().map(|line| line.id), 10).await.unwrap();
    let subjects: Vec<_> = first.iter().chain(&rest).map(|line| line.subject.as_str()).collect();
    assert_eq!(subjects, ["node 4", "node 3", "node 2", "node 1", "node 0"]);
    apply(store, vec![Write::Purge { now: 0, changes: 0, audit: 2 }]).await;
    assert_eq!(store.audit(None, 10).await.unwrap(), first);
}

async fn a_batch_is_carried_out_in_order(store: &dyn Store) {
    let forget = Write::Forget { peer: peer(1), why: ChangeKind::Left, at: NOW };
    let outcomes = apply(
        store,
        vec![
            forget.clone(),
            register(1),
            put(signed(1, offer(1, "chess"))),
            forget,
            put(signed(1, offer(1, "go"))),
            register(1),
        ],
    )
    .await;
    assert_eq!(
        outcomes,
        [Outcome::Absent, Outcome::Applied, Outcome::Applied, Outcome::Applied, Outcome::Absent, Outcome::Applied]
    );
    assert_eq!(names(store, ServiceQuery::default()).await, [""; 0]);
    assert_eq!(all_nodes(store).await, [node(1)]);
}

async fn a_start_is_told_of_every_node_and_then_of_every_record(store: &dyn Store) {
    let withdrawal = signed(2, offer(2, "go").withdrawal(NOW));
    apply(store, (0..5).map(register).chain([put(signed(1, offer(1, "chess"))), put(withdrawal)]).collect()).await;
    let (tell, told) = std::sync::mpsc::channel();
    let taker = move |kept: Kept<'_>| {
        let row = match kept {
            Kept::Node(node) => Row::Node(node.read().unwrap()),
            Kept::Service(service) => {
                let record = SignedRecord::restore(service.envelope.to_vec()).unwrap();
                let said = record.record();
                assert_eq!((service.name, service.provider), (said.name.as_str(), said.provider));
                assert_eq!((service.expires, service.withdrawn), (said.expires_at(), said.withdrawn));
                Row::Service(record)
            }
        };
        tell.send(row).unwrap();
    };
    store.load(Box::new(taker)).await.unwrap();
    let mut told: Vec<Row> = told.into_iter().collect();
    assert!(told.is_sorted_by_key(|row| matches!(row, Row::Service(_))), "a record comes after its node");
    let key = |row: &Row| match row {
        Row::Node(node) => (String::new(), node.peer.to_bytes()),
        Row::Service(record) => (record.record().name.to_string(), record.record().provider.to_bytes()),
        Row::Note(_) | Row::Audit(_) => panic!("a start needs no {row:?}"),
    };
    told.sort_by_key(key);
    assert_eq!(told, exported(store).await);
}

async fn an_export_is_one_moment_and_an_import_gives_it_back(store: &dyn Store) {
    let note = Note { space: "ban".into(), key: vec![1], value: vec![2], expires: u64::MAX };
    let line =
        AuditRow { id: 0, at: NOW, actor: "a".into(), action: "b".into(), subject: "c".into(), detail: "d".into() };
    let mut writes: Vec<Write> = (0..5).map(register).collect();
    writes.push(Write::Withhold { peer: peer(1), withheld: true, at: NOW });
    writes.extend((0..5).map(|number| put(signed(number, offer(number, "chess")))));
    writes.push(put(signed(3, offer(3, "go"))));
    writes.push(put(signed(3, offer(3, "go").withdrawal(NOW + 1))));
    writes.extend([Write::Note(note.clone()), Write::Audit(line)]);
    apply(store, writes).await;
    let rows = exported(store).await;
    assert_eq!(rows.len(), 5 + 6 + 1 + 1);

    apply(
        store,
        vec![
            Write::Forget { peer: peer(2), why: ChangeKind::Left, at: NOW },
            register(9),
            Write::Unnote { space: "ban", key: vec![1] },
        ],
    )
    .await;
    let count = store.import(Box::new(rows.clone().into_iter().map(Ok))).await.unwrap();
    assert_eq!(count, 13);
    let again = exported(store).await;
    let without_ids = |rows: Vec<Row>| -> Vec<Row> {
        let strip = |row| if let Row::Audit(line) = row { Row::Audit(AuditRow { id: 0, ..line }) } else { row };
        rows.into_iter().map(strip).collect()
    };
    assert_eq!(without_ids(again), without_ids(rows));
    let found = ServiceQuery { words: Words::of("chess"), ..ServiceQuery::default() };
    assert_eq!(names(store, found).await.len(), 5);
}

async fn an_import_that_fails_changes_nothing(store: &dyn Store) {
    apply(store, vec![register(1), put(signed(1, offer(1, "chess")))]).await;
    let before = exported(store).await;
    let rows = [Ok(Row::Node(node(2))), Err(StoreError::Snapshot("cut off".into()))];
    let error = store.import(Box::new(rows.into_iter())).await.unwrap_err();
    assert!(matches!(error, StoreError::Snapshot(reason) if reason == "cut off"));
    assert_eq!(exported(store).await, before);
    assert_eq!(kinds(store).await.len(), 2);
}

async fn large_batches_are_one_write(store: &dyn Store) {
    let writes: Vec<Write> =
        (0..600).flat_map(|number| [register(number), put(signed(number, offer(number, "chess")))]).collect();
    assert!(apply(store, writes).await.iter().all(|outcome| *outcome == Outcome::Applied));
    let rows: Vec<Liveness> = (0..600)
        .map(|number| Liveness { peer: peer(number), standing: node(number).standing, heard: NOW + HOUR, moved: false })
        .collect();
    apply(store, vec![Write::Liveness(rows, NOW + HOUR)]).await;
    let nodes = all_nodes(store).await;
    assert!(nodes.len() == 600 && nodes.iter().all(|node| node.heard == NOW + HOUR));
}

async fn exported(store: &dyn Store) -> Vec<Row> {
    let rows = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let sink = std::sync::Arc::clone(&rows);
    let write = Box::new(move |row| {
        sink.lock().unwrap().push(row);
        Ok(())
    });
    store.export(write).await.unwrap();
    std::mem::take(&mut *rows.lock().unwrap())
}
