//! As much of protobuf as messages of a number and some bytes need: both of WebRTC's have field 1, a number, and field 2,
//! bytes. Other fields are read over, as protobuf wants it. A derived codec takes three kilobytes of a page's module for
//! each message.

use thiserror::Error;

/// The kinds of a field on the wire.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;
const FIXED32: u64 = 5;

/// Why bytes are not protobuf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a field is cut off or of an unknown kind")]
pub struct NotProtobuf;

/// A message behind its length.
pub fn encode(number: Option<u64>, bytes: Option<&[u8]>) -> Vec<u8> {
    let mut buffer = unsigned_varint::encode::u64_buffer();
    let mut message = Vec::with_capacity(bytes.map_or(0, <[u8]>::len) + 16);
    if let Some(number) = number {
        message.push(field(1, VARINT));
        message.extend_from_slice(unsigned_varint::encode::u64(number, &mut buffer));
    }
    if let Some(bytes) = bytes {
        message.push(field(2, BYTES));
        message.extend_from_slice(unsigned_varint::encode::u64(bytes.len() as u64, &mut buffer));
        message.extend_from_slice(bytes);
    }
    let length = unsigned_varint::encode::u64(message.len() as u64, &mut buffer);
    message.splice(..0, length.iter().copied());
    message
}

/// The number and the bytes of a message without its length. Of a field that comes twice the last counts.
///
/// # Errors
///
/// If a field is cut off, of a kind that protobuf no longer has, or fields 1 and 2 are of other kinds.
pub fn decode(mut message: &[u8]) -> Result<(Option<u64>, Option<&[u8]>), NotProtobuf> {
    let (mut number, mut bytes) = (None, None);
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        match (tag >> 3, tag & 7) {
            (0, _) => return Err(NotProtobuf),
            (1, VARINT) => number = Some(varint(&mut message)?),
            (2, BYTES) => bytes = Some(delimited(&mut message)?),
            (1 | 2, _) => return Err(NotProtobuf),
            (_, kind) => skip(&mut message, kind)?,
        }
    }
    Ok((number, bytes))
}

/// The number in a field beyond those two, if the message has it.
pub fn number(mut message: &[u8], wanted: u64) -> Option<u64> {
    while !message.is_empty() {
        let tag = varint(&mut message).ok()?;
        match (tag >> 3, tag & 7) {
            (field, VARINT) if field == wanted => return varint(&mut message).ok(),
            (_, kind) => skip(&mut message, kind).ok()?,
        }
    }
    None
}

/// A message of one number in a field up to 15, behind its length.
pub fn encode_number(wanted: u8, number: u64) -> Vec<u8> {
    let mut buffer = unsigned_varint::encode::u64_buffer();
    let number = unsigned_varint::encode::u64(number, &mut buffer);
    // A number has ten bytes at most, so the length has one.
    [&[number.len() as u8 + 1, field(wanted, VARINT)], number].concat()
}

fn skip(message: &mut &[u8], kind: u64) -> Result<(), NotProtobuf> {
    match kind {
        VARINT => varint(message).map(|_| ()),
        FIXED64 => take(message, 8).map(|_| ()),
        BYTES => delimited(message).map(|_| ()),
        FIXED32 => take(message, 4).map(|_| ()),
        _ => Err(NotProtobuf),
    }
}

fn field(number: u8, kind: u64) -> u8 {
    number << 3 | kind as u8
}

fn delimited<'a>(message: &mut &'a [u8]) -> Result<&'a [u8], NotProtobuf> {
    let length = usize::try_from(varint(message)?).map_err(|_| NotProtobuf)?;
    take(message, length)
}

fn take<'a>(message: &mut &'a [u8], length: usize) -> Result<&'a [u8], NotProtobuf> {
    let (taken, rest) = message.split_at_checked(length).ok_or(NotProtobuf)?;
    *message = rest;
    Ok(taken)
}

/// Protobuf's varints, unlike those of multiformats, may be longer than they need to be.
fn varint(message: &mut &[u8]) -> Result<u64, NotProtobuf> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(message, 1)?[0];
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(NotProtobuf)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;

    #[derive(Clone, PartialEq, prost::Message)]
    struct Proto {
        #[prost(uint64, optional, tag = "1")]
        number: Option<u64>,
        #[prost(bytes = "vec", optional, tag = "2")]
        bytes: Option<Vec<u8>>,
    }

    #[test]
    fn other_fields_are_read_over() {
        let message = b"\x18\x01\x21abcdefgh\x08\x07\x2a\x02hi\x35abcd\x12\x01x";
        assert_eq!(decode(message), Ok((Some(7), Some(b"x".as_slice()))));
    }

    #[test]
    fn what_is_cut_off_or_of_another_kind_is_no_message() {
        for message in [&b"\x08"[..], b"\x12\x02x", b"\x0a\x00", b"\x10\x01", b"\x00\x01", b"\x0b", b"\x39abc", b"\x80"]
        {
            assert_eq!(decode(message), Err(NotProtobuf), "{message:?}");
        }
        assert_eq!(decode(&[[8].as_slice(), &[0xff; 10]].concat()), Err(NotProtobuf));
    }

    #[test]
    fn a_number_in_another_field() {
        let encoded = encode_number(15, 300);
        assert_eq!(encoded, b"\x03\x78\xac\x02");
        assert_eq!((decode(&encoded[1..]), number(&encoded[1..], 15)), (Ok((None, None)), Some(300)));
        assert_eq!(number(b"\x08\x07\x12\x01x", 15), None);
        assert_eq!(number(b"\x78", 15), None);
    }

    proptest! {
        #[test]
        fn it_is_what_prost_writes(number: Option<u64>, bytes: Option<Vec<u8>>) {
            let encoded = Proto { number, bytes: bytes.clone() }.encode_length_delimited_to_vec();
            prop_assert_eq!(encode(number, bytes.as_deref()), encoded);
        }

        #[test]
        fn it_reads_what_prost_reads(message in prop::collection::vec(any::<u8>(), 0..40)) {
            // prost knows groups besides, which nobody sends.
            if let (Ok(read), Ok(expected)) = (decode(&message), Proto::decode(message.as_slice())) {
                prop_assert_eq!(read, (expected.number, expected.bytes.as_deref()));
            }
        }

        #[test]
        fn any_message_and_back(number: Option<u64>, bytes: Option<Vec<u8>>) {
            let encoded = encode(number, bytes.as_deref());
            let (_, message) = unsigned_varint::decode::u64(&encoded).unwrap();
            prop_assert_eq!(decode(message), Ok((number, bytes.as_deref())));
        }
    }
}
