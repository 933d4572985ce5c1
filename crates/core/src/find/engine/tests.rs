use libp2p_identity::Keypair;
use proptest::prelude::*;

use super::*;
use crate::{
    cache::{Cache, CacheConfig},
    config::{Config, Role},
    context::Context,
    find::{FoundRecord, answer},
    links::Links,
    map::Set,
    name::NetworkName,
    orders::Orders,
};

const START_MS: u64 = 1_800_000_000_000;

fn at(ms: u64) -> Now {
    Now { elapsed: Duration::from_millis(1000 + ms), unix_ms: START_MS + ms }
}

fn keypair(seed: u8) -> Keypair {
    Keypair::ed25519_from_bytes([seed; 32]).expect("32 bytes are a key")
}

fn id(seed: u8) -> PeerId {
    keypair(seed).public().to_peer_id()
}

fn key() -> Key {
    Key::service(&NetworkName::default(), &"chess".parse().expect("a name"))
}

/// A provider's record, and the one that takes it back if `gone`.
fn signed(seed: u8, sequence: u64, gone: bool) -> SignedRecord {
    let mut record = Record::new("chess".parse().expect("a name"), id(seed), START_MS - 1000);
    record.sequence += sequence;
    if gone {
        record = record.withdrawal(START_MS);
    }
    record.sign(&keypair(seed)).expect("within limits")
}

fn bundle(records: &[SignedRecord]) -> Bundle {
    let mut bundle = Bundle::new(key());
    for record in records {
        bundle.merge(record.clone(), at(0)).expect("of this name and time");
    }
    bundle
}

fn offers(seeds: &[u8]) -> Bundle {
    bundle(&seeds.iter().map(|seed| signed(*seed, 0, false)).collect::<Vec<_>>())
}

fn cached(bundle: Bundle, fresh: &[u8], age: Option<u64>) -> Cached {
    Cached {
        bundle,
        fresh: fresh.iter().map(|seed| id(*seed)).collect::<Set<_>>(),
        age: age.map(Duration::from_millis),
    }
}

/// A find of a node that offers nothing itself.
fn find(cache: Option<Cached>) -> Find {
    let mut find = Find::new("chess".parse().expect("a target"), key(), FindOptions::default(), id(0), at(0));
    find.own(None, at(0));
    find.cache(Ok(cache), at(0));
    find
}

fn config() -> LayerConfig {
    LayerConfig::default()
}

fn outcomes(find: &Find, ms: u64) -> Vec<(&'static str, usize)> {
    find.report(at(ms)).into_iter().map(|report| (report.outcome.as_str(), report.records)).collect()
}

fn live(find: &Find, ms: u64) -> Vec<(PeerId, Layer, Freshness)> {
    find.live(at(ms)).map(|(record, given)| (record.provider, given.layer, given.freshness)).collect()
}

#[test]
fn a_layer_is_asked_when_the_one_before_is_late() {
    let mut find = find(None);
    assert_eq!(find.wishes(&config(), true, at(0)), Wishes { dht: true, ..Wishes::default() });
    find.asked(Layer::Dht, at(0));
    assert_eq!(find.wishes(&config(), true, at(249)), Wishes::default());
    assert_eq!(find.next_deadline(&config()), at(250).elapsed, "it names the time of its next wish");
    assert_eq!(find.wishes(&config(), true, at(250)), Wishes { directories: true, ..Wishes::default() });
    find.asked(Layer::Directory, at(250));
    // Both go on; what comes first counts, and what is late is overtaken.
    find.gave(Layer::Directory, &offers(&[1]), at(300));
    assert_eq!(find.first, Some(Layer::Directory));
    assert!(!find.is_over(&config(), at(549)));
    assert!(find.is_over(&config(), at(550)), "the longest settling window is a quarter of a second");
    let report = outcomes(&find, 550);
    assert_eq!(report, [("empty", 0), ("empty", 0), ("overtaken", 0), ("absent", 0), ("answered", 1)]);
}

#[test]
fn directories_follow_at_once_when_the_dht_knows_nobody_and_are_not_waited_for_long() {
    let mut find = find(None);
    find.asked(Layer::Dht, at(0));
    find.walked(true, &config(), at(40));
    assert_eq!(find.wishes(&config(), true, at(40)), Wishes { directories: true, ..Wishes::default() });
    find.asked(Layer::Directory, at(40));
    assert!(!find.is_over(&config(), at(289)));
    assert!(find.is_over(&config(), at(290)));
    find.ended(Layer::Directory, LayerOutcome::Empty, at(60));
    assert!(find.is_over(&config(), at(60)), "everybody has answered");
}

#[test]
fn records_of_one_layer_do_not_wait_for_the_others() {
    let mut find = find(None);
    find.asked(Layer::Dht, at(0));
    find.gave(Layer::Dht, &offers(&[1]), at(20));
    assert!(!find.is_over(&config(), at(269)), "one holder alone is waited with for others");
    find.seconded(at(20));
    assert!(find.is_over(&config(), at(40)));
    assert_eq!(outcomes(&find, 40)[4], ("not-asked", 0));
}

#[test]
fn before_the_node_has_joined_cache_and_directories_are_asked_at_once() {
    let mut find = find(Some(cached(offers(&[1]), &[], Some(60_000))));
    assert_eq!(find.wishes(&config(), false, at(0)), Wishes { directories: true, ..Wishes::default() });
    find.ended(Layer::Directory, LayerOutcome::NotAsked("nobody is known"), at(0));
    assert_eq!(find.wishes(&config(), false, at(0)), Wishes { cache: true, ..Wishes::default() });
    find.remember(at(0));
    assert!(find.is_over(&config(), at(30)), "nobody else can be asked");
    assert_eq!(outcomes(&find, 30)[2], ("not-asked", 0));
}

#[test]
fn a_fresh_answer_is_given_at_once() {
    let find = find(Some(cached(offers(&[1, 2]), &[1], Some(9_999))));
    assert!(find.is_over(&config(), at(0)));
    let mut expected = vec![(id(1), Layer::Cache, Freshness::Confirmed), (id(2), Layer::Cache, Freshness::Remembered)];
    expected.sort();
    assert_eq!(live(&find, 0), expected);
    assert_eq!(outcomes(&find, 0)[1..], [("answered", 2), ("not-asked", 0), ("absent", 0), ("not-asked", 0)]);
}

#[test]
fn an_older_answer_joins_when_the_dht_is_late_and_is_never_lost() {
    let old = || Some(cached(offers(&[1]), &[], Some(30_000)));
    let mut late = find(old());
    assert!(!late.is_over(&config(), at(0)));
    late.asked(Layer::Dht, at(0));
    assert_eq!(late.wishes(&config(), true, at(59)), Wishes::default());
    assert_eq!(late.next_deadline(&config()), at(60).elapsed);
    assert_eq!(late.wishes(&config(), true, at(60)), Wishes { cache: true, ..Wishes::default() });
    late.remember(at(60));
    assert_eq!(live(&late, 60), [(id(1), Layer::Cache, Freshness::Remembered)]);
    assert!(!late.is_over(&config(), at(89)));
    assert!(late.is_over(&config(), at(90)));

    let mut in_time = find(old());
    in_time.asked(Layer::Dht, at(0));
    in_time.gave(Layer::Dht, &offers(&[2]), at(20));
    in_time.remember(at(40));
    assert_eq!(live(&in_time, 40).len(), 2, "what was not contradicted stays");
    assert_eq!(in_time.first, Some(Layer::Dht));

    let mut nobody = find(old());
    nobody.asked(Layer::Dht, at(0));
    nobody.walked(true, &config(), at(20));
    assert_eq!(nobody.wishes(&config(), true, at(20)), Wishes { cache: true, ..Wishes::default() });
}

#[test]
fn what_the_network_contradicts_is_not_given() {
    let mut find = find(Some(cached(offers(&[1, 2]), &[], Some(30_000))));
    find.asked(Layer::Dht, at(0));
    find.gave(Layer::Dht, &bundle(&[signed(1, 0, true), signed(2, 5, false)]), at(20));
    find.remember(at(30));
    assert_eq!(live(&find, 30), [(id(2), Layer::Dht, Freshness::Confirmed)]);
    assert_eq!(outcomes(&find, 30)[1], ("empty", 0), "nothing of what was remembered stands");
}

#[test]
fn what_others_say_of_this_node_does_not_count() {
    let mut find = find(None);
    find.asked(Layer::Dht, at(0));
    find.gave(Layer::Dht, &offers(&[0]), at(10));
    assert_eq!((live(&find, 10), find.first), (vec![], None));

    let mut own = Find::new("chess".parse().expect("a target"), key(), FindOptions::default(), id(0), at(0));
    own.own(Some(offers(&[0])), at(0));
    own.cache(Ok(None), at(0));
    own.asked(Layer::Dht, at(0));
    assert!(!own.is_over(&config(), at(499)), "others may offer it too");
    assert!(own.is_over(&config(), at(500)));
    assert_eq!(own.first, Some(Layer::Own));
}

#[test]
fn it_ends_with_its_time_and_with_nobody_left_to_answer() {
    let mut silent = find(None);
    silent.asked(Layer::Dht, at(0));
    silent.ended(Layer::Directory, LayerOutcome::NotAsked("nobody is known"), at(0));
    assert!(!silent.is_over(&config(), at(9_999)));
    assert!(silent.is_over(&config(), at(10_000)));
    let mut alone = find(None);
    alone.asked(Layer::Dht, at(0));
    alone.walked(false, &config(), at(5));
    alone.ended(Layer::Directory, LayerOutcome::Failed("refused".to_owned()), at(9));
    assert!(alone.is_over(&config(), at(9)) && !alone.answered);
    assert_eq!(outcomes(&alone, 9)[2], ("failed", 0));
    let huge = Now { elapsed: Duration::MAX, unix_ms: u64::MAX };
    assert!(find(None).is_over(&config(), huge));
}

/// The answer of a find in which these layers gave these bundles in this order.
fn answer(gifts: &[(Layer, Bundle)]) -> Vec<FoundRecord> {
    let mut find = find(None);
    for (layer, bundle) in gifts {
        find.asked(*layer, at(0));
        find.gave(*layer, bundle, at(10));
    }
    let mut config = Config::new(NetworkName::default(), Role::Client, Vec::new());
    config.region = "eu".to_owned();
    let mut cache = Cache::new(&CacheConfig::default(), &config.network, id(0));
    cache.providers.failed(id(3), at(0));
    cache.providers.answered(id(4), Duration::from_millis(9), at(0));
    let cx = Context {
        now: at(20),
        config: &config,
        local: id(0),
        links: &mut Links::default(),
        cache: &mut cache,
        rng: &mut fastrand::Rng::with_seed(1),
        outputs: &mut std::collections::VecDeque::new(),
        orders: &mut Orders::new(),
    };
    answer::ranked(&cx, &find)
}

#[test]
fn the_living_come_first_and_the_doubtful_last() {
    let given = answer(&[(Layer::Directory, offers(&[1, 3, 4])), (Layer::Dht, offers(&[2, 3]))]);
    let order: Vec<_> = given.iter().map(|found| found.record.provider).collect();
    assert_eq!(order, [id(4), id(2), id(1), id(3)], "up, confirmed, told, suspect");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The same records in the same order, whatever the order in which they came; only who gave a record first may differ.
    #[test]
    fn the_answer_does_not_depend_on_the_order_of_arrival(
        gifts in prop::collection::vec((any::<bool>(), prop::collection::vec((1u8..6, 0u64..3, any::<bool>()), 0..4)), 1..5),
        order in any::<u64>(),
    ) {
        let gifts: Vec<(Layer, Bundle)> = gifts
            .into_iter()
            .map(|(dht, records)| {
                let records: Vec<_> = records.into_iter().map(|(seed, n, gone)| signed(seed, n, gone)).collect();
                (if dht { Layer::Dht } else { Layer::Directory }, bundle(&records))
            })
            .collect();
        let mut others = gifts.clone();
        fastrand::Rng::with_seed(order).shuffle(&mut others);
        let strip = |given: Vec<FoundRecord>| {
            given.into_iter().map(|found| (found.record, found.verdict, found.age)).collect::<Vec<_>>()
        };
        prop_assert_eq!(strip(answer(&gifts)), strip(answer(&others)));
    }
}
