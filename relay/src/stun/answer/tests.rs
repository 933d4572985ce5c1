use proptest::{collection::vec, prelude::*};
use stun::{agent::TransactionId, attributes::ATTR_SOFTWARE, message::Getter};

use super::*;

/// Reads the address out of an answer, with the codec of the client's side.
pub(crate) fn mapped(bytes: &[u8]) -> SocketAddr {
    let mut message = Message::new();
    message.unmarshal_binary(bytes).unwrap();
    let mut address = XorMappedAddress::default();
    address.get_from(&message).unwrap();
    SocketAddr::new(address.ip, address.port)
}

fn from(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A binding request with these attributes.
fn request(attributes: &[(AttrType, &[u8])]) -> Message {
    let mut message = Message::new();
    message.typ = BINDING_REQUEST;
    message.transaction_id = TransactionId(*b"twelve bytes");
    message.write_header();
    for (kind, value) in attributes {
        message.add(*kind, value);
    }
    message
}

fn with_fingerprint(mut message: Message) -> Vec<u8> {
    FINGERPRINT.add_to(&mut message).unwrap();
    message.raw
}

#[test]
fn the_answer_is_that_of_the_test_vectors() {
    // RFC 5769, section 2.2 and 2.3, without what needs a password: transaction, mapped address, and how it is written.
    let mut asked = request(&[]);
    asked.transaction_id = TransactionId([0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae]);
    asked.write_transaction_id();
    let v4 = answer(&asked.raw, from("192.0.2.1:32853")).unwrap();
    assert_eq!(v4.bytes[20..], [0x00, 0x20, 0x00, 0x08, 0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43]);
    let v6 = answer(&asked.raw, from("[2001:db8:1234:5678:11:2233:4455:6677]:32853")).unwrap();
    let written = [
        0x00, 0x20, 0x00, 0x14, 0x00, 0x02, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79, 0xbc, 0x25,
        0xf4, 0xb5, 0xbe, 0xd2, 0xb9, 0xd9,
    ];
    assert_eq!(v6.bytes[20..], written);
}

#[test]
fn the_answer_holds_the_address_and_no_more() {
    for (address, length) in [("192.0.2.7:5000", 32), ("[2001:db8::7]:5000", 44)] {
        let plain = answer(&request(&[]).raw, from(address)).unwrap();
        assert!(plain.success);
        assert_eq!((mapped(&plain.bytes), plain.bytes.len()), (from(address), length));
        let asked = with_fingerprint(request(&[(ATTR_SOFTWARE, b"somebody's")]));
        let fingerprinted = answer(&asked, from(address)).unwrap();
        assert_eq!(fingerprinted.bytes.len(), length + 8);
        let mut message = Message::new();
        message.unmarshal_binary(&fingerprinted.bytes).unwrap();
        FINGERPRINT.check(&message).unwrap();
    }
}

#[test]
fn who_comes_by_ipv4_to_an_ipv6_socket_reads_ipv4() {
    let answer = answer(&request(&[]).raw, from("[::ffff:192.0.2.7]:5000")).unwrap();
    assert_eq!(mapped(&answer.bytes), from("192.0.2.7:5000"));
}

#[test]
fn what_must_be_understood_and_is_not_is_named_with_420() {
    let change_request = AttrType(0x0003);
    let asked = with_fingerprint(request(&[(change_request, &[0; 4]), (ATTR_SOFTWARE, b"x"), (AttrType(0x7fff), b"")]));
    let refused = answer(&asked, from("192.0.2.7:5000")).unwrap();
    assert!(!refused.success);
    let mut message = Message::new();
    message.unmarshal_binary(&refused.bytes).unwrap();
    assert_eq!(message.typ, BINDING_ERROR);
    let (mut code, mut unknown) = (ErrorCodeAttribute::default(), UnknownAttributes(Vec::new()));
    code.get_from(&message).unwrap();
    unknown.get_from(&message).unwrap();
    assert!(code.code == CODE_UNKNOWN_ATTRIBUTE);
    assert_eq!(unknown.0, [change_request, AttrType(0x7fff)]);
    FINGERPRINT.check(&message).unwrap();
}

#[test]
fn credentials_nobody_asked_for_and_what_follows_them_are_ignored() {
    let asked = request(&[(ATTR_USERNAME, b"me"), (ATTR_MESSAGE_INTEGRITY, &[0; 20]), (AttrType(0x0003), &[0; 4])]);
    assert!(answer(&asked.raw, from("192.0.2.7:5000")).unwrap().success);
}

#[test]
fn what_is_no_binding_request_gets_no_answer() {
    let right = request(&[(ATTR_SOFTWARE, b"abcd")]).raw;
    let changed = |at: usize, byte: u8| {
        let mut bytes = right.clone();
        bytes[at] = byte;
        bytes
    };
    let mut damaged = with_fingerprint(request(&[]));
    *damaged.last_mut().unwrap() ^= 1;
    let mut not_last = request(&[]);
    FINGERPRINT.add_to(&mut not_last).unwrap();
    not_last.add(ATTR_SOFTWARE, b"late");
    let too_long = request(&[(ATTR_SOFTWARE, &[b'x'; LONGEST])]).raw;
    let cases = [
        ("nothing", Vec::new()),
        ("half a head", right[..19].to_vec()),
        ("a body cut short", right[..right.len() - 1].to_vec()),
        ("bytes behind the end", [&right[..], &[0; 4]].concat()),
        ("an indication", changed(1, 0x11)),
        ("a success", changed(0, 0x01)),
        ("another method", changed(1, 0x03)),
        ("the first bits set", changed(0, 0x80)),
        ("another cookie", changed(4, 0x22)),
        ("a length that is no multiple of four", changed(3, 7)),
        ("an attribute beyond the end", changed(23, 40)),
        ("a wrong fingerprint", damaged),
        ("something behind the fingerprint", not_last.raw),
        ("more than a request may be long", too_long),
    ];
    for (what, bytes) in cases {
        assert!(matches!(answer(&bytes, from("192.0.2.7:5000")), Err(Ignored)), "{what}");
    }
}

proptest! {
    #[test]
    fn no_datagram_does_harm_or_is_answered_at_length(bytes in vec(any::<u8>(), 0..700)) {
        let _ = answer(&bytes, from("192.0.2.7:5000"));
    }

    #[test]
    fn whatever_stands_in_a_request_the_answer_stays_small(
        attributes in vec((any::<u16>(), vec(any::<u8>(), 0..60)), 0..20),
        damage in proptest::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let mut bytes = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
        bytes.extend(*b"twelve bytes");
        for (kind, value) in &attributes {
            bytes.extend(kind.to_be_bytes());
            bytes.extend((value.len() as u16).to_be_bytes());
            bytes.extend(value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        let length = (bytes.len() - MESSAGE_HEADER_SIZE) as u16;
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
        if let Some((at, byte)) = damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(answer) = answer(&bytes, from("[2001:db8::7]:5000")) {
            let most = if answer.success { 44 } else { 44.min(bytes.len() + 8) };
            prop_assert!(answer.bytes.len() <= most + 8, "{} bytes for {}", answer.bytes.len(), bytes.len());
            prop_assert_eq!(&answer.bytes[4..20], &bytes[4..20]);
        }
    }
}
