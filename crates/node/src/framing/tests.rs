use futures::{executor::block_on, io::Cursor};
use proptest::prelude::*;

use super::*;

fn read(bytes: &[u8], max: usize) -> io::Result<Option<Vec<u8>>> {
    block_on(read_message(&mut Cursor::new(bytes), max))
}

fn read_error(bytes: &[u8], max: usize) -> io::ErrorKind {
    read(bytes, max).unwrap_err().kind()
}

#[test]
fn messages_follow_each_other_to_a_clean_end() {
    let mut wire = Cursor::new(Vec::new());
    block_on(async {
        for message in [&b"one"[..], b"", &[3; 300]] {
            write_message(&mut wire, message).await.unwrap();
        }
        wire.set_position(0);
        for message in [&b"one"[..], b"", &[3; 300]] {
            assert_eq!(read_message(&mut wire, 300).await.unwrap().as_deref(), Some(message));
        }
        assert_eq!(read_message(&mut wire, 300).await.unwrap(), None);
    });
}

#[test]
fn an_end_inside_a_message_is_an_error() {
    assert_eq!(read_error(b"\x03ab", 10), io::ErrorKind::UnexpectedEof);
    assert_eq!(read_error(b"\x80", 10), io::ErrorKind::UnexpectedEof);
}

#[test]
fn the_longest_message_is_accepted_and_no_longer_one() {
    assert_eq!(read(b"\x03abc", 3).unwrap().unwrap(), b"abc");
    assert_eq!(read_error(b"\x04abcd", 3), io::ErrorKind::InvalidData);
    // Refused by its length, before a byte of it is there.
    assert_eq!(read_error(b"\xff\xff\xff\xff\x0f", 1000), io::ErrorKind::InvalidData);
}

#[test]
fn lengths_are_minimal_and_have_32_bits() {
    for length in [&b"\x80\x00"[..], b"\x81\x80\x00", b"\xff\xff\xff\xff\x10", b"\xff\xff\xff\xff\xff\x01"] {
        assert_eq!(read_error(length, usize::MAX), io::ErrorKind::InvalidData, "{length:02x?}");
    }
}

proptest! {
    #[test]
    fn any_message_survives(message in prop::collection::vec(any::<u8>(), 0..20_000)) {
        let mut wire = Cursor::new(Vec::new());
        block_on(write_message(&mut wire, &message)).unwrap();
        prop_assert_eq!(read(wire.get_ref(), message.len()).unwrap(), Some(message));
    }

    #[test]
    fn garbage_is_an_answer_and_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(Some(message)) = read(&bytes, 32) {
            prop_assert!(message.len() <= 32);
        }
    }
}
