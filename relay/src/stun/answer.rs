//! One datagram in, one datagram out, or none: the whole of the protocol, without a socket.
//!
//! Requests must be well-formed to the last byte. What they ask beyond their address is refused with 420 if they insist,
//! and passed over if they do not (RFC 8489, section 6.3.1). SOFTWARE is left out, FINGERPRINT is given to who gave one.

use std::net::SocketAddr;

use stun::{
    attributes::{
        ATTR_ERROR_CODE, ATTR_FINGERPRINT, ATTR_MAPPED_ADDRESS, ATTR_MESSAGE_INTEGRITY, ATTR_MESSAGE_INTEGRITY_SHA256,
        ATTR_NONCE, ATTR_PASSWORD_ALGORITHM, ATTR_REALM, ATTR_UNKNOWN_ATTRIBUTES, ATTR_USER_HASH, ATTR_USERNAME,
        ATTR_XORMAPPED_ADDRESS, AttrType,
    },
    error_code::{CODE_UNKNOWN_ATTRIBUTE, ErrorCodeAttribute},
    fingerprint::FINGERPRINT,
    message::{BINDING_ERROR, BINDING_REQUEST, BINDING_SUCCESS, MESSAGE_HEADER_SIZE, Message, Setter, is_message},
    uattrs::UnknownAttributes,
    xoraddr::XorMappedAddress,
};

/// Bytes of the longest request that is looked at: what fits into any IPv4 packet on any path (RFC 8489, section 6.1).
pub(crate) const LONGEST: usize = 548;

/// Attributes that an answer names as unknown. Browsers send none; who sends more learns of these first.
const NAMED: usize = 8;

/// Attributes that have to be understood, and are: those of the protocol itself. Credentials are among them, and ignored,
/// since nobody is asked for any.
const KNOWN: [AttrType; 11] = [
    ATTR_MAPPED_ADDRESS,
    ATTR_USERNAME,
    ATTR_MESSAGE_INTEGRITY,
    ATTR_ERROR_CODE,
    ATTR_UNKNOWN_ATTRIBUTES,
    ATTR_REALM,
    ATTR_NONCE,
    ATTR_MESSAGE_INTEGRITY_SHA256,
    ATTR_PASSWORD_ALGORITHM,
    ATTR_USER_HASH,
    ATTR_XORMAPPED_ADDRESS,
];

/// What is sent back.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The datagram.
    pub(crate) bytes: Vec<u8>,
    /// Whether it tells the address; else it names what was not understood.
    pub(crate) success: bool,
}

/// The datagram is no binding request, or a damaged one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Ignored;

/// Answers a datagram that came from `from`.
pub(crate) fn answer(datagram: &[u8], from: SocketAddr) -> Result<Answer, Ignored> {
    let request = read(datagram)?;
    let unknown = unknown(&request);
    let mut answer = Message::new();
    answer.typ = if unknown.is_empty() { BINDING_SUCCESS } else { BINDING_ERROR };
    answer.transaction_id = request.transaction_id;
    answer.write_header();
    let success = unknown.is_empty();
    let written = if success {
        // Who reaches an IPv6 socket by IPv4 wants to read its IPv4 address.
        XorMappedAddress { ip: from.ip().to_canonical(), port: from.port() }.add_to(&mut answer)
    } else {
        ErrorCodeAttribute { code: CODE_UNKNOWN_ATTRIBUTE, reason: Vec::new() }
            .add_to(&mut answer)
            .and_then(|()| UnknownAttributes(unknown).add_to(&mut answer))
    };
    let written = written.and_then(|()| match request.contains(ATTR_FINGERPRINT) {
        true => FINGERPRINT.add_to(&mut answer),
        false => Ok(()),
    });
    // The codec refuses only lengths that do not occur here.
    written.map_err(|_| Ignored)?;
    Ok(Answer { bytes: answer.raw, success })
}

/// Reads a binding request that is nothing but one.
fn read(datagram: &[u8]) -> Result<Message, Ignored> {
    let head = datagram.get(..MESSAGE_HEADER_SIZE).ok_or(Ignored)?;
    let type_is_right = u16::from_be_bytes([head[0], head[1]]) == BINDING_REQUEST.value();
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    let length_is_right = length % 4 == 0 && MESSAGE_HEADER_SIZE + length == datagram.len();
    if !(type_is_right && length_is_right && datagram.len() <= LONGEST && is_message(datagram)) {
        return Err(Ignored);
    }
    let mut request = Message::new();
    request.unmarshal_binary(datagram).map_err(|_| Ignored)?;
    if let Some(at) = request.attributes.0.iter().position(|attribute| attribute.typ == ATTR_FINGERPRINT) {
        let is_last = at + 1 == request.attributes.0.len();
        if !is_last || FINGERPRINT.check(&request).is_err() {
            return Err(Ignored);
        }
    }
    Ok(request)
}

/// What has to be understood and is not. What follows an integrity check is not looked at (RFC 8489, section 14.5).
fn unknown(request: &Message) -> Vec<AttrType> {
    let types = request.attributes.0.iter().map(|attribute| attribute.typ);
    let checked = types.take_while(|kind| *kind != ATTR_MESSAGE_INTEGRITY);
    checked.filter(|kind| kind.required() && !KNOWN.contains(kind)).take(NAMED).collect()
}

#[cfg(test)]
pub(crate) mod tests;
