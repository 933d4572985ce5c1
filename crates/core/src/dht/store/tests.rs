use libp2p_identity::Keypair;
use multiaddr::multiaddr;
use proptest::prelude::*;

use super::*;
use crate::{
    peer_record::PeerRecord,
    record::{Record, SignedRecord},
    wire,
};

const START: u64 = 1_700_000_000_000;

fn at(minutes: u64) -> Now {
    let elapsed = Duration::from_secs(60 * minutes);
    Now { elapsed, unix_ms: START + elapsed.as_millis() as u64 }
}

fn minutes(minutes: u64) -> Duration {
    at(minutes).elapsed
}

fn key(seed: u8) -> Keypair {
    Keypair::ed25519_from_bytes([seed; 32]).unwrap()
}

fn id(seed: u8) -> PeerId {
    key(seed).public().to_peer_id()
}

fn network() -> NetworkName {
    NetworkName::default()
}

fn service(name: &str) -> Key {
    Key::service(&network(), &name.parse().unwrap())
}

fn store(config: StoreConfig) -> Store {
    Store::new(network(), &id(0), config)
}

/// A record that lives an hour from minute `minute` on.
fn record(seed: u8, name: &str, minute: u64) -> Record {
    Record::new(name.parse().unwrap(), id(seed), at(minute).unix_ms)
}

fn live(seed: u8, name: &str, minute: u64) -> SignedRecord {
    record(seed, name, minute).sign(&key(seed)).unwrap()
}

fn encoded(records: &[SignedRecord]) -> Vec<u8> {
    wire::bundle::encode(records.iter().map(SignedRecord::envelope))
}

fn addresses(seed: u8, sequence: u64) -> Vec<u8> {
    let record = PeerRecord { peer: id(seed), sequence, addresses: vec![multiaddr!(Ip4([192, 0, 2, 1]), Tcp(1_u16))] };
    record.sign(&key(seed)).unwrap().envelope().to_vec()
}

fn announced(seed: u8) -> PeerAddresses {
    PeerAddresses { peer: id(seed), addresses: vec![multiaddr!(Ip4([192, 0, 2, seed]), Tcp(1_u16))] }
}

impl Store {
    fn put_records(&mut self, key: &Key, records: &[SignedRecord], now: Now) -> Result<Merged, PutRefused> {
        self.put(key.as_bytes(), &encoded(records), now).map(|outcome| outcome.merged)
    }

    fn found(&self, key: &Key, now: Now) -> Vec<SignedRecord> {
        let Some(value) = self.get(key.as_bytes(), now) else { return Vec::new() };
        let (bundle, rejected) = Bundle::decode(key, &value, now).unwrap();
        assert!(rejected.is_empty(), "a holder gave out what nobody believes: {rejected:?}");
        bundle.records().cloned().collect()
    }

    /// Everything the store keeps count of, counted anew.
    fn assert_consistent(&self) {
        let keys = self.values.keys().map(|key| key.as_bytes().len()).chain(self.providers.keys().map(Vec::len));
        let values = self.values.values().map(Value::bytes).chain(self.providers.values().map(Providers::bytes));
        assert_eq!(self.bytes, keys.sum::<usize>() + values.sum::<usize>());
        assert_eq!(self.by_distance.len(), self.values.len() + self.providers.len());
        for (distance, slot) in &self.by_distance {
            let position = match slot {
                Slot::Value(key) => self.values.get_key_value(key).unwrap().0.position(),
                Slot::Providers(key) => Position::of(self.providers.get_key_value(key).unwrap().0),
            };
            assert_eq!(self.local.distance(&position), *distance);
        }
        assert!(self.bytes <= self.config.max_bytes && self.len() <= self.config.max_keys);
    }
}

#[test]
fn what_is_put_is_found_merged() {
    let mut store = store(StoreConfig::default());
    let chess = service("chess");
    assert_eq!(store.put_records(&chess, &[live(1, "chess", 0)], at(0)).unwrap().added, 1);
    let merged = store.put_records(&chess, &[live(1, "chess", 1), live(2, "chess", 1)], at(1)).unwrap();
    assert_eq!((merged.added, merged.replaced), (1, 1));
    assert_eq!(store.put_records(&chess, &[live(1, "chess", 0)], at(1)).unwrap().stale, 1);
    assert_eq!(store.put_records(&chess, &[live(1, "chess", 1)], at(1)).unwrap().known, 1);

    assert_eq!(store.found(&chess, at(1)).len(), 2);
    assert_eq!(store.found(&service("go"), at(1)), []);
    assert_eq!((store.len(), store.services()), (1, 1));
    store.assert_consistent();
}

#[test]
fn a_provider_has_a_key_of_its_own() {
    let mut store = store(StoreConfig::default());
    let of_one = Key::service_of(&network(), &"chess".parse().unwrap(), &id(1));
    store.put_records(&of_one, &[live(1, "chess", 0)], at(0)).unwrap();
    assert_eq!(store.found(&of_one, at(0)), [live(1, "chess", 0)]);
    let refused = store.put_records(&of_one, &[live(2, "chess", 0)], at(0)).unwrap_err();
    assert!(matches!(refused, PutRefused::AllBad { .. }), "{refused}");
    assert_eq!(store.services(), 0, "a service is counted under its name only");
}

#[test]
fn foreign_keys_and_values_are_refused_with_a_reason() {
    let mut store = store(StoreConfig::default());
    let mut refused = |key: &str, value: &[u8]| store.put(key.as_bytes(), value, at(0)).unwrap_err();
    let good = encoded(&[live(1, "chess", 0)]);

    let foreign = refused("/openred/other/service/chess", &good);
    assert!(matches!(foreign, PutRefused::Key(KeyError::ForeignNetwork { .. })), "{foreign}");
    assert!(matches!(refused("/ipns/chess", &good), PutRefused::Key(KeyError::Unknown)));
    let other_name = refused("/openred/main/service/go", &good);
    assert_eq!(
        other_name.to_string(),
        "none of the 1 records is valid; the first: record of another name or provider than its key"
    );
    assert_eq!(refused("/openred/main/service/chess", b""), PutRefused::Empty);
    assert!(matches!(refused("/openred/main/service/chess", b"garbage"), PutRefused::Bundle(_)));
    assert!(matches!(refused("/openred/main/service/chess", &vec![0; 71 * 1024]), PutRefused::Bundle(_)));
    assert!(store.is_empty());
    store.assert_consistent();
}

#[test]
fn a_bad_record_among_good_ones_costs_only_itself() {
    let mut store = store(StoreConfig::default());
    let chess = service("chess");
    let merged =
        store.put_records(&chess, &[live(1, "chess", 0), live(2, "go", 0), live(3, "chess", 0)], at(0)).unwrap();
    assert_eq!((merged.added, merged.rejected.len(), merged.rejected[0].index), (2, 1, 1));
    assert_eq!(store.found(&chess, at(0)).len(), 2);
}

#[test]
fn what_has_expired_is_not_given_out_and_leaves() {
    let mut store = store(StoreConfig::default());
    let chess = service("chess");
    store.put_records(&chess, &[live(1, "chess", 0), live(2, "chess", 30)], at(30)).unwrap();
    assert_eq!(store.next_expiry(), Some(minutes(60)));
    assert_eq!(store.found(&chess, at(60)), [live(2, "chess", 30)]);
    assert_eq!(store.expire(at(60)), 1);
    assert_eq!(store.next_expiry(), Some(minutes(90)));
    assert_eq!(store.get(chess.as_bytes(), at(90)), None);
    assert_eq!(store.expire(at(90)), 1);
    assert_eq!((store.len(), store.bytes(), store.next_expiry()), (0, 0, None));
}

#[test]
fn sweeps_keep_their_distance() {
    let mut store = store(StoreConfig { sweep_interval: minutes(5), ..StoreConfig::default() });
    store.put_records(&service("a"), &[live(1, "a", 0)], at(0)).unwrap();
    store.put_records(&service("b"), &[live(1, "b", 1)], at(1)).unwrap();
    assert_eq!(store.next_expiry(), Some(minutes(60)));
    assert_eq!(store.expire(at(60)), 1);
    assert_eq!(store.next_expiry(), Some(minutes(65)));
}

#[test]
fn a_withdrawal_stays_until_what_it_withdraws_would_have_expired() {
    let mut store = store(StoreConfig::default());
    let chess = service("chess");
    let withdrawal = record(1, "chess", 0).withdrawal(at(1).unix_ms).sign(&key(1)).unwrap();
    store.put_records(&chess, &[live(1, "chess", 0)], at(0)).unwrap();
    store.put_records(&chess, std::slice::from_ref(&withdrawal), at(1)).unwrap();

    assert_eq!(store.services(), 0);
    store.expire(at(59));
    assert_eq!(store.found(&chess, at(59)), [withdrawal]);
    assert_eq!(store.put_records(&chess, &[live(1, "chess", 0)], at(59)).unwrap().stale, 1);
    assert_eq!(store.get(chess.as_bytes(), at(60)), None);
}

#[test]
fn addresses_are_their_peers_own_and_the_newest_win() {
    let mut store = store(StoreConfig::default());
    let home = Key::peer(&network(), &id(1));
    let put =
        |store: &mut Store, value: &[u8], minute| store.put(home.as_bytes(), value, at(minute)).map(|put| put.merged);

    assert_eq!(put(&mut store, &addresses(1, 5), 0).unwrap().added, 1);
    assert_eq!(put(&mut store, &addresses(1, 4), 1).unwrap().stale, 1);
    assert_eq!(put(&mut store, &addresses(1, 5), 1).unwrap().known, 1);
    assert_eq!(put(&mut store, &addresses(1, 6), 1).unwrap().replaced, 1);
    assert_eq!(put(&mut store, &addresses(2, 9), 1).unwrap_err(), PutRefused::OtherPeer { record: id(2) });
    assert!(matches!(put(&mut store, &encoded(&[live(1, "chess", 0)]), 1), Err(PutRefused::PeerRecord(_))));
    assert_eq!(store.get(home.as_bytes(), at(120)), Some(addresses(1, 6)));
    store.assert_consistent();

    // Two hours after the last change, the peer must say so again; an older statement counts then.
    assert_eq!(store.get(home.as_bytes(), at(121)), None);
    assert_eq!(put(&mut store, &addresses(1, 5), 121).unwrap().added, 1);
    store.assert_consistent();
    assert_eq!(store.expire(at(241)), 1);
    assert!(store.is_empty());
}

#[test]
fn providers_are_held_two_hours_and_refreshed() {
    let mut store = store(StoreConfig { provider_ttl: minutes(600), ..StoreConfig::default() });
    let chess = service("chess").provider();
    assert_eq!(store.add_provider(&chess, announced(1), at(0)), Ok(Announced::Added));
    assert_eq!(store.add_provider(&chess, announced(2), at(10)), Ok(Announced::Added));
    let moved = PeerAddresses { addresses: vec![], ..announced(1) };
    assert_eq!(store.add_provider(&chess, moved.clone(), at(20)), Ok(Announced::Refreshed));

    assert!(store.providers(&chess, at(129)).contains(&announced(2)));
    assert_eq!(store.providers(&chess, at(130)), [moved]);
    assert_eq!(store.next_expiry(), Some(minutes(120)));
    assert_eq!(store.expire(at(130)), 1);
    assert_eq!(store.next_expiry(), Some(minutes(140)));
    assert_eq!(store.providers(&chess, at(140)), []);
    assert_eq!(store.expire(at(140)), 1);
    assert!(store.is_empty());
    assert_eq!(store.add_provider(b"chess", announced(1), at(0)), Err(PutRefused::NotAProviderKey));
    store.assert_consistent();
}

#[test]
fn of_many_providers_the_closest_to_the_key_stay() {
    let mut store = store(StoreConfig::default());
    let chess = service("chess").provider();
    let distance = |seed: &u8| Position::of(&chess).distance(&Position::of_peer(&id(*seed)));
    let mut seeds: Vec<u8> = (1..=30).collect();
    let outcomes: Vec<_> =
        seeds.iter().map(|seed| store.add_provider(&chess, announced(*seed), at(0)).unwrap()).collect();
    seeds.sort_by_key(distance);

    let held: Vec<_> = store.providers(&chess, at(0)).iter().map(|provider| provider.peer).collect();
    assert_eq!(held, seeds[..20].iter().map(|seed| id(*seed)).collect::<Vec<_>>());
    assert!(outcomes[20..].contains(&Announced::TooFar));
    assert_eq!(store.add_provider(&chess, announced(seeds[20]), at(0)), Ok(Announced::TooFar));
    // Places that fall free are taken.
    assert_eq!(store.add_provider(&chess, announced(seeds[20]), at(120)), Ok(Announced::Added));
    store.assert_consistent();
}

#[test]
fn when_full_the_farthest_key_goes() {
    let mut store = store(StoreConfig { max_keys: 8, ..StoreConfig::default() });
    let local = Position::of_peer(&id(0));
    let mut names: Vec<String> = (0..20).map(|i| format!("service-{i}")).collect();
    let mut refused = 0;
    for name in &names {
        match store.put_records(&service(name), &[live(1, name, 0)], at(0)) {
            Ok(_) => {}
            Err(PutRefused::Full { .. }) => refused += 1,
            Err(error) => panic!("{error}"),
        }
        store.assert_consistent();
    }
    names.sort_by_key(|name| local.distance(&service(name).position()));
    let nearest: Vec<_> = store.nearest().map(|(key, _)| key.clone()).collect();
    assert_eq!(nearest, names[..8].iter().map(|name| service(name)).collect::<Vec<_>>());
    assert!(refused > 0);
    assert_eq!(
        store.put_records(&service(&names[8]), &[live(1, &names[8], 0)], at(0)),
        Err(PutRefused::Full { checked: 1 })
    );
    let entries: Vec<_> = store.entries().map(|(key, _)| key.as_bytes()).collect();
    assert!(entries.is_sorted());
}

#[test]
fn bytes_are_capped_across_values_and_providers() {
    let mut store = store(StoreConfig { max_bytes: 4096, ..StoreConfig::default() });
    for i in 0..40 {
        let name = format!("service-{i}");
        let _ = store.put_records(&service(&name), &[live(1, &name, 0)], at(0));
        let _ = store.add_provider(&service(&name).provider(), announced(1), at(0));
        store.assert_consistent();
    }
    assert!(store.bytes() > 3000);
    assert!(store.nearest().count() > 0 && store.len() > store.nearest().count());
}

#[test]
fn what_has_expired_makes_room_before_anything_else_does() {
    let mut store = store(StoreConfig { max_keys: 2, ..StoreConfig::default() });
    let local = Position::of_peer(&id(0));
    let mut names: Vec<String> = (0..3).map(|i| format!("service-{i}")).collect();
    names.sort_by_key(|name| local.distance(&service(name).position()));
    let [near, middle, far] = [&names[0], &names[1], &names[2]];

    store.put_records(&service(near), &[live(1, near, 0)], at(0)).unwrap();
    store.put_records(&service(far), &[live(1, far, 30)], at(30)).unwrap();
    assert!(store.put_records(&service(middle), &[live(1, middle, 61)], at(61)).is_ok());
    assert_eq!(store.found(&service(far), at(61)).len(), 1);
    assert!(store.value(&service(near)).is_none());
}

#[derive(Debug, Clone)]
enum Step {
    Record { seed: u8, name: u8, withdrawn: bool },
    Addresses { seed: u8 },
    Provider { seed: u8, name: u8 },
    Wait { minutes: u64 },
    Expire,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let record = (1..4_u8, 0..6_u8, any::<bool>());
    let step = prop_oneof![
        4 => record.prop_map(|(seed, name, withdrawn)| Step::Record { seed, name, withdrawn }),
        1 => (1..4_u8).prop_map(|seed| Step::Addresses { seed }),
        2 => (1..4_u8, 0..6_u8).prop_map(|(seed, name)| Step::Provider { seed, name }),
        2 => (1..50_u64).prop_map(|minutes| Step::Wait { minutes }),
        1 => Just(Step::Expire),
    ];
    prop::collection::vec(step, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn counts_and_caps_hold_whatever_happens(steps in steps(), max_keys in 1..10_usize, max_bytes in 200..6000_usize) {
        let mut store = store(StoreConfig { max_keys, max_bytes, providers_per_key: 2, ..StoreConfig::default() });
        let mut minute = 0;
        for step in steps {
            let now = at(minute);
            match step {
                Step::Record { seed, name, withdrawn } => {
                    let name = format!("service-{name}");
                    let record = Record { withdrawn, ..record(seed, &name, minute) }.sign(&key(seed)).unwrap();
                    let _ = store.put_records(&service(&name), &[record], now);
                }
                Step::Addresses { seed } => {
                    let _ = store.put(Key::peer(&network(), &id(seed)).as_bytes(), &addresses(seed, minute), now);
                }
                Step::Provider { seed, name } => {
                    let key = service(&format!("service-{name}")).provider();
                    let _ = store.add_provider(&key, announced(seed), now);
                }
                Step::Wait { minutes } => minute += minutes,
                Step::Expire => drop(store.expire(now)),
            }
            store.assert_consistent();
            prop_assert_eq!(store.is_empty(), store.next_expiry().is_none());
        }
        // After the longest lifetime nothing is left.
        store.expire(at(minute + 48 * 60 + 10));
        prop_assert!(store.is_empty() && store.bytes() == 0);
    }

    #[test]
    fn no_bytes_make_putting_panic(key: Vec<u8>, value in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut store = store(StoreConfig::default());
        let _ = store.put(&key, &value, at(0));
        let _ = store.put(service("chess").as_bytes(), &value, at(0));
        let _ = store.put(Key::peer(&network(), &id(1)).as_bytes(), &value, at(0));
        let _ = store.add_provider(&key, announced(1), at(0));
        store.assert_consistent();
    }
}
