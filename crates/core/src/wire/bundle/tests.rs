use super::*;

#[test]
fn envelopes_come_out_in_order() {
    let envelopes = [&b"one"[..], b"", b"three"];
    assert_eq!(decode(&encode(envelopes.into_iter())).unwrap(), envelopes);
    assert_eq!(decode(b"").unwrap(), Vec::<&[u8]>::new());
}

#[test]
fn a_full_bundle_fits_and_one_more_record_does_not() {
    let envelope = vec![1; crate::record::MAX_ENVELOPE];
    let full = encode((0..MAX_RECORDS).map(|_| &envelope[..]));
    assert_eq!(decode(&full).unwrap().len(), MAX_RECORDS);

    let one_more = encode((0..=MAX_RECORDS).map(|_| &b"x"[..]));
    assert_eq!(decode(&one_more), Err(BundleError::TooMany));
    assert_eq!(decode(&vec![0; MAX_ENCODED + 1]), Err(BundleError::TooLarge { bytes: MAX_ENCODED + 1 }));
}

#[test]
fn unknown_fields_are_skipped_and_cut_ones_are_not() {
    let bytes = [encode([&b"one"[..]].into_iter()), vec![0x10, 5, 0x1a, 1, 0]].concat();
    assert_eq!(decode(&bytes).unwrap(), [b"one"]);
    assert!(matches!(decode(&[0x0a, 9, 1]), Err(BundleError::Malformed(_))));
}
