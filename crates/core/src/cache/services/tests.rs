use libp2p_identity::Keypair;
use proptest::prelude::*;

use super::*;
use crate::record::{Record, SignedRecord};

const START_MS: u64 = 1_800_000_000_000;
const TEN: Duration = Duration::from_secs(10);

fn at(ms: u64) -> Now {
    Now { elapsed: Duration::from_millis(ms), unix_ms: START_MS + ms }
}

fn keypair(seed: u8) -> Keypair {
    Keypair::ed25519_from_bytes([seed; 32]).expect("32 bytes are a key")
}

fn id(seed: u8) -> PeerId {
    keypair(seed).public().to_peer_id()
}

fn network() -> NetworkName {
    NetworkName::default()
}

fn record(name: &str, seed: u8, ms: u64) -> SignedRecord {
    let record = Record::new(name.parse().expect("a name"), id(seed), START_MS + ms);
    record.sign(&keypair(seed)).expect("within limits")
}

fn bundle(name: &str, seeds: &[u8], ms: u64) -> Bundle {
    let mut bundle = Bundle::new(Key::service(&network(), &name.parse().expect("a name")));
    for seed in seeds {
        bundle.merge(record(name, *seed, ms), at(ms)).expect("of this name and time");
    }
    bundle
}

fn services(config: &CacheConfig) -> Services {
    Services::new(network(), id(0), config)
}

fn get(services: &mut Services, target: &str, now: Now) -> Option<(Vec<PeerId>, Vec<PeerId>, Option<Duration>)> {
    let target: ServiceTarget = target.parse().expect("a target");
    let key = match &target.provider {
        Some(provider) => Key::service_of(&network(), &target.name, provider),
        None => Key::service(&network(), &target.name),
    };
    let cached = services.get(&target, &key, TEN, now)?;
    let live = cached.bundle.live(now).map(|record| record.record().provider).collect();
    Some((live, cached.fresh.into_iter().collect(), cached.age))
}

fn sorted(seeds: &[u8]) -> Vec<PeerId> {
    let mut ids: Vec<_> = seeds.iter().map(|seed| id(*seed)).collect();
    ids.sort();
    ids
}

#[test]
fn what_the_dht_confirmed_is_fresh_and_what_was_told_is_not() {
    let mut services = services(&CacheConfig::default());
    let name = "chess".parse().expect("a name");
    services.learn(&bundle("chess", &[1], 0), Some(Duration::from_millis(30)), at(0));
    services.asked(&name, at(0));
    services.learn(&bundle("chess", &[2], 0), None, at(0));
    let (live, fresh, age) = get(&mut services, "chess", at(4000)).expect("known");
    assert_eq!((live, fresh), (sorted(&[1, 2]), vec![id(1)]));
    assert_eq!(age, Some(Duration::from_secs(4)));
    let (_, fresh, age) = get(&mut services, "chess", at(10_001)).expect("known");
    assert_eq!((fresh, age), (vec![], Some(Duration::from_millis(10_001))));
    assert_eq!(get(&mut services, "go", at(0)), None);
}

#[test]
fn one_provider_that_was_asked_for_says_nothing_of_the_others() {
    let mut services = services(&CacheConfig::default());
    services.learn(&bundle("chess", &[1], 0), Some(Duration::from_millis(30)), at(0));
    let (_, _, age) = get(&mut services, "chess", at(1)).expect("known");
    assert_eq!(age, None, "nobody asked for everybody");
    let (live, _, age) = get(&mut services, &format!("chess@{}", id(1)), at(1)).expect("known");
    assert_eq!((live, age), (vec![id(1)], Some(Duration::from_millis(1))));
    let (live, _, age) = get(&mut services, &format!("chess@{}", id(2)), at(1)).expect("the name is known");
    assert_eq!((live, age), (vec![], None));
}

#[test]
fn own_records_are_not_remembered() {
    let mut services = services(&CacheConfig::default());
    services.learn(&bundle("chess", &[0], 0), Some(Duration::ZERO), at(0));
    assert_eq!(services.len(), 0);
}

#[test]
fn a_withdrawal_stays_and_keeps_what_it_withdrew_away() {
    let mut services = services(&CacheConfig::default());
    let offer = record("chess", 1, 0);
    services.learn(&bundle("chess", &[1], 0), Some(TEN), at(0));
    let withdrawal = offer.record().withdrawal(START_MS + 5).sign(&keypair(1)).expect("a withdrawal");
    let mut withdrawn = Bundle::new(Key::service(&network(), &"chess".parse().expect("a name")));
    withdrawn.merge(withdrawal, at(5)).expect("of this name");
    services.learn(&withdrawn, None, at(5));
    services.learn(&bundle("chess", &[1], 0), Some(TEN), at(10));
    assert_eq!(get(&mut services, "chess", at(10)).expect("the withdrawal is known").0, []);
}

#[test]
fn nobody_lasts_a_second_and_ends_with_the_first_record_or_offer() {
    let mut services = services(&CacheConfig::default());
    let target: ServiceTarget = "chess".parse().expect("a target");
    services.found_nobody(target.clone(), at(0));
    assert!(services.is_nobody(&target, at(999)));
    assert!(!services.is_nobody(&target, at(1000)));
    services.found_nobody(target.clone(), at(2000));
    services.learn(&bundle("chess", &[1], 2000), None, at(2001));
    assert!(!services.is_nobody(&target, at(2002)));
    services.found_nobody(target.clone(), at(3000));
    services.offered(&target.name);
    assert!(!services.is_nobody(&target, at(3001)));
    for n in 0..2 * MAX_NOBODY {
        services.found_nobody(format!("n-{n}").parse().expect("a target"), at(4000));
    }
    assert_eq!(services.nobody.len(), MAX_NOBODY);
}

#[test]
fn a_popular_name_is_due_before_it_is_stale_and_until_nobody_asks_for_it() {
    let mut services = services(&CacheConfig::default());
    let name: ServiceName = "chess".parse().expect("a name");
    services.learn(&bundle("chess", &[1], 0), Some(TEN), at(0));
    services.asked(&name, at(0));
    services.used(&name, Quality::Good, at(100));
    assert_eq!(services.next_deadline(), None, "once is not popular");
    services.used(&name, Quality::Good, at(200));
    assert_eq!(services.next_deadline(), Some(Duration::from_secs(8)));
    assert_eq!(services.next_due(at(7999)), None);
    assert_eq!(services.next_due(at(8000)), Some(name.clone()));
    assert_eq!(services.next_due(at(8000)), None, "it is due once");
    services.asked(&name, at(8100));
    assert_eq!(services.next_deadline(), Some(Duration::from_millis(16_100)));
    assert_eq!(services.next_due(at(31_000)), Some(name.clone()));
    services.asked(&name, at(31_000));
    assert_eq!(services.next_deadline(), None, "nobody has asked for half a minute");
}

#[test]
fn what_is_used_and_dear_stays() {
    let config = CacheConfig { max_services: 3, ..CacheConfig::default() };
    let mut services = services(&config);
    for (name, cost) in [("dear", 900), ("used", 20), ("cheap", 20)] {
        services.learn(&bundle(name, &[1], 0), Some(Duration::from_millis(cost)), at(0));
    }
    for _ in 0..5 {
        services.used(&"used".parse().expect("a name"), Quality::Good, at(10));
    }
    services.learn(&bundle("new", &[1], 0), Some(Duration::from_millis(100)), at(20));
    assert!(get(&mut services, "cheap", at(21)).is_none());
    assert!(["dear", "used", "new"].iter().all(|name| get(&mut services, name, at(21)).is_some()));
    // What nobody uses any more ages: newcomers displace it in the end.
    for n in 0..200 {
        services.learn(&bundle(&format!("n-{n}"), &[1], 0), Some(Duration::from_millis(100)), at(30));
    }
    assert!(get(&mut services, "dear", at(31)).is_none());
    assert_eq!(services.len(), 3);
}

#[test]
fn a_sealed_record_is_verified_when_it_is_asked_for() {
    let mut before = services(&CacheConfig::default());
    before.learn(&bundle("chess", &[1, 2], 0), Some(TEN), at(0));
    before.asked(&"chess".parse().expect("a name"), at(0));
    before.learn(&bundle("go", &[1], 0), None, at(0));
    let mut remembered = before.remembered(at(1000));
    let chess = remembered.iter_mut().find(|service| service.name.as_str() == "chess").expect("remembered");
    let last = chess.bundle.len() - 1;
    chess.bundle[last] ^= 1;
    let mut after = services(&CacheConfig::default());
    for service in remembered {
        after.restore(service, at(2000));
    }
    let again = Now { elapsed: Duration::ZERO, unix_ms: START_MS + 3000 };
    let (live, fresh, age) = get(&mut after, "chess", again).expect("remembered");
    assert_eq!(live.len(), 1, "the last record's signature does not hold");
    assert_eq!((fresh, age), (live, Some(Duration::from_secs(3))));
    assert_eq!(get(&mut after, "go", again).expect("remembered").2, None);
}

#[test]
fn after_a_clock_that_was_set_back_ages_are_unknown() {
    let mut before = services(&CacheConfig::default());
    before.learn(&bundle("chess", &[1], 0), Some(TEN), at(0));
    before.asked(&"chess".parse().expect("a name"), at(0));
    let mut after = services(&CacheConfig::default());
    let earlier = Now { elapsed: Duration::ZERO, unix_ms: START_MS - 60_000 };
    for service in before.remembered(at(0)) {
        after.restore(service, earlier);
    }
    let (live, fresh, age) = get(&mut after, "chess", earlier).expect("remembered");
    assert_eq!((live, fresh, age), (vec![id(1)], vec![], None));
    let hours = Now { elapsed: Duration::ZERO, unix_ms: START_MS - 7_200_000 };
    assert_eq!(get(&mut after, "chess", hours), Some((vec![], vec![], None)), "it is dated far in the future");
    assert_eq!(get(&mut after, "chess", earlier), Some((vec![id(1)], vec![], None)), "and is not forgotten for that");
    let end = Now { elapsed: Duration::MAX, unix_ms: u64::MAX };
    after.expire(end);
    assert_eq!(after.len(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever is learned, used and asked in any order, the caps hold and the bytes are counted right.
    #[test]
    fn the_caps_hold(events in prop::collection::vec((0u8..12, 1u8..4, 0u8..5, 0u64..7_200_000), 1..60)) {
        let config = CacheConfig { max_services: 4, max_bytes: 3000, ..CacheConfig::default() };
        let mut services = services(&config);
        let mut clock = 0;
        for (name, seed, what, later) in events {
            clock += later / 50;
            let text = format!("n-{name}");
            let parsed: ServiceName = text.parse().expect("a name");
            match what {
                0 => services.asked(&parsed, at(clock)),
                1 => services.used(&parsed, if seed == 1 { Quality::Poor } else { Quality::Good }, at(clock)),
                2 => services.expire(at(clock)),
                3 => services.learn(&bundle(&text, &[seed], clock), None, at(clock)),
                _ => services.learn(&bundle(&text, &[seed, seed + 1], clock), Some(Duration::from_millis(later)), at(clock)),
            }
            prop_assert!(services.len() <= 4);
            prop_assert!(services.bytes() <= 3000 || services.len() == 1);
            let counted: usize = services.entries.values().map(|entry| entry.bytes).sum();
            prop_assert_eq!(services.bytes(), counted);
            prop_assert!(services.popular.len() <= MAX_POPULAR);
        }
    }
}
