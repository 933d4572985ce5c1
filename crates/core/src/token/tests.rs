use data_encoding::BASE64URL_NOPAD;
use proptest::prelude::*;

use super::*;

const NOW: u64 = 1_795_000_000;

fn key(seed: u8) -> Keypair {
    Keypair::ed25519_from_bytes([seed; 32]).unwrap()
}

fn peer(seed: u8) -> PeerId {
    key(seed).public().to_peer_id()
}

fn published() -> KeySet {
    KeySet::from_json(KeySet::from_iter([key(1).public(), key(2).public()]).to_json().as_bytes()).unwrap()
}

fn access() -> Claims {
    Claims::access(peer(9), peer(3), "relay.example.org".into(), "a1".into(), NOW)
}

/// A token with these parts, signed by key 1 whatever they are.
fn crafted(header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", BASE64URL_NOPAD.encode(header.as_bytes()), BASE64URL_NOPAD.encode(claims.as_bytes()));
    let signature = key(1).sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature))
}

#[test]
fn a_token_tells_what_was_signed_while_it_holds() {
    let token = access().sign(Kind::Access, &key(1)).unwrap();
    let check = |now| verify(&token, Kind::Access, &published(), "relay.example.org", now);
    assert_eq!(check(NOW), Ok(access()));
    assert!(check(NOW - 60).is_ok(), "a clock that is behind by the leeway");
    assert_eq!(check(NOW - 61), Err(TokenError::NotYet { ahead: 61 }));
    assert!(check(NOW + 359).is_ok(), "a clock that is ahead by the leeway");
    assert_eq!(check(NOW + 360), Err(TokenError::Expired { since: 60 }));
}

#[test]
fn a_token_is_for_its_kind_its_audience_and_its_keys() {
    let token = access().sign(Kind::Access, &key(1)).unwrap();
    let audience = "relay.example.org";
    assert_eq!(verify(&token, Kind::Link, &published(), audience, NOW), Err(TokenError::Kind));
    assert_eq!(verify(&token, Kind::Access, &published(), "example.org", NOW), Err(TokenError::Audience));
    let others = KeySet::from_iter([key(4).public()]);
    assert_eq!(verify(&token, Kind::Access, &others, audience, NOW), Err(TokenError::UnknownKey));
}

#[test]
fn no_other_algorithm_is_believed() {
    let kid = key_id(&key(1).public()).unwrap();
    let claims = serde_json::to_string(&access()).unwrap();
    let check = |header: &str| verify(&crafted(header, &claims), Kind::Access, &published(), "relay.example.org", NOW);
    let typ = Kind::Access.as_str();
    assert!(check(&format!(r#"{{"alg":"EdDSA","typ":"{typ}","kid":"{kid}"}}"#)).is_ok(), "the form itself is right");
    for alg in ["none", "HS256", "RS256", "eddsa", ""] {
        let header = format!(r#"{{"alg":"{alg}","typ":"{typ}","kid":"{kid}"}}"#);
        assert_eq!(check(&header), Err(TokenError::Algorithm), "{alg}");
    }
    let critical = format!(r#"{{"alg":"EdDSA","typ":"{typ}","kid":"{kid}","crit":["exp"]}}"#);
    assert_eq!(check(&critical), Err(TokenError::Malformed));
    assert_eq!(check(r#"{"alg":"EdDSA"}"#), Err(TokenError::Malformed));
}

#[test]
fn a_token_that_was_touched_anywhere_is_refused() {
    let token = access().sign(Kind::Access, &key(1)).unwrap();
    for at in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let touched = String::from_utf8(bytes).unwrap();
        assert!(verify(&touched, Kind::Access, &published(), "relay.example.org", NOW).is_err(), "at {at}");
    }
    for wrong in ["", ".", "..", "a.b.c", &token[..token.len() - 1], &format!("{token}A"), &format!("{token}.")] {
        assert!(verify(wrong, Kind::Access, &published(), "relay.example.org", NOW).is_err(), "{wrong}");
    }
    let long = "A".repeat(MAX_TOKEN + 1);
    let refused = verify(&long, Kind::Access, &published(), "relay.example.org", NOW);
    assert_eq!(refused, Err(TokenError::TooLong { bytes: MAX_TOKEN + 1 }));
}

#[test]
fn a_link_is_known_to_its_two_peers_and_to_nobody_else() {
    let (alice, bob, eve) = (peer(3), peer(4), peer(5));
    let pair = issue_links(peer(9), alice, bob, "l1".into(), NOW, &key(2)).unwrap();
    let keys = published();

    let seen_by_bob = verify_link(&pair.first, &keys, &alice, &bob, NOW).unwrap();
    let seen_by_alice = verify_link(&pair.second, &keys, &bob, &alice, NOW).unwrap();
    assert_eq!((seen_by_bob.id.as_str(), seen_by_bob.peer, seen_by_bob.issuer), ("l1", alice, peer(9)));
    assert_eq!((seen_by_alice.id, seen_by_alice.peer), (seen_by_bob.id, bob));

    assert_eq!(verify_link(&pair.first, &keys, &eve, &bob, NOW), Err(TokenError::Holder), "stolen");
    assert_eq!(verify_link(&pair.first, &keys, &bob, &alice, NOW), Err(TokenError::Audience), "swapped");
    assert_eq!(verify_link(&pair.first, &keys, &alice, &eve, NOW), Err(TokenError::Audience), "shown to another");
    let over = NOW + LINK_LIFE.as_secs() + LEEWAY.as_secs();
    assert_eq!(verify_link(&pair.first, &keys, &alice, &bob, over), Err(TokenError::Expired { since: 60 }));
    let access = Claims { audience: bob.to_string(), ..access() }.sign(Kind::Access, &key(1)).unwrap();
    assert_eq!(verify_link(&access, &keys, &alice, &bob, NOW), Err(TokenError::Kind));
}

#[test]
fn a_proof_holds_for_one_link_one_reader_and_one_nonce() {
    let (alice, bob, nonce) = (key(3), peer(4), [7; PROOF_NONCE]);
    let proof = prove_link(&alice, "l1", &bob, &nonce).unwrap();
    assert_eq!(verify_proof(&proof, &alice.public(), "l1", &bob, &nonce), Ok(peer(3)));
    let refused = Err(TokenError::Proof);
    assert_eq!(verify_proof(&proof, &key(5).public(), "l1", &bob, &nonce), refused);
    assert_eq!(verify_proof(&proof, &alice.public(), "l2", &bob, &nonce), refused);
    assert_eq!(verify_proof(&proof, &alice.public(), "l1", &peer(5), &nonce), refused);
    assert_eq!(verify_proof(&proof, &alice.public(), "l1", &bob, &[8; PROOF_NONCE]), refused);
}

#[test]
fn a_key_has_the_thumbprint_of_the_standard() {
    // RFC 8037, appendix A.3.
    let x = BASE64URL_NOPAD.decode(b"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
    let key = libp2p_identity::ed25519::PublicKey::try_from_bytes(&x).unwrap();
    assert_eq!(key_id(&key.into()).unwrap(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

#[test]
fn a_key_set_ignores_what_it_does_not_know_and_refuses_what_is_wrong() {
    let foreign = r#"{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}],"more":1}"#;
    assert!(KeySet::from_json(foreign.as_bytes()).unwrap().is_empty());
    let named_otherwise = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"chosen",
        "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    let set = KeySet::from_json(named_otherwise.as_bytes()).unwrap();
    assert!(set.get("chosen").is_none() && set.get("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k").is_some());
    for wrong in ["", "[]", "{}", r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA"}]}"#] {
        assert_eq!(KeySet::from_json(wrong.as_bytes()), Err(KeySetError::Malformed), "{wrong}");
    }
    let long = vec![b' '; keys::MAX_KEY_SET + 1];
    assert!(matches!(KeySet::from_json(&long), Err(KeySetError::TooLong { .. })));
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_fail(token in ".{0,300}", header in ".{0,80}", claims in ".{0,80}") {
        prop_assert!(verify(&token, Kind::Access, &published(), "a", NOW).is_err());
        prop_assert!(verify(&crafted(&header, &claims), Kind::Access, &published(), "a", NOW).is_err());
    }
}
