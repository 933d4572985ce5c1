use proptest::prelude::*;

use super::*;

const FLAGS: [Flag; 4] = [Flag::Fin, Flag::StopSending, Flag::ResetStream, Flag::FinAck];

fn decode_all(bytes: &[u8], piece: usize) -> Result<Vec<Message>, FrameError> {
    let mut decoder = Decoder::default();
    let mut messages = Vec::new();
    for piece in bytes.chunks(piece) {
        decoder.feed(piece);
        while let Some(message) = decoder.poll_message()? {
            messages.push(message);
        }
    }
    Ok(messages)
}

fn data(bytes: &[u8]) -> Message {
    Message { data: Bytes::copy_from_slice(bytes), ..Message::default() }
}

fn flag(flag: Flag) -> Message {
    Message { flag: Some(flag), ..Message::default() }
}

#[test]
fn flags_have_the_numbers_of_the_specification() {
    for (number, flag) in FLAGS.into_iter().enumerate() {
        assert_eq!(encode_flag(flag).as_ref(), [2, 0x08, number as u8]);
    }
}

#[test]
fn a_limit_is_nothing_to_those_who_do_not_know_it() {
    let frame = encode_limit(1 << 20);
    assert_eq!(decode_all(&frame, 1), Ok(vec![Message { limit: Some(1 << 20), ..Message::default() }]));
    assert_eq!(protobuf::decode(&frame[1..]), Ok((None, None)));
}

#[test]
fn data_stands_in_field_two() {
    assert_eq!(encode_data(Bytes::from_static(b"hi")).as_ref(), [4, 0x12, 2, b'h', b'i']);
}

#[test]
fn the_most_data_makes_the_longest_frame() {
    assert_eq!(encode_data(vec![7; MAX_DATA_LEN].into()).len(), MAX_SENT_LEN);
}

#[test]
fn data_comes_with_a_flag_too() {
    let bytes = [6, 0x08, 0, 0x12, 2, b'h', b'i'];
    let message = Message { flag: Some(Flag::Fin), ..data(b"hi") };
    assert_eq!(decode_all(&bytes, 7), Ok(vec![message]));
}

#[test]
fn a_flag_of_the_future_is_no_flag() {
    let bytes = [6, 0x08, 9, 0x12, 2, b'h', b'i'];
    assert_eq!(decode_all(&bytes, 7), Ok(vec![data(b"hi")]));
}

#[test]
fn the_longest_frame_of_others_is_read() {
    let longest = encode_data(vec![1; MAX_MSG_LEN - OVERHEAD].into());
    assert_eq!(longest.len(), MAX_MSG_LEN);
    assert_eq!(decode_all(&longest, 1_000), Ok(vec![data(&[1; MAX_MSG_LEN - OVERHEAD])]));
}

#[test]
fn a_longer_frame_is_an_error_before_it_has_arrived() {
    let mut bytes = [0; 5];
    let prefix = unsigned_varint::encode::u32(MAX_MSG_LEN as u32 + 1, &mut bytes);
    assert_eq!(decode_all(prefix, 1), Err(FrameError::TooLong(MAX_MSG_LEN as u32 + 1)));
}

#[test]
fn what_is_no_length_or_no_protobuf_is_an_error() {
    assert!(matches!(decode_all(&[0xff; 5], 1), Err(FrameError::Length(_))));
    assert!(matches!(decode_all(&[0x80, 0x00], 1), Err(FrameError::Length(_))));
    assert!(matches!(decode_all(&[2, 0x12, 9], 1), Err(FrameError::Protobuf(_))));
}

#[test]
fn an_error_comes_again() {
    let mut decoder = Decoder::default();
    decoder.feed(&[2, 0x12, 9]);
    let first = decoder.poll_message().unwrap_err();
    decoder.feed(&encode_flag(Flag::Fin));
    assert_eq!(decoder.poll_message(), Err(first));
}

proptest! {
    #[test]
    fn messages_survive_any_cutting(
        sent in prop::collection::vec(prop_oneof![
            prop::sample::select(FLAGS.to_vec()).prop_map(flag),
            prop::collection::vec(any::<u8>(), 0..300).prop_map(|bytes| data(&bytes)),
        ], 0..20),
        piece in 1_usize..400,
    ) {
        let bytes: Vec<u8> = sent
            .iter()
            .flat_map(|message| match message.flag {
                Some(flag) => encode_flag(flag),
                None => encode_data(message.data.clone()),
            })
            .collect();
        prop_assert_eq!(decode_all(&bytes, piece), Ok(sent));
    }

    #[test]
    fn any_bytes_are_messages_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..600), piece in 1_usize..50) {
        if let Ok(messages) = decode_all(&bytes, piece) {
            prop_assert!(messages.iter().map(|message| message.data.len()).sum::<usize>() <= bytes.len());
        }
    }
}
