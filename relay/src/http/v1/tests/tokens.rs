use openred_core::token::{KeySet, TokenError, verify_link};

use super::*;

#[tokio::test]
async fn a_peer_proves_its_key_on_any_route_and_is_known_from_then_on() {
    let world = World::built().await;
    let asked = get(&world, "/v1/auth").await.expect(StatusCode::UNAUTHORIZED);
    assert!(asked.headers.text("www-authenticate").starts_with("libp2p-PeerID challenge-client="));
    assert_eq!(asked.code(), "AUTH_REQUIRED");

    let client = Client::known(&world, 7).await;
    let answer = client.ask(&world, Method::GET, "/v1/auth", None).await.expect(StatusCode::OK);
    assert_eq!(answer.json()["peerId"], client.peer().to_string());
    assert_eq!(answer.headers.text("cache-control"), "no-store");

    // js-libp2p begins with OPTIONS on the route itself and answers with the request that it wanted to send.
    let first = [("authorization", begin(&client.key))].map(|(name, value)| (name, value.clone()));
    let first: Vec<_> = first.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let challenge = ask(&world, Method::OPTIONS, "/v1/nodes", &first, None).await.expect(StatusCode::UNAUTHORIZED);
    let second = answer_challenge(&client.key, challenge.headers.text("www-authenticate"), HOST);
    let listed =
        ask(&world, Method::GET, "/v1/nodes", &[("authorization", &second)], None).await.expect(StatusCode::OK);
    assert!(listed.headers.text("authentication-info").contains("bearer="));
}

#[tokio::test]
async fn a_key_is_proved_under_the_relays_own_names_only() {
    let world = World::built().await;
    let key = Keypair::ed25519_from_bytes([7; 32]).unwrap();
    let first = begin(&key);
    for host in ["stranger.example", "relay.example.stranger.example", ""] {
        let headers = [("authorization", first.as_str()), ("host", host)];
        let request =
            headers.iter().fold(Request::get("/v1/auth"), |request, (name, value)| request.header(*name, *value));
        let (status, _, body) = world.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(status, StatusCode::MISDIRECTED_REQUEST, "{host}");
        assert!(String::from_utf8(body).unwrap().contains("--announce"));
    }
    // What was signed for a stranger's host is of no use here.
    let challenge = ask(&world, Method::GET, "/v1/auth", &[("authorization", &first)], None).await;
    let stolen = answer_challenge(&key, challenge.headers.text("www-authenticate"), "stranger.example");
    let refused = ask(&world, Method::GET, "/v1/auth", &[("authorization", &stolen)], None).await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::UNAUTHORIZED, "AUTH_SIGNATURE"));
}

#[tokio::test]
async fn a_handshake_that_is_sent_again_is_refused() {
    let world = World::built().await;
    let key = Keypair::ed25519_from_bytes([7; 32]).unwrap();
    let challenge = ask(&world, Method::GET, "/v1/auth", &[("authorization", &begin(&key))], None).await;
    let answer = answer_challenge(&key, challenge.headers.text("www-authenticate"), HOST);
    let header = [("authorization", answer.as_str())];
    let send = || ask(&world, Method::GET, "/v1/auth", &header, None);
    send().await.expect(StatusCode::OK);
    assert_eq!(send().await.expect(StatusCode::UNAUTHORIZED).code(), "AUTH_REPLAYED");
}

#[tokio::test]
async fn a_token_opens_the_directory_until_it_is_taken_back() {
    let world = World::built().await;
    let client = Client::known(&world, 7).await;
    let issued = client.post(&world, "/v1/tokens", json!({})).await.expect(StatusCode::CREATED).json();
    let token = issued["token"].as_str().unwrap();
    let bearer = format!("Bearer {token}");
    let header = [("authorization", bearer.as_str())];
    let show = || ask(&world, Method::GET, "/v1/auth", &header, None);
    assert_eq!(show().await.expect(StatusCode::OK).json()["peerId"], client.peer().to_string());
    let left = issued["expiresAt"].as_u64().unwrap() - clock::millis();
    assert!((290_000..=300_000).contains(&left), "{left}");

    let shown = json!({ "token": token });
    let inspect = || ask(&world, Method::POST, "/v1/tokens/inspect", &[], Some(shown.clone()));
    assert_eq!(inspect().await.json()["active"], true);
    let eve = Client::known(&world, 8).await;
    assert_eq!(
        eve.post(&world, "/v1/tokens/revoke", shown.clone()).await.expect(StatusCode::FORBIDDEN).code(),
        "TOKEN_HOLDER"
    );
    client.post(&world, "/v1/tokens/revoke", shown.clone()).await.expect(StatusCode::NO_CONTENT);
    assert_eq!(show().await.expect(StatusCode::UNAUTHORIZED).code(), "TOKEN_REVOKED");
    assert_eq!(inspect().await.json(), json!({ "active": false }));
    client.post(&world, "/v1/tokens/revoke", shown).await.expect(StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_token_for_somebody_else_and_a_wrong_one_are_refused() {
    let world = World::built().await;
    let client = Client::registered(&world, 7, &[]).await;
    let friend = Client::registered(&world, 8, &[]).await;
    let body = json!({ "audience": "https://shop.example" });
    let foreign = client.post(&world, "/v1/tokens", body).await.expect(StatusCode::CREATED).json();
    let link = client.post(&world, "/v1/tokens/links", json!({ "peerId": friend.peer().to_string() })).await.json();
    let foreign = foreign["token"].as_str().unwrap();
    let broken = foreign.rsplit_once('.').unwrap().0.to_owned() + ".AAAA";
    let issuer = &world.shared.directory.issuer;
    // Its own directory's, of another time: over, or of a clock that is ahead.
    let dated =
        |seconds| issuer.access(client.peer(), issuer.own().to_string(), rand::random(), seconds).unwrap().token;
    let (over, ahead) = (dated(clock::seconds() - 400), dated(clock::seconds() + 400));
    for (token, code) in [
        (over.as_str(), "TOKEN_EXPIRED"),
        (ahead.as_str(), "TOKEN_NOT_YET_VALID"),
        (foreign, "TOKEN_AUDIENCE"),
        (link["own"].as_str().unwrap(), "TOKEN_KIND"),
        (broken.as_str(), "TOKEN_SIGNATURE"),
        ("", "TOKEN_MALFORMED"),
        ("a.b.c", "TOKEN_MALFORMED"),
    ] {
        let bearer = format!("Bearer {token}");
        let refused = ask(&world, Method::GET, "/v1/nodes", &[("authorization", &bearer)], None).await;
        assert_eq!((refused.status, refused.code().as_str()), (StatusCode::UNAUTHORIZED, code));
        assert!(refused.headers.text("www-authenticate").contains("invalid_token"));
    }
    for audience in [String::new(), "a".repeat(257)] {
        let refused = client.post(&world, "/v1/tokens", json!({ "audience": audience })).await;
        assert_eq!(refused.expect(StatusCode::BAD_REQUEST).code(), "TOKEN_AUDIENCE");
    }
}

#[tokio::test]
async fn two_nodes_verify_each_other_with_the_published_keys_alone() {
    let world = World::built().await;
    let (alice, bob) = (Client::registered(&world, 7, &[]).await, Client::registered(&world, 8, &[]).await);
    let answer = alice.post(&world, "/v1/tokens/links", json!({ "peerId": bob.peer().to_string() })).await;
    let link = answer.expect(StatusCode::CREATED).json();
    let published = get(&world, "/.well-known/jwks.json").await.expect(StatusCode::OK);
    assert!(published.headers.text("cache-control").contains("max-age=3600"));
    let keys = KeySet::from_json(&published.body).unwrap();

    let (own, other) = (link["own"].as_str().unwrap(), link["other"].as_str().unwrap());
    let now = clock::seconds();
    let seen = verify_link(own, &keys, &alice.peer(), &bob.peer(), now).unwrap();
    let seen_back = verify_link(other, &keys, &bob.peer(), &alice.peer(), now).unwrap();
    assert_eq!((seen.id.as_str(), seen_back.id.as_str()), (link["link"].as_str().unwrap(), seen.id.as_str()));
    assert_eq!(verify_link(other, &keys, &alice.peer(), &bob.peer(), now), Err(TokenError::Audience), "swapped");

    let stranger = Keypair::ed25519_from_bytes([9; 32]).unwrap().public().to_peer_id();
    for (peer, status) in [(stranger, StatusCode::NOT_FOUND), (alice.peer(), StatusCode::BAD_REQUEST)] {
        alice.post(&world, "/v1/tokens/links", json!({ "peerId": peer.to_string() })).await.expect(status);
    }
}

#[tokio::test]
async fn a_session_ends_when_its_peer_says_so() {
    let world = World::built().await;
    let client = Client::known(&world, 7).await;
    client.ask(&world, Method::DELETE, "/v1/auth", None).await.expect(StatusCode::NO_CONTENT);
    let refused = client.ask(&world, Method::GET, "/v1/auth", None).await.expect(StatusCode::UNAUTHORIZED);
    assert_eq!(refused.code(), "SESSION_ENDED");
    assert!(refused.headers.text("www-authenticate").contains("challenge-client="));
}

#[tokio::test]
async fn the_key_set_is_asked_for_conditionally_and_by_pages_of_any_origin() {
    let world = World::built().await;
    let first = get(&world, "/v1/tokens/jwks").await;
    let headers = [("if-none-match", first.headers.text("etag")), ("origin", "https://page.example")];
    let again = ask(&world, Method::GET, "/v1/tokens/jwks", &headers, None).await;
    assert_eq!(again.status, StatusCode::NOT_MODIFIED);
    assert_eq!(again.headers.text("access-control-allow-origin"), "*");
    assert!(again.headers.text("access-control-expose-headers").contains("authentication-info"));
}
