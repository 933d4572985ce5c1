use std::time::Duration;

use libp2p_identity::Keypair;
use proptest::prelude::*;

use super::*;
use crate::{name::NetworkName, record::Record};

const START: u64 = 1_700_000_000_000;
const MINUTE: u64 = 60_000;

fn at(minutes: u64) -> Now {
    Now { elapsed: Duration::from_millis(minutes * MINUTE), unix_ms: START + minutes * MINUTE }
}

fn key(seed: u8) -> Keypair {
    Keypair::ed25519_from_bytes([seed; 32]).unwrap()
}

fn id(seed: u8) -> PeerId {
    key(seed).public().to_peer_id()
}

fn chess() -> Key {
    Key::service(&NetworkName::default(), &"chess".parse().unwrap())
}

/// A record of provider `seed`, issued and numbered at a minute, living for some.
fn record(seed: u8, minute: u64, minutes: u64) -> Record {
    Record { ttl: minutes * MINUTE, ..Record::new("chess".parse().unwrap(), id(seed), START + minute * MINUTE) }
}

fn live(seed: u8, minute: u64, minutes: u64) -> SignedRecord {
    record(seed, minute, minutes).sign(&key(seed)).unwrap()
}

fn withdrawal(seed: u8, minute: u64, minutes: u64) -> SignedRecord {
    Record { withdrawn: true, ..record(seed, minute, minutes) }.sign(&key(seed)).unwrap()
}

fn bundle(records: impl IntoIterator<Item = SignedRecord>, now: Now) -> Bundle {
    let mut bundle = Bundle::new(chess());
    for record in records {
        bundle.merge(record, now).unwrap();
    }
    bundle
}

#[test]
fn the_newest_record_of_each_provider_stays() {
    let mut bundle = Bundle::new(chess());
    assert_eq!(bundle.merge(live(1, 0, 60), at(0)), Ok(Merge::Added));
    assert_eq!(bundle.merge(live(2, 0, 60), at(0)), Ok(Merge::Added));
    assert_eq!(bundle.merge(live(1, 1, 60), at(1)), Ok(Merge::Replaced));
    assert_eq!(bundle.merge(live(1, 1, 60), at(1)), Ok(Merge::Known));
    assert_eq!(bundle.merge(live(1, 0, 60), at(1)), Ok(Merge::Stale));
    assert_eq!(bundle.len(), 2);
    assert_eq!(bundle.get(&id(1)), Some(&live(1, 1, 60)));
}

#[test]
fn a_bundle_holds_one_name_only() {
    let mut bundle = Bundle::new(chess());
    let go = Record { name: "go".parse().unwrap(), ..record(1, 0, 60) }.sign(&key(1)).unwrap();
    assert_eq!(bundle.merge(go, at(0)), Err(RecordError::WrongKey));

    let network = NetworkName::default();
    let mut alone = Bundle::new(Key::service_of(&network, &"chess".parse().unwrap(), &id(1)));
    assert_eq!(alone.merge(live(2, 0, 60), at(0)), Err(RecordError::WrongKey));
    assert_eq!(alone.merge(live(1, 0, 60), at(0)), Ok(Merge::Added));

    let mut addresses = Bundle::new(Key::peer(&network, &id(1)));
    assert_eq!(addresses.merge(live(1, 0, 60), at(0)), Err(RecordError::WrongKey));
}

#[test]
fn dates_are_checked_against_the_given_time() {
    let mut bundle = Bundle::new(chess());
    assert_eq!(bundle.merge(live(1, 0, 60), at(60)), Err(RecordError::Expired { since: 0 }));
    assert_eq!(bundle.merge(live(1, 11, 60), at(0)), Err(RecordError::Future { ahead: 11 * MINUTE }));
    assert_eq!(bundle.merge(live(1, 10, 60), at(0)), Ok(Merge::Added));
}

#[test]
fn a_withdrawn_record_is_not_resurrected() {
    let mut bundle = bundle([live(1, 0, 60)], at(0));
    assert_eq!(bundle.merge(withdrawal(1, 5, 55), at(5)), Ok(Merge::Replaced));
    assert_eq!(bundle.live(at(5)).count(), 0);
    assert_eq!(bundle.merge(live(1, 0, 60), at(6)), Ok(Merge::Stale));

    // Everybody who asks hears of the withdrawal, until what it withdraws has expired.
    assert!(bundle.spreads(at(59)));
    let (heard, _) = Bundle::decode(&chess(), &bundle.encode(at(59)), at(59)).unwrap();
    assert!(heard.get(&id(1)).unwrap().record().withdrawn);
    assert!(!bundle.spreads(at(60)));
    assert_eq!(bundle.expire(at(60)), 1);
    assert_eq!(bundle.merge(live(1, 0, 60), at(60)), Err(RecordError::Expired { since: 0 }));
}

#[test]
fn a_short_withdrawal_is_kept_as_long_as_what_it_withdraws() {
    let mut bundle = bundle([live(1, 0, 60), withdrawal(1, 1, 1)], at(1));
    assert_eq!(bundle.expire(at(30)), 0);
    assert!(bundle.spreads(at(30)));
    assert_eq!(bundle.merge(live(1, 0, 60), at(30)), Ok(Merge::Stale));
    assert_eq!(bundle.next_expiry(), Some(at(60).unix_ms));
    assert_eq!(bundle.expire(at(60)), 1);
}

#[test]
fn a_late_withdrawal_still_reaches_a_holder_of_what_it_withdraws() {
    let mut bundle = bundle([live(1, 0, 60)], at(0));
    assert_eq!(bundle.merge(withdrawal(1, 1, 1), at(30)), Ok(Merge::Replaced));
    assert_eq!(bundle.live(at(30)).count(), 0);
    // Where nothing is to be withdrawn, it is only an old record.
    assert!(Bundle::new(chess()).merge(withdrawal(1, 1, 1), at(30)).is_err());
}

#[test]
fn a_short_record_does_not_bring_its_longer_predecessor_back() {
    let mut bundle = bundle([live(1, 0, 60), live(1, 1, 2)], at(1));
    assert_eq!(bundle.expire(at(30)), 0);
    assert_eq!(bundle.live(at(30)).count(), 0);
    assert!(!bundle.spreads(at(30)), "what has expired is not passed on");
    assert_eq!(bundle.merge(live(1, 0, 60), at(30)), Ok(Merge::Stale));
    assert_eq!(bundle.merge(live(1, 2, 60), at(30)), Ok(Merge::Replaced));
    assert_eq!(bundle.live(at(30)).count(), 1);
}

#[test]
fn one_bad_record_costs_only_itself() {
    let mut forged = live(2, 0, 60).envelope().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let envelopes =
        [live(1, 0, 60).envelope().to_vec(), forged, b"garbage".to_vec(), live(3, 0, 60).envelope().to_vec()];
    let bytes = wire::encode(envelopes.iter().map(Vec::as_slice));

    let (bundle, rejected) = Bundle::decode(&chess(), &bytes, at(0)).unwrap();
    assert_eq!(bundle.len(), 2);
    assert_eq!(rejected.iter().map(|bad| bad.index).collect::<Vec<_>>(), [1, 2]);
    assert!(rejected.iter().all(|bad| bad.reason.code() == "REFUSED"));
    assert_eq!(rejected[0].to_string(), "record 1 of the bundle: the signature does not hold");
}

#[test]
fn a_bundle_read_back_is_the_bundle() {
    let original = bundle([live(1, 0, 60), live(2, 0, 30), withdrawal(3, 0, 60)], at(0));
    let (decoded, rejected) = Bundle::decode(&chess(), &original.encode(at(0)), at(0)).unwrap();
    assert_eq!((&decoded, rejected.len()), (&original, 0));
    // The second has expired by then.
    let (later, rejected) = Bundle::decode(&chess(), &original.encode(at(30)), at(30)).unwrap();
    assert_eq!((later.len(), rejected.len()), (2, 0));
}

#[test]
fn beyond_the_cap_the_smallest_ranks_stay_whatever_the_order() {
    let rank = |seed: u8| Sha256::digest([&id(seed).to_bytes(), chess().as_bytes()].concat());
    let mut expected: Vec<u8> = (0..40).collect();
    expected.sort_by_key(|seed| rank(*seed));
    let lost = expected.split_off(MAX_RECORDS);

    let forwards = bundle((0..40).map(|seed| live(seed, 0, 60)), at(0));
    let backwards = bundle((0..40).rev().map(|seed| live(seed, 0, 60)), at(0));
    assert_eq!(forwards, backwards);
    assert_eq!(forwards.encode(at(0)), backwards.encode(at(0)));
    assert!(expected.iter().all(|seed| forwards.get(&id(*seed)).is_some()));

    let mut full = forwards;
    assert_eq!(full.merge(live(lost[0], 0, 60), at(0)), Ok(Merge::Full));
    assert_eq!(full.merge(live(expected[0], 1, 60), at(1)), Ok(Merge::Replaced));
    assert!(full.encode(at(1)).len() <= MAX_ENCODED);
    // When a place falls free, the next in line takes it.
    let mut short = bundle((0..40).map(|seed| live(seed, 0, if seed == expected[5] { 10 } else { 60 })), at(0));
    assert_eq!(short.merge(live(lost[0], 0, 60), at(9)), Ok(Merge::Full));
    assert_eq!(short.merge(live(lost[0], 0, 60), at(10)), Ok(Merge::Added));
}

#[test]
fn a_holder_with_less_is_told_from_one_with_enough() {
    let union = bundle([live(1, 1, 60), live(2, 0, 60)], at(1));
    let old = bundle([live(1, 0, 60), live(2, 0, 60)], at(1));
    let fewer = bundle([live(1, 1, 60)], at(1));
    assert!(union.covers(&old) && union.covers(&fewer) && union.covers(&union));
    assert!(!old.covers(&union) && !fewer.covers(&union));
    assert!(!Bundle::new(chess()).covers(&union) && union.covers(&Bundle::new(chess())));

    // A full holder has no use for a provider whose rank is too high.
    let full = bundle((0..40).map(|seed| live(seed, 0, 60)), at(0));
    let lost = (0..40).find(|seed| full.get(&id(*seed)).is_none()).unwrap();
    assert!(full.covers(&bundle([live(lost, 0, 60)], at(0))));
}

#[test]
fn known_envelopes_are_counted_without_a_second_look() {
    let mut held = bundle([live(1, 0, 60)], at(0));
    let same = bundle([live(1, 0, 60), live(2, 0, 60)], at(0)).encode(at(0));
    let merged = held.merge_encoded(&same, at(0)).unwrap();
    assert_eq!((merged.known, merged.added, merged.valid(), merged.changed()), (1, 1, 2, true));
    let merged = held.merge_encoded(&same, at(0)).unwrap();
    assert_eq!((merged.known, merged.changed()), (2, false));
    // What has expired is not known but refused.
    let merged = held.merge_encoded(&same, at(60)).unwrap();
    assert_eq!((merged.valid(), merged.rejected.len()), (0, 2));
}

/// What the world may say of three providers: records and withdrawals of several dates and lifetimes, all of which hold
/// at minute 3.
fn statements() -> impl Strategy<Value = Vec<SignedRecord>> {
    let statement = (1..4_u8, 0..6_u64, 4..8_u64, any::<bool>()).prop_map(|(seed, minute, minutes, withdrawn)| {
        if withdrawn { withdrawal(seed, minute, minutes) } else { live(seed, minute, minutes) }
    });
    prop::collection::vec(statement, 0..10)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn order_and_repetition_do_not_matter(records in statements(), order: Vec<prop::sample::Index>) {
        let hear = |records: &mut dyn Iterator<Item = &SignedRecord>| {
            let mut bundle = Bundle::new(chess());
            for record in records {
                let _ = bundle.merge(record.clone(), at(3));
            }
            bundle
        };
        let straight = hear(&mut records.iter());
        let repeated = order.iter().filter(|_| !records.is_empty()).map(|i| i.get(&records));
        let mut again = repeated.chain(records.iter().rev());
        let shuffled = hear(&mut again);
        prop_assert_eq!(straight.encode(at(3)), shuffled.encode(at(3)));
        prop_assert!(straight.covers(&shuffled) && shuffled.covers(&straight));
    }

    #[test]
    fn merging_bundles_is_merging_their_records(left in statements(), right in statements()) {
        let mut union = bundle(left.iter().cloned(), at(3));
        let other = bundle(right.iter().cloned(), at(3));
        let covered = union.covers(&other);
        prop_assert_eq!(union.merge_all(&other, at(3)), !covered);
        prop_assert!(union.covers(&other));
        prop_assert_eq!(union.encode(at(3)), bundle(left.into_iter().chain(right), at(3)).encode(at(3)));
    }

    #[test]
    fn no_bytes_make_decoding_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok((bundle, _)) = Bundle::decode(&chess(), &bytes, at(0)) {
            prop_assert!(bundle.is_empty());
        }
    }
}
