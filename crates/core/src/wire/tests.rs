use proptest::prelude::*;

use super::*;

#[test]
fn a_frame_comes_out_as_it_went_in() {
    let framed = frame(b"message");
    assert_eq!(framed, b"\x07message");
    assert_eq!(unframe(&[&framed[..], b"next"].concat(), 7), Ok(Some((&b"message"[..], 8))));
    assert_eq!(unframe(&frame(b""), 7), Ok(Some((&b""[..], 1))));
}

#[test]
fn an_unfinished_frame_asks_for_more() {
    let framed = frame(&[1; 300]);
    for end in 0..framed.len() {
        assert_eq!(unframe(&framed[..end], 300), Ok(None), "{end} bytes");
    }
}

#[test]
fn a_frame_is_refused_by_its_length_alone() {
    assert_eq!(unframe(&frame(&[0; 300])[..2], 299), Err(FrameError::TooLong { length: 300, limit: 299 }));
    assert_eq!(unframe(&[0xff; 20], 300), Err(FrameError::Length));
    // 0 written in two bytes.
    assert_eq!(unframe(&[0x80, 0], 300), Err(FrameError::Length));
}

#[test]
fn groups_and_cut_fields_are_malformed() {
    for bytes in [&[0x0b][..], &[0x0c], &[0x0a, 5, 1], &[0x0d, 1, 2], &[0x09, 1], &[0x08], &[0x00, 0x00]] {
        assert!(fields(bytes).any(|field| field.is_err()), "{bytes:?}");
    }
}

proptest! {
    #[test]
    fn walking_over_any_bytes_ends(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(fields(&bytes).count() <= bytes.len());
    }

    #[test]
    fn frames_survive_any_splitting(message in prop::collection::vec(any::<u8>(), 0..400), split: prop::sample::Index) {
        let framed = frame(&message);
        let at = split.index(framed.len());
        prop_assert_eq!(unframe(&framed[..at], 400), Ok(None));
        prop_assert_eq!(unframe(&framed, 400), Ok(Some((&message[..], framed.len()))));
    }
}
