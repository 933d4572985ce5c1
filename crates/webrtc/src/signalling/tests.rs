use proptest::prelude::*;

use super::*;

const SDP: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n\
                   a=fingerprint:sha-256 00:11\r\na=mid:0\r\n";
const CANDIDATE: &str = r#"{"candidate":"candidate:1 1 UDP 1 x.local 9 typ host","sdpMid":"0","sdpMLineIndex":0}"#;

fn frames(side: &mut Signalling) -> Vec<u8> {
    std::iter::from_fn(|| side.poll_transmit()).flatten().collect()
}

fn orders(side: &mut Signalling) -> Vec<Order> {
    std::iter::from_fn(|| side.poll_order()).collect()
}

fn message(kind: Kind, data: &str) -> Vec<u8> {
    wire::encode(kind, data)
}

/// An answerer who has the offer, and a caller who has the answer.
fn described() -> (Signalling, Signalling) {
    let (mut caller, mut answerer) = (Signalling::new(Role::Caller), Signalling::new(Role::Answerer));
    caller.local_description(SDP);
    answerer.handle_bytes(&frames(&mut caller)).unwrap();
    assert_eq!(orders(&mut answerer), [Order::ApplyOffer(SDP.to_owned())]);
    answerer.local_description(SDP);
    caller.handle_bytes(&frames(&mut answerer)).unwrap();
    assert_eq!(orders(&mut caller), [Order::ApplyAnswer(SDP.to_owned())]);
    assert!(caller.is_described() && answerer.is_described());
    (caller, answerer)
}

#[test]
fn offer_answer_and_candidates_both_ways() {
    let (mut caller, mut answerer) = described();
    for candidate in [Some(CANDIDATE), None] {
        caller.local_candidate(candidate);
        answerer.local_candidate(candidate);
    }
    let expected = [Order::AddCandidate(CANDIDATE.to_owned()), Order::EndOfCandidates];
    answerer.handle_bytes(&frames(&mut caller)).unwrap();
    assert_eq!(orders(&mut answerer), expected);
    caller.handle_bytes(&frames(&mut answerer)).unwrap();
    assert_eq!(orders(&mut caller), expected);
}

#[test]
fn the_bytes_of_the_specification() {
    let mut caller = Signalling::new(Role::Caller);
    caller.local_description("v=0");
    // Type 0 is written although it is the default: js-libp2p refuses a message without it.
    assert_eq!(frames(&mut caller), b"\x07\x08\x00\x12\x03v=0");
    assert_eq!(message(Kind::Candidate, "null"), b"\x08\x08\x02\x12\x04null");
}

#[test]
fn what_is_out_of_order_ends_the_conversation() {
    let out_of_order = |role, first: &[Vec<u8>]| {
        let mut side = Signalling::new(role);
        if role == Role::Caller {
            side.local_description(SDP);
        }
        let (last, before) = first.split_last().unwrap();
        before.iter().for_each(|bytes| side.handle_bytes(bytes).unwrap());
        assert_eq!(side.handle_bytes(last).unwrap_err().code(), "out-of-order", "{role:?}");
    };
    let [offer, answer] = [Kind::Offer, Kind::Answer].map(|kind| message(kind, SDP));
    let candidate = message(Kind::Candidate, CANDIDATE);
    out_of_order(Role::Caller, std::slice::from_ref(&offer));
    out_of_order(Role::Caller, std::slice::from_ref(&candidate));
    out_of_order(Role::Caller, &[answer.clone(), answer.clone()]);
    out_of_order(Role::Answerer, std::slice::from_ref(&answer));
    out_of_order(Role::Answerer, &[candidate]);
    out_of_order(Role::Answerer, &[offer.clone(), offer]);
    let mut early = Signalling::new(Role::Caller);
    assert_eq!(early.handle_bytes(&answer).unwrap_err().code(), "out-of-order");
}

#[test]
fn garbage_and_oversize_are_told_apart() {
    let refused = |bytes: &[u8]| Signalling::new(Role::Answerer).handle_bytes(bytes).unwrap_err().code();
    assert_eq!(refused(&[0xff; 10]), "garbage");
    assert_eq!(refused(&[0x81, 0x00]), "garbage");
    assert_eq!(refused(b"\x02\xff\xff"), "garbage");
    assert_eq!(refused(b"\x02\x08\x03"), "garbage");
    assert_eq!(refused(b"\x00"), "garbage");
    assert_eq!(refused(b"\x05\x08\x00\x12\x01\xff"), "garbage");
    // Refused by its length alone, before any of it has come.
    assert_eq!(refused(b"\x81\x80\x01"), "too-long");
    assert_eq!(refused(&message(Kind::Offer, &"v".repeat(MAX_MESSAGE))), "too-long");
}

#[test]
fn descriptions_of_more_than_data_channels_are_refused() {
    for sdp in [
        "",
        "hello",
        "v=0\r\n",
        "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=fingerprint:sha-256 00\r\n",
        &format!("{SDP}m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"),
        "v=0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n",
    ] {
        let mut side = Signalling::new(Role::Answerer);
        assert_eq!(side.handle_bytes(&message(Kind::Offer, sdp)).unwrap_err().code(), "description", "{sdp}");
        assert_eq!(side.poll_order(), None);
    }
}

#[test]
fn candidates_are_bounded_in_length_and_number() {
    let (mut caller, _) = described();
    let long = message(Kind::Candidate, &"x".repeat(MAX_CANDIDATE + 1));
    assert_eq!(caller.handle_bytes(&long).unwrap_err().code(), "candidate-too-long");

    let (mut caller, mut answerer) = described();
    for _ in 0..2 * MAX_CANDIDATES {
        answerer.local_candidate(Some(CANDIDATE));
    }
    caller.handle_bytes(&frames(&mut answerer)).unwrap();
    assert_eq!(orders(&mut caller).len(), MAX_CANDIDATES);
    let candidate = message(Kind::Candidate, CANDIDATE);
    caller.handle_bytes(&candidate).expect("the place of the end");
    assert_eq!(caller.handle_bytes(&candidate).unwrap_err().code(), "too-many-candidates");
}

#[test]
fn the_end_of_candidates_in_every_form() {
    for json in ["", "null", "\"\"", r#"{"candidate":"","sdpMid":"0"}"#] {
        let (mut caller, _) = described();
        caller.handle_bytes(&message(Kind::Candidate, json)).unwrap();
        assert_eq!(orders(&mut caller), [Order::EndOfCandidates], "{json}");
    }
}

#[test]
fn the_end_of_the_stream_matters_until_the_description_is_here() {
    assert_eq!(Signalling::new(Role::Answerer).handle_end(), Err(SignalError::Ended));
    let (mut caller, mut answerer) = described();
    assert_eq!((caller.handle_end(), answerer.handle_end()), (Ok(()), Ok(())));
    caller.local_candidate(Some(CANDIDATE));
    assert_eq!(caller.poll_transmit(), None);
}

#[test]
fn nothing_matters_once_connected() {
    let (mut caller, _) = described();
    caller.local_candidate(Some(CANDIDATE));
    caller.handle_connected();
    caller.local_candidate(Some(CANDIDATE));
    assert_eq!(caller.poll_transmit(), None);
    assert_eq!(caller.handle_bytes(&[0xff; 100]), Ok(()));
    assert_eq!(caller.handle_end(), Ok(()));
}

#[test]
fn candidates_wait_for_the_description() {
    let mut caller = Signalling::new(Role::Caller);
    caller.local_candidate(Some(CANDIDATE));
    assert_eq!(caller.poll_transmit(), None);
}

proptest! {
    #[test]
    fn any_bytes_in_any_pieces_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0..200_usize) {
        for role in [Role::Caller, Role::Answerer] {
            let mut side = Signalling::new(role);
            side.local_description(SDP);
            let (one, other) = bytes.split_at(at.min(bytes.len()));
            let _ = side.handle_bytes(one).and_then(|()| side.handle_bytes(other));
            prop_assert!(side.unread.len() <= bytes.len());
        }
    }

    #[test]
    fn how_the_stream_is_cut_does_not_matter(cuts in prop::collection::vec(1..300_usize, 1..40)) {
        let mut caller = Signalling::new(Role::Caller);
        caller.local_description(SDP);
        for _ in 0..5 {
            caller.local_candidate(Some(CANDIDATE));
        }
        caller.local_candidate(None);
        let bytes = frames(&mut caller);
        let mut whole = Signalling::new(Role::Answerer);
        whole.handle_bytes(&bytes).unwrap();
        let mut cut = Signalling::new(Role::Answerer);
        let mut rest = bytes.as_slice();
        for length in cuts.into_iter().cycle() {
            let (piece, after) = rest.split_at(length.min(rest.len()));
            cut.handle_bytes(piece).unwrap();
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(orders(&mut cut), orders(&mut whole));
    }

    #[test]
    fn a_message_that_never_ends_costs_no_more_than_one(pieces in 1..100_usize) {
        let mut side = Signalling::new(Role::Answerer);
        side.handle_bytes(b"\x80\x80\x01").unwrap();
        for _ in 0..pieces {
            if side.handle_bytes(&[b'x'; 1000]).is_err() {
                break;
            }
            prop_assert!(side.unread.len() <= MAX_MESSAGE + 3);
        }
    }

    #[test]
    fn what_is_encoded_is_decoded(kind in 0..3_usize, data in ".{0,300}") {
        let kind = [Kind::Offer, Kind::Answer, Kind::Candidate][kind];
        let bytes = message(kind, &data);
        let (inner, after) = wire::split(&bytes).unwrap().unwrap();
        prop_assert!(after.is_empty());
        prop_assert_eq!(wire::decode(inner).unwrap(), (kind, data.as_str()));
    }
}
