use openred_core::token::{LEEWAY, LINK_LIFE, key_id};

use super::{
    keys::{AHEAD, PERIOD},
    *,
};

const NOW: u64 = 1_795_000_000;

fn peer(seed: u8) -> PeerId {
    libp2p_identity::Keypair::ed25519_from_bytes([seed; 32]).unwrap().public().to_peer_id()
}

fn issuer(seed: u8) -> Issuer {
    Issuer::new(peer(seed), KeyRing::new(NOW, [seed; 32]))
}

#[test]
fn a_token_for_the_directory_is_checked_by_it_and_taken_back() {
    let issuer = issuer(1);
    let issue = |id| issuer.access(peer(7), issuer.own().to_string(), [id; TOKEN_ID], NOW).unwrap();
    let (first, second) = (issue(1), issue(2));
    assert_eq!(issuer.check(&first.token, NOW).unwrap(), first.claims);

    issuer.revoke(&first.claims.id, first.claims.expires_at, NOW).unwrap();
    assert_eq!(issuer.check(&first.token, NOW), Err(RefusedToken::Revoked));
    assert!(issuer.check(&second.token, NOW).is_ok());

    issuer.revoke_peer(peer(7), NOW).unwrap();
    assert_eq!(issuer.check(&second.token, NOW), Err(RefusedToken::Revoked));
    let later = issuer.access(peer(7), issuer.own().to_string(), [3; TOKEN_ID], NOW + 1).unwrap();
    assert!(issuer.check(&later.token, NOW + 1).is_ok(), "who may come back proves its key again");
}

#[test]
fn a_token_for_somebody_else_does_not_open_the_directory() {
    let issuer = issuer(1);
    let foreign = issuer.access(peer(7), "shop.example".into(), [1; TOKEN_ID], NOW).unwrap();
    assert_eq!(issuer.check(&foreign.token, NOW), Err(TokenError::Audience.into()));
    let link = issuer.link(peer(7), issuer.own(), [1; TOKEN_ID], NOW).unwrap();
    assert_eq!(issuer.check(&link.first, NOW), Err(TokenError::Kind.into()));
    let (kind, claims) = issuer.inspect(&link.first, NOW).unwrap();
    assert_eq!((kind, claims.subject), (Kind::Link, peer(7)));
}

#[test]
fn instances_that_know_each_other_accept_each_others_tokens() {
    let (a, b) = (issuer(1), issuer(2));
    let token = a.access(peer(7), a.own().to_string(), [1; TOKEN_ID], NOW).unwrap().token;
    assert_eq!(b.check(&token, NOW), Err(TokenError::UnknownKey.into()));
    b.set_siblings(a.own_keys(NOW).into_iter().collect());
    assert_eq!(b.check(&token, NOW).unwrap().subject, peer(7));
    assert_eq!(b.keys(NOW).len(), 2);
}

#[test]
fn a_key_is_known_before_it_signs_and_until_nothing_it_signed_holds() {
    let mut ring = KeyRing::new(NOW, [1; 32]);
    let ids = |ring: &KeyRing, now| ring.published(now).filter_map(|key| key_id(&key)).collect::<Vec<_>>();
    let signer = |ring: &KeyRing, now| key_id(&ring.signer(now).public()).unwrap();
    let first = signer(&ring, NOW);
    let end = NOW + PERIOD;

    assert!(!ring.turn(end - AHEAD - 1, [2; 32]), "nothing is due");
    assert!(ring.turn(end - AHEAD, [2; 32]));
    assert_eq!(ids(&ring, end - AHEAD).len(), 2, "the next key is known");
    assert_eq!(signer(&ring, end - 1), first, "and does not sign yet");
    let second = signer(&ring, end);
    assert_ne!(second, first);

    let over = end + LINK_LIFE.as_secs() + LEEWAY.as_secs();
    assert!(ids(&ring, over).contains(&first), "the last link of the old key may still be shown");
    assert!(ring.turn(over + LEEWAY.as_secs(), [3; 32]));
    assert_eq!(ids(&ring, over + LEEWAY.as_secs()), [second]);
}

#[test]
fn a_ring_is_kept_and_goes_on_after_a_long_absence() {
    let ring = KeyRing::new(NOW, [1; 32]);
    let mut again = KeyRing::from_bytes(&ring.to_bytes()).unwrap();
    assert_eq!(again.signer(NOW).public(), ring.signer(NOW).public());
    let later = NOW + 10 * PERIOD;
    assert!(again.turn(later, [2; 32]));
    assert_ne!(again.signer(later).public(), ring.signer(NOW).public());
    assert_eq!(again.published(later).count(), 1);
    for wrong in ["", "[]", "{}", r#"[{"secret":"AA","from":1,"until":2}]"#, &damaged(&ring)] {
        assert!(KeyRing::from_bytes(wrong.as_bytes()).is_err(), "{wrong}");
    }
}

fn damaged(ring: &KeyRing) -> String {
    let text = String::from_utf8(ring.to_bytes()).unwrap();
    text[..text.len() / 2].to_owned()
}

#[test]
fn a_full_list_of_revocations_says_so_and_empties_with_time() {
    let mut list = Revocations::default();
    for number in 0..revocations::CAPACITY {
        list.revoke(&number.to_string(), NOW + 10, NOW).unwrap();
    }
    assert_eq!(list.revoke("one more", NOW + 10, NOW), Err(Full));
    assert_eq!(list.revoke("0", NOW + 10, NOW), Ok(()), "what is in it already");
    let later = NOW + 10 + LEEWAY.as_secs();
    assert_eq!(list.revoke("one more", later + 10, later), Ok(()));
    assert!(list.token("one more", &peer(1), later) && !list.token("0", &peer(1), later));
}
