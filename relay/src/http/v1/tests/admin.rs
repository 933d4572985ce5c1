use super::*;
use crate::http::admin_token::AdminToken;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

async fn administered() -> World {
    World::new(&[], &[], |shared| shared.directory.admin = Some(AdminToken::new(TOKEN).unwrap())).await
}

async fn operate(world: &World, method: Method, path: &str, body: Option<Value>) -> Answer {
    ask(world, method, &format!("/v1/admin{path}"), &[("authorization", &format!("Bearer {TOKEN}"))], body).await
}

const ROUTES: [(Method, &str); 8] = [
    (Method::GET, "/v1/admin/stats"),
    (Method::GET, "/v1/admin/audit"),
    (Method::DELETE, "/v1/admin/brake"),
    (Method::PUT, "/v1/admin/drain"),
    (Method::GET, "/v1/admin/nodes/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"),
    (Method::DELETE, "/v1/admin/nodes/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"),
    (Method::PUT, "/v1/admin/nodes/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA/drain"),
    (Method::DELETE, "/v1/admin/bans/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"),
];

#[tokio::test]
async fn administration_is_closed_unless_it_is_opened() {
    let closed = World::built().await;
    let open = administered().await;
    let client = Client::known(&open, 7).await;
    for (method, path) in ROUTES {
        for headers in [vec![], vec![("authorization", "Bearer "), ("origin", "https://page.example")]] {
            let refused = ask(&closed, method.clone(), path, &headers, None).await.expect(StatusCode::FORBIDDEN);
            assert_eq!(refused.code(), "ADMIN_OFF");
        }
        let wrong = format!("Bearer {}", TOKEN.to_uppercase());
        for authorization in ["", "Bearer", "Bearer ", &wrong, &TOKEN[..31], &client.authorization] {
            let headers = [("authorization", authorization), ("origin", "https://page.example")];
            let refused = ask(&open, method.clone(), path, &headers, None).await.expect(StatusCode::UNAUTHORIZED);
            assert_eq!(refused.code(), "ADMIN_TOKEN");
            assert_eq!(refused.headers.text("access-control-allow-origin"), "");
        }
    }
    assert!(open.shared.phase.is_ready(), "nothing was done");
}

#[tokio::test]
async fn an_operator_sees_evicts_bans_and_lets_back() {
    let world = administered().await;
    let client = Client::registered(&world, 7, &["chess"]).await;
    let peer = client.peer();
    let stats = operate(&world, Method::GET, "/stats", None).await.expect(StatusCode::OK).json();
    assert_eq!((stats["nodes"]["active"].as_u64(), stats["isDatabaseUp"].as_bool()), (Some(1), Some(true)));
    let node = operate(&world, Method::GET, &format!("/nodes/{peer}"), None).await.expect(StatusCode::OK).json();
    assert_eq!(
        (node["node"]["peerId"].as_str(), node["isWithheld"].as_bool()),
        (Some(peer.to_string().as_str()), Some(false))
    );

    operate(&world, Method::PUT, &format!("/nodes/{peer}/drain"), None).await.expect(StatusCode::NO_CONTENT);
    get(&world, &client.own_path()).await.expect(StatusCode::NOT_FOUND);
    assert_eq!(get(&world, "/v1/services/chess").await.json(), json!({ "services": [] }));
    operate(&world, Method::DELETE, &format!("/nodes/{peer}/drain"), None).await.expect(StatusCode::NO_CONTENT);
    get(&world, &client.own_path()).await.expect(StatusCode::OK);

    operate(&world, Method::DELETE, &format!("/nodes/{peer}"), None).await.expect(StatusCode::NO_CONTENT);
    client.put(&world, &client.own_path(), json!({})).await.expect(StatusCode::CREATED);

    operate(&world, Method::PUT, &format!("/bans/{peer}"), Some(json!({}))).await.expect(StatusCode::NO_CONTENT);
    let ended = client.put(&world, &client.own_path(), json!({})).await.expect(StatusCode::UNAUTHORIZED);
    assert_eq!(ended.code(), "SESSION_ENDED");
    let node = operate(&world, Method::GET, &format!("/nodes/{peer}"), None).await.expect(StatusCode::OK).json();
    assert_eq!(node["bannedUntil"].as_u64(), Some((1 << 53) - 1));
    operate(&world, Method::DELETE, &format!("/bans/{peer}"), None).await.expect(StatusCode::NO_CONTENT);
    operate(&world, Method::DELETE, &format!("/bans/{peer}"), None).await.expect(StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_banned_peer_can_prove_its_key_and_do_nothing_with_it() {
    let world = administered().await;
    let peer = Keypair::ed25519_from_bytes([7; 32]).unwrap().public().to_peer_id();
    operate(&world, Method::PUT, &format!("/bans/{peer}"), Some(json!({}))).await.expect(StatusCode::NO_CONTENT);
    // What was issued within the second of the ban is taken back with the rest, so the clock has to move on.
    while world.shared.directory.issuer.is_ended(&crate::directory::identity::Session {
        peer,
        id: String::new(),
        since: clock::millis(),
    }) {
        tokio::task::yield_now().await;
    }
    let client = Client::known(&world, 7).await;
    for (method, path) in [(Method::PUT, client.own_path()), (Method::POST, "/v1/tokens".to_owned())] {
        let refused = client.ask(&world, method, &path, Some(json!({}))).await.expect(StatusCode::FORBIDDEN);
        assert!(refused.json()["detail"].as_str().unwrap().contains("banned"));
    }
}

#[tokio::test]
async fn what_was_done_stands_in_the_audit_trail_newest_first() {
    let world = administered().await;
    let client = Client::registered(&world, 7, &[]).await;
    operate(&world, Method::DELETE, &format!("/nodes/{}", client.peer()), None).await.expect(StatusCode::NO_CONTENT);
    let trail = operate(&world, Method::GET, "/audit?limit=1", None).await.expect(StatusCode::OK).json();
    let line = &trail["lines"][0];
    assert_eq!((line["actor"].as_str(), line["action"].as_str()), (Some("operator"), Some("node:evict")));
    assert_eq!(line["subject"], client.peer().to_string());
    let path = format!("/audit?before={}", trail["next"].as_u64().unwrap());
    let older = operate(&world, Method::GET, &path, None).await.json();
    assert_eq!(
        (older["lines"][0]["action"].as_str(), older["lines"][0]["actor"].as_str()),
        (Some("node:register"), Some(client.peer().to_string().as_str()))
    );
}

#[tokio::test]
async fn draining_is_seen_by_load_balancers_and_taken_back() {
    let world = administered().await;
    for (method, status) in [(Method::PUT, StatusCode::SERVICE_UNAVAILABLE), (Method::DELETE, StatusCode::OK)] {
        operate(&world, method, "/drain", None).await.expect(StatusCode::NO_CONTENT);
        get(&world, "/readyz").await.expect(status);
        get(&world, "/v1/status").await.expect(StatusCode::OK);
    }
}
