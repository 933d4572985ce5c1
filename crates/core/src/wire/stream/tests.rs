use proptest::prelude::*;

use super::*;
use crate::wire::unframe;

fn body(framed: &[u8]) -> &[u8] {
    let (body, taken) = unframe(framed, MAX_HEADER).unwrap().unwrap();
    assert_eq!(taken, framed.len());
    body
}

#[test]
fn headers_survive() {
    let open = Open { name: "n".repeat(128).parse().unwrap() };
    assert_eq!(Open::decode(body(&open.encode())).unwrap(), open);
    for status in [Status::Ok, Status::NotFound, Status::Refused, Status::Busy] {
        let answer = Answer::new(status, "because");
        assert_eq!(Answer::decode(body(&answer.encode())).unwrap(), answer);
    }
    assert_eq!(Answer::ok().encode(), [0]);
}

#[test]
fn a_status_of_the_future_is_a_refusal() {
    let bytes = AnswerMessage { status: 77, message: String::new() }.encode_to_vec();
    assert_eq!(Answer::decode(&bytes).unwrap().status, Status::Refused);
}

#[test]
fn long_messages_are_cut_between_characters() {
    let answer = Answer::new(Status::Busy, "é".repeat(200));
    assert_eq!(Answer::decode(body(&answer.encode())).unwrap().message, "é".repeat(128));
    let odd = AnswerMessage { status: 3, message: format!("x{}", "é".repeat(200)) }.encode_to_vec();
    assert_eq!(Answer::decode(&odd).unwrap().message.len(), 255);
}

#[test]
fn bad_headers_are_named() {
    assert_eq!(Open::decode(&[0; 1025]).unwrap_err(), HeaderError::TooLong { bytes: 1025 });
    assert_eq!(Answer::decode(&[0; 1025]).unwrap_err(), HeaderError::TooLong { bytes: 1025 });
    assert!(matches!(Open::decode(b"\xff"), Err(HeaderError::Malformed(_))));
    assert!(matches!(Open::decode(b""), Err(HeaderError::Name(_))));
    let bad_name = OpenMessage { name: "Chess".into() }.encode_to_vec();
    assert!(matches!(Open::decode(&bad_name), Err(HeaderError::Name(_))));
}

proptest! {
    #[test]
    fn no_bytes_make_decoding_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = (Open::decode(&bytes), Answer::decode(&bytes));
    }
}
