use openred_core::peer_auth;

use super::*;

const HOST: &str = "example.com";
const NOW: u64 = 1_795_000_000_000;

fn server_key() -> Keypair {
    Keypair::ed25519_from_bytes([1; 32]).unwrap()
}

fn client_key() -> Keypair {
    Keypair::ed25519_from_bytes([2; 32]).unwrap()
}

fn server() -> PeerAuth {
    PeerAuth::new(server_key(), NOW)
}

/// What a client reads in the header of a challenge: the challenge, the opaque value, and the server's signature if any.
fn read(answer: &Answer) -> (String, String, Option<String>) {
    let Answer::Challenge { header, because: None } = answer else { panic!("not a fresh challenge: {answer:?}") };
    let params = Params::parse(header).unwrap();
    let key = params::decode(params.public_key.unwrap()).unwrap();
    assert_eq!(key, server_key().public().encode_protobuf());
    let text = |value: Option<&str>| value.unwrap().to_owned();
    (text(params.challenge_client), text(params.opaque), params.sig.map(str::to_owned))
}

fn signature(key: &Keypair, challenge: &str, host: &str) -> String {
    let server = server_key().public().encode_protobuf();
    let signed = signed_bytes(&[
        ("challenge-client", challenge.as_bytes()),
        ("hostname", host.as_bytes()),
        ("server-public-key", &server),
    ]);
    BASE64URL.encode(&key.sign(&signed).unwrap())
}

fn public(key: &Keypair) -> String {
    BASE64URL.encode(&key.public().encode_protobuf())
}

/// The answer to a challenge that the server began.
fn answer_to(challenge: &Answer, key: &Keypair, host: &str) -> String {
    let (challenge, opaque, _) = read(challenge);
    let (sig, public) = (signature(key, &challenge, host), public(key));
    format!("{SCHEME} public-key=\"{public}\", opaque=\"{opaque}\", challenge-server=\"{challenge}\", sig=\"{sig}\"")
}

fn session(answer: Answer) -> (Session, String) {
    let Answer::Known { session, info: Some(info) } = answer else { panic!("not known: {answer:?}") };
    let bearer = Params::parse(&info).unwrap().bearer.unwrap().to_owned();
    (session, format!("{SCHEME} bearer=\"{bearer}\""))
}

fn refusal(answer: &Answer) -> AuthError {
    match answer {
        Answer::Challenge { because: Some(error), .. } => *error,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn the_examples_of_the_specification_come_out_to_the_letter() {
    // http/peer-id-auth.md: keys of 0x01 and 0x02, a client's challenge of 0x33, a server's of 0x11. Of its handshake begun by
    // the server only the server's signature can be followed; the client's is over a challenge that is not printed.
    let server = server();
    let challenge = "MzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMz";
    let public = "CAESIIE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU";
    let server_sig = "HQ7BJRaSpRhNCORNiALNJENdwXUyq0eM2cxNoxe-XnQw6oEAMaeYnjMYaHHjgq0XNxZmy4W2ngKUcI1CgprLCQ==";
    let client_sig = "OrwJPO4buHKJdKXP2av8PFwv3XF_-m5MqndskeVV5UzufYzBCTm7RBaFnBS1sEhuQHZSZPh9RJgN5NmLzrUrBQ==";

    let header = format!("{SCHEME} challenge-server=\"{challenge}\", public-key=\"{public}\"");
    let (asked, opaque, sig) = read(&server.answer(Some(&header), HOST, NOW, [0x11; 32]));
    assert_eq!(asked, "ERERERERERERERERERERERERERERERERERERERERERE=");
    assert_eq!(sig.as_deref(), Some(server_sig));
    let header = format!("{SCHEME} opaque=\"{opaque}\", sig=\"{client_sig}\"");
    let (session, _) = session(server.answer(Some(&header), HOST, NOW, [9; 32]));
    assert_eq!(session.peer, client_key().public().to_peer_id());

    let (asked, opaque, sig) = read(&server.answer(None, HOST, NOW, [0x12; 32]));
    assert!(sig.is_none(), "the server has not been asked to prove itself");
    let sig = signature(&client_key(), &asked, HOST);
    let header = format!(
        "{SCHEME} public-key=\"{public}\", opaque=\"{opaque}\", challenge-server=\"{challenge}\", sig=\"{sig}\""
    );
    let Answer::Known { session, info: Some(info) } = server.answer(Some(&header), HOST, NOW, [9; 32]) else {
        panic!("not known")
    };
    assert_eq!(session.peer, client_key().public().to_peer_id());
    assert_eq!(Params::parse(&info).unwrap().sig, Some(server_sig));
}

#[test]
fn what_is_signed_is_what_the_specification_signs() {
    let signed = signed_bytes(&[
        ("challenge-server", b"ERERERERERERERERERERERERERERERERERERERERERE="),
        ("client-public-key", &client_key().public().encode_protobuf()),
        ("hostname", b"example.com"),
    ]);
    assert_eq!(
        data_encoding::HEXLOWER.encode(&signed),
        "6c69627032702d5065657249443d6368616c6c656e67652d7365727665723d455245524552455245524552455245524552455245524552\
         455245524552455245524552455245524552453d36636c69656e742d7075626c69632d6b65793d080112208139770ea87d175f56a35466\
         c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b39414686f73746e616d653d6578616d706c652e636f6d"
    );
    let signature = server_key().sign(&signed).unwrap();
    assert_eq!(
        BASE64URL.encode(&signature),
        "UA88qZbLUzmAxrD9KECbDCgSKAUBAvBHrOCF2X0uPLR1uUCF7qGfLPc7dw3Olo-LaFCDpk5sXN7TkLWPVvuXAA=="
    );
}

#[test]
fn a_session_holds_for_its_hour_its_host_and_its_server() {
    let server = server();
    let challenge = server.answer(None, HOST, NOW, [5; 32]);
    let (opened, bearer) =
        session(server.answer(Some(&answer_to(&challenge, &client_key(), HOST)), HOST, NOW, [6; 32]));
    let show = |server: &PeerAuth, host: &str, now| server.answer(Some(&bearer), host, now, [7; 32]);
    let hour = SESSION_LIFE.as_millis() as u64;
    assert_eq!(show(&server, HOST, NOW + hour), Answer::Known { session: opened, info: None });
    assert_eq!(refusal(&show(&server, HOST, NOW + hour + 1)), AuthError::Expired);
    assert_eq!(refusal(&show(&server, "example.org", NOW)), AuthError::Host);
    assert_eq!(refusal(&show(&PeerAuth::new(client_key(), NOW), HOST, NOW)), AuthError::Seal, "of another server");
    let restarted = PeerAuth::new(server_key(), NOW + 5);
    assert!(matches!(show(&restarted, HOST, NOW + 5), Answer::Known { .. }));
    let late = answer_to(&server.answer(None, HOST, NOW + 4, [8; 32]), &client_key(), HOST);
    assert_eq!(refusal(&restarted.answer(Some(&late), HOST, NOW + 5, [9; 32])), AuthError::Expired);
}

#[test]
fn an_answer_works_once_for_one_host_and_not_for_long() {
    let server = server();
    let challenge = server.answer(None, HOST, NOW, [5; 32]);
    let answer = answer_to(&challenge, &client_key(), HOST);
    let send = |host, now| server.answer(Some(&answer), host, now, [6; 32]);
    let life = CHALLENGE_LIFE.as_millis() as u64;
    assert_eq!(refusal(&send("example.org", NOW)), AuthError::Host);
    assert_eq!(refusal(&send(HOST, NOW + life + 1)), AuthError::Expired);
    session(send(HOST, NOW + life));
    assert_eq!(refusal(&send(HOST, NOW + life)), AuthError::Replayed);
    // A stranger that passes on our challenge gets a signature for its own host.
    let challenge = server.answer(None, HOST, NOW, [8; 32]);
    let passed_on = answer_to(&challenge, &client_key(), "stranger.example");
    assert_eq!(refusal(&server.answer(Some(&passed_on), HOST, NOW, [6; 32])), AuthError::Signature);
}

#[test]
fn what_is_sealed_cannot_be_swapped_or_changed() {
    let server = server();
    let challenge = server.answer(None, HOST, NOW, [5; 32]);
    let (_, opaque, _) = read(&challenge);
    let answer = answer_to(&challenge, &client_key(), HOST);
    let show = |header: &str| refusal(&server.answer(Some(header), HOST, NOW, [6; 32]));
    assert_eq!(show(&format!("{SCHEME} bearer=\"{opaque}\"")), AuthError::Seal, "a challenge is no session");
    let other = answer.replace(&public(&client_key()), &public(&Keypair::ed25519_from_bytes([3; 32]).unwrap()));
    assert_eq!(show(&other), AuthError::Signature, "a signature is by its own key");
    for at in (0..opaque.len()).step_by(7) {
        let mut bytes = opaque.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let touched = answer.replace(&opaque, std::str::from_utf8(&bytes).unwrap());
        assert_eq!(show(&touched), AuthError::Seal, "at {at}");
    }
    let (_, bearer) = session(server.answer(Some(&answer), HOST, NOW, [6; 32]));
    let as_opaque = bearer.replace("bearer=", "sig=\"AAAA\", opaque=");
    assert_eq!(show(&as_opaque), AuthError::Seal, "a session is no challenge");
}

#[test]
fn headers_of_no_step_are_refused_and_challenged_anew() {
    let server = server();
    let long = format!("{SCHEME} bearer=\"{}\"", "A".repeat(MAX_HEADER));
    let short = format!("{SCHEME} challenge-server=\"short\", public-key=\"{}\"", public(&client_key()));
    for (header, error) in [
        ("", AuthError::Header),
        ("Basic dXNlcjpwYXNz", AuthError::Header),
        (SCHEME, AuthError::Header),
        ("libp2p-PeerID ", AuthError::Header),
        ("libp2p-PeerID bearer=AAAA", AuthError::Header),
        ("libp2p-PeerID bearer=\"AAAA", AuthError::Header),
        ("libp2p-PeerID bearer=\"AAAA\", bearer=\"AAAA\"", AuthError::Header),
        ("libp2p-PeerID bearer=\"AAAA\"", AuthError::Seal),
        ("LIBP2P-peerid bearer=\"AAAA\"", AuthError::Seal),
        ("libp2p-PeerID bearer=\"\"", AuthError::Seal),
        ("libp2p-PeerID sig=\"AAAA\"", AuthError::Header),
        (long.as_str(), AuthError::Header),
        (short.as_str(), AuthError::Header),
        ("libp2p-PeerID challenge-server=\"MzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMz\", public-key=\"CAES\"", AuthError::Key),
    ] {
        let answer = server.answer(Some(header), HOST, NOW, [5; 32]);
        assert_eq!(refusal(&answer), error, "{header}");
        let Answer::Challenge { header, .. } = answer else { unreachable!() };
        assert!(Params::parse(&header).unwrap().opaque.is_some());
    }
}

#[test]
fn an_rsa_key_opens_a_session_too() {
    // A key of 2048 bits in PKCS#8, and its peer id as go-libp2p and js-libp2p compute it: sha2-256 of the encoded key.
    let mut der = params::decode(include_str!("tests/rsa-2048.pkcs8.base64url").trim()).unwrap();
    let key = Keypair::rsa_from_pkcs8(&mut der).unwrap();
    let server = server();
    let challenge = server.answer(None, HOST, NOW, [5; 32]);
    let header = answer_to(&challenge, &key, HOST);
    assert!(header.len() <= MAX_HEADER);
    let (session, _) = session(server.answer(Some(&header), HOST, NOW, [6; 32]));
    assert_eq!(session.peer, key.public().to_peer_id());
    assert!(session.peer.to_string().starts_with("Qm"));
}

#[test]
fn answered_challenges_are_forgotten_only_when_they_have_expired() {
    let mut replays = Replays::default();
    let nonce = |number: u64| {
        let mut nonce = [0; NONCE];
        nonce[..8].copy_from_slice(&number.to_be_bytes());
        nonce
    };
    for number in 0..replay::CAPACITY as u64 {
        assert_eq!(replays.insert(nonce(number), NOW, NOW + 10), Seen::First);
    }
    assert_eq!(replays.insert(nonce(0), NOW, NOW + 10), Seen::Before);
    assert_eq!(replays.insert(nonce(u64::MAX), NOW + 10, NOW + 20), Seen::Full);
    assert_eq!(replays.insert(nonce(u64::MAX), NOW + 11, NOW + 21), Seen::First);
    assert!(!replays.has(&nonce(0)));
}

#[test]
fn the_client_of_the_command_line_is_known_with_its_key() {
    let server = server();
    let mut nonces = 0..;
    let mut step = |header: &str| server.answer(Some(header), HOST, NOW, [nonces.next().unwrap(); NONCE]);
    let Answer::Challenge { header, because: None } = step(&peer_auth::begin(&client_key())) else {
        panic!("it is asked for its key")
    };
    let (known, _) = session(step(&peer_auth::prove(&client_key(), &header, HOST).unwrap()));
    assert_eq!(known.peer, client_key().public().to_peer_id());
    assert_eq!(
        peer_auth::prove(&client_key(), "libp2p-PeerID", HOST),
        Err(peer_auth::PeerAuthError::Missing("public-key"))
    );
    let elsewhere = step(&peer_auth::prove(&client_key(), &header, "elsewhere.example").unwrap());
    assert!(matches!(elsewhere, Answer::Challenge { because: Some(_), .. }), "what was signed for another host");
}
