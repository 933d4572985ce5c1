//! What is left of ICE where there is one path, which works or does not: STUN binding requests and their answers.
//!
//! A listener is a lite agent: it answers whoever knows the credentials, asks nothing itself and keeps nothing of those who
//! ask. In version 1 of the protocol the client makes up a user name that is the password too and stands in each request as
//! `name:name`, so a listener needs to know nobody to answer. Another version has another prefix of the user name.
//!
//! An answer is shorter than the request, so forged sources gain nothing. Source: RFC 8445, RFC 8489.

use std::net::SocketAddr;

use libp2p_webrtc_utils::sdp::UFRAG_PREFIX;
use stun::{
    agent::TransactionId,
    attributes::{
        ATTR_FINGERPRINT, ATTR_ICE_CONTROLLING, ATTR_MESSAGE_INTEGRITY, ATTR_PRIORITY, ATTR_USE_CANDIDATE,
        ATTR_USERNAME,
    },
    fingerprint::FINGERPRINT,
    integrity::MessageIntegrity,
    message::{BINDING_REQUEST, BINDING_SUCCESS, MESSAGE_HEADER_SIZE, Message, MessageType, Setter, is_message},
    xoraddr::XorMappedAddress,
};

/// The longest user name, in bytes (RFC 8445, section 5.3).
const LONGEST_UFRAG: usize = 256;

/// Bytes of a `MESSAGE-INTEGRITY`.
const INTEGRITY: usize = 20;

/// The priority of a candidate that a check brings to light: type preference 110, one interface, one component (RFC
/// 8445, section 5.1.2.1).
const PRIORITY: u32 = 110 << 24 | 65_535 << 8 | 255;

/// A request that was understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// Whom the request was for.
    pub(super) ufrag: String,
    /// Whether the remote chooses this path.
    pub(super) nominates: bool,
    /// What to send back.
    pub(super) datagram: Vec<u8>,
}

/// Whether a datagram is STUN and not DTLS (RFC 7983, section 7).
pub(super) fn is_stun(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|first| *first < 4) && is_message(datagram)
}

/// Answers a binding request from `from` whose credentials are in order.
pub(super) fn answer(datagram: &[u8], from: SocketAddr) -> Option<Answer> {
    let mut request = read(datagram, BINDING_REQUEST)?;
    let username = String::from_utf8(request.get(ATTR_USERNAME).ok()?).ok()?;
    let (ufrag, _) = username.split_once(':')?;
    let integrity = integrity(password(ufrag)?);
    integrity.check(&mut request).ok()?;
    // Who reaches an IPv6 socket by IPv4 wants to read its IPv4 address.
    let from = XorMappedAddress { ip: from.ip().to_canonical(), port: from.port() };
    let datagram = write(BINDING_SUCCESS, request.transaction_id, &[&from, &integrity, &FINGERPRINT])?;
    Some(Answer { ufrag: ufrag.to_owned(), nominates: request.contains(ATTR_USE_CANDIDATE), datagram })
}

/// A binding request that chooses the path, to a remote whose user name and password are `ufrag` like our own.
///
/// # Panics
///
/// If the user name is longer than any of ours.
pub(super) fn request(ufrag: &str, transaction: TransactionId, tie_breaker: u64) -> Vec<u8> {
    assert!(ufrag.len() <= LONGEST_UFRAG, "a user name of ours");
    let attributes: [&dyn Setter; 6] = [
        &Raw(ATTR_USERNAME, format!("{ufrag}:{ufrag}").into_bytes()),
        &Raw(ATTR_ICE_CONTROLLING, tie_breaker.to_be_bytes().into()),
        &Raw(ATTR_PRIORITY, PRIORITY.to_be_bytes().into()),
        &Raw(ATTR_USE_CANDIDATE, Vec::new()),
        &integrity(ufrag),
        &FINGERPRINT,
    ];
    write(BINDING_REQUEST, transaction, &attributes).expect("the attributes fit")
}

/// Whether a datagram is the answer to a [`request`].
pub(super) fn is_answer(datagram: &[u8], ufrag: &str, transaction: TransactionId) -> bool {
    read(datagram, BINDING_SUCCESS)
        .is_some_and(|mut answer| answer.transaction_id == transaction && integrity(ufrag).check(&mut answer).is_ok())
}

/// The password that belongs to a user name, if it is one of a version of the protocol that we speak.
fn password(ufrag: &str) -> Option<&str> {
    (ufrag.len() <= LONGEST_UFRAG && ufrag.starts_with(UFRAG_PREFIX)).then_some(ufrag)
}

fn integrity(password: &str) -> MessageIntegrity {
    MessageIntegrity(password.as_bytes().to_vec())
}

struct Raw(stun::attributes::AttrType, Vec<u8>);

impl Setter for Raw {
    fn add_to(&self, message: &mut Message) -> Result<(), stun::Error> {
        message.add(self.0, &self.1);
        Ok(())
    }
}

fn write(kind: MessageType, transaction: TransactionId, attributes: &[&dyn Setter]) -> Option<Vec<u8>> {
    let mut message = Message::new();
    message.typ = kind;
    message.transaction_id = transaction;
    message.write_header();
    attributes.iter().try_for_each(|attribute| attribute.add_to(&mut message)).ok()?;
    Some(message.raw)
}

/// Reads a message of this type that is nothing but one, and ends in the fingerprint that ICE asks for.
fn read(datagram: &[u8], kind: MessageType) -> Option<Message> {
    let head = datagram.get(..MESSAGE_HEADER_SIZE)?;
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    let is_whole = length % 4 == 0 && MESSAGE_HEADER_SIZE + length == datagram.len();
    if !is_whole || u16::from_be_bytes([head[0], head[1]]) != kind.value() || !is_message(datagram) {
        return None;
    }
    let mut message = Message::new();
    message.unmarshal_binary(datagram).ok()?;
    let attributes = &message.attributes.0;
    let place = |kind| attributes.iter().position(|attribute| attribute.typ == kind);
    let ends_right = place(ATTR_FINGERPRINT)? + 1 == attributes.len() && FINGERPRINT.check(&message).is_ok();
    let is_signed = attributes[place(ATTR_MESSAGE_INTEGRITY)?].value.len() == INTEGRITY;
    (ends_right && is_signed).then_some(message)
}

#[cfg(test)]
pub(super) mod tests {
    use libp2p_webrtc_utils::sdp::random_ufrag;
    use proptest::prelude::*;

    use super::*;

    fn from() -> SocketAddr {
        "192.0.2.1:4001".parse().unwrap()
    }

    #[test]
    fn who_knows_the_user_name_is_answered() {
        let (ufrag, transaction) = (random_ufrag(), TransactionId::new());
        let request = request(&ufrag, transaction, 1);
        let answer = answer(&request, from()).expect("an answer");
        assert!(answer.ufrag == ufrag && answer.nominates);
        assert!(answer.datagram.len() <= request.len(), "forged sources gain nothing");
        assert!(is_answer(&answer.datagram, &ufrag, transaction));
        assert!(!is_answer(&answer.datagram, &random_ufrag(), transaction));
        assert!(!is_answer(&answer.datagram, &ufrag, TransactionId::new()));
        assert!(!is_answer(&request, &ufrag, transaction));
    }

    #[test]
    fn a_user_name_of_another_protocol_is_not_answered() {
        for ufrag in ["abcd", "libp2p+webrtc+v9/abcd", ""] {
            assert_eq!(answer(&request(ufrag, TransactionId::new(), 1), from()), None, "{ufrag}");
        }
    }

    #[test]
    fn a_request_that_was_changed_anywhere_is_not_answered() {
        let good = request(&random_ufrag(), TransactionId::new(), 1);
        for at in 0..good.len() {
            let mut changed = good.clone();
            changed[at] ^= 1;
            assert_eq!(answer(&changed, from()), None, "byte {at}");
            assert_eq!(answer(&good[..at], from()), None, "cut at {at}");
        }
        assert_eq!(answer(&[&good[..], &[0; 4]].concat(), from()), None, "with more behind it");
    }

    /// STUN as others mean it, with some bytes that they do not.
    pub(in super::super) fn mutated() -> impl Strategy<Value = Vec<u8>> {
        let changes = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8);
        (changes, any::<prop::sample::Index>()).prop_map(|(changes, end)| {
            let mut datagram = request(&random_ufrag(), TransactionId::new(), 1);
            for (at, byte) in changes {
                let at = at.index(datagram.len());
                datagram[at] = byte;
            }
            // Half of them are whole.
            let length = datagram.len();
            datagram.truncate(end.index(2 * length));
            datagram
        })
    }

    proptest! {
        #[test]
        fn nothing_that_is_sent_makes_a_panic(
            datagram in prop_oneof![proptest::collection::vec(any::<u8>(), 0..200), mutated()]
        ) {
            _ = is_stun(&datagram);
            _ = answer(&datagram, from());
            _ = is_answer(&datagram, "ufrag", TransactionId::new());
        }

        #[test]
        fn attributes_of_any_length_make_no_panic(
            attributes in proptest::collection::vec((0_u16..64, proptest::collection::vec(any::<u8>(), 0..40)), 0..6)
        ) {
            let mut message = Message::new();
            message.typ = BINDING_REQUEST;
            message.write_header();
            message.add(ATTR_USERNAME, b"libp2p+webrtc+v1/a:libp2p+webrtc+v1/a");
            for (kind, value) in attributes {
                // The low numbers are those of the protocol, and 8 is the integrity check.
                message.add(stun::attributes::AttrType(kind), &value);
            }
            prop_assert_eq!(answer(&message.raw, from()), None);
        }
    }
}
