use crate::http::v1::heartbeats::signed_bytes as heartbeat_bytes;

use super::*;

#[tokio::test]
async fn a_node_registers_is_seen_changes_and_leaves() {
    let world = World::built().await;
    let client = Client::registered(&world, 7, &["chess"]).await;
    let seen = get(&world, &client.own_path()).await.expect(StatusCode::OK);
    let node = seen.json();
    assert_eq!(node["peerId"], client.peer().to_string());
    assert_eq!(
        (node["state"].as_str(), node["region"].as_str(), node["services"].as_u64()),
        (Some("active"), Some("eu"), Some(1))
    );
    assert_eq!(node["addresses"], json!(["/ip4/192.0.2.7/tcp/4001/ws"]));
    assert!(node["record"].is_string(), "everybody can check the addresses");

    let body = json!({ "addresses": ["/ip4/192.0.2.8/tcp/1"], "region": "us", "metadata": { "a": "b" } });
    client.put(&world, &client.own_path(), body).await.expect(StatusCode::OK);
    let node = get(&world, &client.own_path()).await.json();
    assert_eq!((node["region"].as_str(), node["metadata"]["a"].as_str()), (Some("us"), Some("b")));

    client.ask(&world, Method::DELETE, &client.own_path(), None).await.expect(StatusCode::NO_CONTENT);
    assert_eq!(get(&world, &client.own_path()).await.expect(StatusCode::NOT_FOUND).code(), "NOT_FOUND");
    client.ask(&world, Method::DELETE, &client.own_path(), None).await.expect(StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_node_speaks_for_itself_only() {
    let world = World::built().await;
    let (alice, eve) = (Client::registered(&world, 7, &["chess"]).await, Client::registered(&world, 8, &[]).await);
    for (method, path) in [
        (Method::PUT, alice.own_path()),
        (Method::DELETE, alice.own_path()),
        (Method::POST, format!("{}/heartbeat", alice.own_path())),
        (Method::POST, format!("{}/drain", alice.own_path())),
    ] {
        let body = (method == Method::PUT).then(|| json!({}));
        let refused = eve.ask(&world, method, &path, body).await.expect(StatusCode::FORBIDDEN);
        assert_eq!(refused.code(), "PEER_MISMATCH");
    }
    // Records and peer records of others are no registration of one's own.
    for body in [
        json!({ "services": [encoded(&alice.record("chess"))] }),
        json!({ "record": alice.peer_record() }),
        json!({ "publicKey": BASE64URL_NOPAD.encode(&alice.key.public().encode_protobuf()) }),
    ] {
        let refused = eve.put(&world, &eve.own_path(), body.clone()).await;
        assert!(refused.status.is_client_error(), "{body}: {}", refused.status);
    }
    ask(&world, Method::PUT, &alice.own_path(), &[], Some(json!({}))).await.expect(StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_heartbeat_keeps_a_node_and_draining_is_taken_back_by_one() {
    let world = World::built().await;
    let client = Client::registered(&world, 7, &[]).await;
    let drained = client.ask(&world, Method::POST, &format!("{}/drain", client.own_path()), None).await;
    assert_eq!(drained.expect(StatusCode::OK).json()["state"], "draining");
    let beat = client.ask(&world, Method::POST, &format!("{}/heartbeat", client.own_path()), None).await;
    let beat = beat.expect(StatusCode::OK).json();
    assert_eq!(beat["state"], "active");
    assert!(beat["heartbeatMs"].as_u64().unwrap() >= 1_000);

    let stranger = Client::known(&world, 9).await;
    let refused = stranger.ask(&world, Method::POST, &format!("{}/heartbeat", stranger.own_path()), None).await;
    assert_eq!(refused.expect(StatusCode::NOT_FOUND).code(), "NOT_FOUND");
}

#[tokio::test]
async fn heartbeats_come_in_batches_each_signed_by_its_node() {
    let world = World::built().await;
    let nodes = [Client::registered(&world, 7, &[]).await, Client::registered(&world, 8, &[]).await];
    let stranger = Client::known(&world, 9).await;
    let (directory, now) = (world.shared.directory.issuer.own(), clock::millis());
    let beat = |client: &Client, at: u64, directory: &PeerId, signer: &Keypair| {
        let signature = BASE64URL_NOPAD.encode(&signer.sign(&heartbeat_bytes(directory, at)).unwrap());
        json!({ "peerId": client.peer().to_string(), "at": at, "signature": signature })
    };
    let other = nodes[1].peer();
    let heartbeats = json!({ "heartbeats": [
        beat(&nodes[0], now, &directory, &nodes[0].key),
        beat(&nodes[1], now - 30_000, &directory, &nodes[1].key),
        beat(&nodes[0], now - 61_000, &directory, &nodes[0].key),
        beat(&nodes[0], now + 120_000, &directory, &nodes[0].key),
        beat(&nodes[0], now, &directory, &nodes[1].key),
        beat(&nodes[0], now, &other, &nodes[0].key),
        beat(&stranger, now, &directory, &stranger.key),
        json!({ "peerId": "nobody", "at": now, "signature": "AA" }),
    ] });
    let answer = ask(&world, Method::POST, "/v1/heartbeats", &[], Some(heartbeats)).await.expect(StatusCode::OK).json();
    let results = answer["results"].as_array().unwrap();
    let text = |result: &Value| result["state"].as_str().or(result["code"].as_str()).unwrap().to_owned();
    assert_eq!(
        results.iter().map(text).collect::<Vec<_>>(),
        [
            "active",
            "active",
            "HEARTBEAT_TIME",
            "HEARTBEAT_TIME",
            "HEARTBEAT_SIGNATURE",
            "HEARTBEAT_SIGNATURE",
            "NOT_FOUND",
            "PEER_INVALID"
        ]
    );
    let many = json!({ "heartbeats": vec![beat(&nodes[0], now, &directory, &nodes[0].key); 257] });
    ask(&world, Method::POST, "/v1/heartbeats", &[], Some(many)).await.expect(StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_list_is_read_page_by_page_and_conditionally() {
    let world = World::built().await;
    let mut expected = Vec::new();
    for seed in 10..17 {
        expected.push(Client::registered(&world, seed, &[]).await.peer().to_string());
    }
    let (mut seen, mut path) = (Vec::new(), "/v1/nodes?limit=3".to_owned());
    loop {
        let page = get(&world, &path).await.expect(StatusCode::OK).json();
        seen.extend(page["nodes"].as_array().unwrap().iter().map(|node| node["peerId"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => path = format!("/v1/nodes?limit=3&cursor={next}"),
            None => break,
        }
    }
    seen.sort();
    expected.sort();
    assert_eq!(seen, expected);

    let count =
        async |query: &str| get(&world, &format!("/v1/nodes?{query}")).await.json()["nodes"].as_array().unwrap().len();
    assert_eq!((count("region=eu").await, count("region=us").await), (7, 0));
    assert_eq!((count("state=active,draining").await, count("state=coma").await), (7, 0));

    let first = get(&world, "/v1/nodes").await;
    let known = [("if-none-match", first.headers.text("etag"))];
    assert_eq!(ask(&world, Method::GET, "/v1/nodes", &known, None).await.status, StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn status_and_bootstrap_lists_tell_what_everybody_may_know() {
    let world = World::built().await;
    let relay = Client::known(&world, 7).await;
    let body = json!({ "addresses": ["/ip4/192.0.2.7/tcp/4001/ws"], "region": "us", "metadata": { "role": "relay" } });
    relay.put(&world, &relay.own_path(), body).await.expect(StatusCode::CREATED);
    Client::registered(&world, 8, &["chess"]).await;

    let status = get(&world, "/v1/status").await.json();
    assert_eq!((status["nodes"]["active"].as_u64(), status["services"].as_u64()), (Some(2), Some(1)));
    assert_eq!(status["brake"]["cause"].as_str().unwrap_or("absence"), "absence");

    let regions = get(&world, "/v1/bootstrap").await.json()["regions"].clone();
    assert_eq!(regions["us"][0]["peerId"], relay.peer().to_string());
    assert_eq!(regions["eu"].as_array().unwrap().len(), 1, "the relay itself, and no node that is none");
    assert_eq!(regions["*"][0]["peerId"], "12D3b");
    let list = get(&world, "/v1/bootstrap.txt?region=us").await;
    assert_eq!(list.headers.text("content-type"), "text/plain; charset=utf-8");
    let list = String::from_utf8(list.body).unwrap();
    assert!(list.lines().any(|line| line == format!("us /ip4/192.0.2.7/tcp/4001/ws/p2p/{}", relay.peer())), "{list}");
    assert!(!list.lines().any(|line| line.starts_with("eu ")), "{list}");
}

#[tokio::test]
async fn an_rsa_node_registers_with_its_key_beside_its_id() {
    let world = World::built().await;
    let mut der = crate::directory::identity::params::decode(
        include_str!("../../../directory/identity/tests/rsa-2048.pkcs8.base64url").trim(),
    )
    .unwrap();
    let key = Keypair::rsa_from_pkcs8(&mut der).unwrap();
    let challenge = ask(&world, Method::GET, "/v1/auth", &[("authorization", &begin(&key))], None).await;
    let answer = answer_challenge(&key, challenge.headers.text("www-authenticate"), HOST);
    let answer = ask(&world, Method::GET, "/v1/auth", &[("authorization", &answer)], None).await.expect(StatusCode::OK);
    let bearer = Params::parse(answer.headers.text("authentication-info")).unwrap().bearer.unwrap().to_owned();
    let client = Client { key, authorization: format!("{SCHEME} bearer=\"{bearer}\"") };
    let refused = client.put(&world, &client.own_path(), json!({})).await.expect(StatusCode::BAD_REQUEST);
    assert_eq!(refused.code(), "KEY_INVALID");
    let public = BASE64URL_NOPAD.encode(&client.key.public().encode_protobuf());
    client.put(&world, &client.own_path(), json!({ "publicKey": public })).await.expect(StatusCode::CREATED);
    get(&world, &client.own_path()).await.expect(StatusCode::OK);
}
