use std::sync::Arc;

use axum::extract::ConnectInfo;
use tower::ServiceExt;

use super::*;
use crate::{
    directory::breaker::{FAILURES, LONGEST, SHORTEST},
    http::gateway::{Gateway, Limits, REQUEST_TIME},
};

/// A relay with a rate limit, in a time that stands still, so that no allowance comes back.
async fn limited(rate: u32) -> World {
    let world = World::new(&[], &[], |shared| {
        shared.gateway = Arc::new(Gateway::new(Limits { rate: Some(rate), ..Limits::default() }));
    })
    .await;
    tokio::time::pause();
    world
}

async fn from(world: &World, address: &str, path: &str, authorization: &str) -> Answer {
    let address: std::net::SocketAddr = address.parse().unwrap();
    let mut request = Request::get(path).header("host", HOST).extension(ConnectInfo(address));
    if !authorization.is_empty() {
        request = request.header("authorization", authorization);
    }
    let (status, headers, body) = world.send(request.body(Body::empty()).unwrap()).await;
    Answer { status, headers, body }
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_back() {
    let world = limited(1).await;
    for _ in 0..4 {
        from(&world, "192.0.2.1:1", "/v1/status", "").await.expect(StatusCode::OK);
    }
    let refused = from(&world, "192.0.2.1:2", "/v1/status", "").await.expect(StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.code(), "RATE_LIMITED");
    assert_eq!(refused.headers.text("retry-after"), "1");
    assert_eq!(refused.headers.text("access-control-allow-origin"), "*", "pages see why");
    from(&world, "192.0.2.2:1", "/v1/status", "").await.expect(StatusCode::OK);
    for path in ["/", "/healthz", "/bootstrap.json", "/v1/bundles/chess"] {
        for _ in 0..10 {
            from(&world, "192.0.2.1:1", path, "").await.expect(StatusCode::OK);
        }
    }
}

#[tokio::test]
async fn a_flood_is_turned_away_before_any_signature_is_looked_at() {
    let world = limited(1).await;
    let token = format!("Bearer {}", "e30.e30.AAAA");
    from(&world, "192.0.2.1:1", "/v1/auth", &token).await.expect(StatusCode::UNAUTHORIZED);
    from(&world, "192.0.2.1:1", "/v1/auth", &token).await.expect(StatusCode::TOO_MANY_REQUESTS);
    // One credential from many addresses is one client.
    for last in 2..12 {
        let address = format!("192.0.2.{last}:1");
        from(&world, &address, "/v1/auth", &token).await.expect(StatusCode::TOO_MANY_REQUESTS);
    }
    from(&world, "192.0.2.20:1", "/v1/auth", "Bearer another").await.expect(StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn too_much_at_a_time_is_shed_and_answers_stay_readable() {
    let world = World::new(&[], &[], |shared| {
        shared.gateway = Arc::new(Gateway::new(Limits { rate: None, in_flight: 1, watchers: 1 }));
    })
    .await;
    let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
    let body = Body::from_stream(futures::stream::once(async move {
        let _ = receiver.await;
        Ok::<_, std::convert::Infallible>("{}")
    }));
    let request = Request::post("/v1/heartbeats").header("content-type", "application/json").body(body).unwrap();
    let slow = tokio::spawn(world.router.clone().oneshot(request));
    while world.shared.gateway.figures().in_flight == 0 {
        tokio::task::yield_now().await;
    }
    let refused = get(&world, "/v1/status").await.expect(StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.code(), "OVERLOADED");
    get(&world, "/healthz").await.expect(StatusCode::OK);
    sender.send(()).unwrap();
    assert_eq!(slow.await.unwrap().unwrap().status(), StatusCode::BAD_REQUEST);
    get(&world, "/v1/status").await.expect(StatusCode::OK);
}

#[tokio::test]
async fn a_body_that_never_ends_is_given_up() {
    let world = World::built().await;
    tokio::time::pause();
    let body = Body::from_stream(futures::stream::pending::<Result<&str, std::convert::Infallible>>());
    let request = Request::post("/v1/heartbeats").header("content-type", "application/json").body(body).unwrap();
    let started = tokio::time::Instant::now();
    let (status, headers, _) = world.send(request).await;
    assert_eq!((status, headers.text("content-type")), (StatusCode::REQUEST_TIMEOUT, "application/problem+json"));
    assert_eq!(started.elapsed().as_secs(), REQUEST_TIME.as_secs());
}

#[tokio::test]
async fn a_database_that_is_gone_costs_writes_only_and_is_used_again_when_it_is_back() {
    let world = World::built().await;
    let client = Client::registered(&world, 7, &["chess"]).await;
    let (file, away) = (world.database(), world.database().with_extension("away"));
    std::fs::rename(&file, &away).unwrap();
    for _ in 0..=FAILURES {
        let refused = client.put(&world, &client.own_path(), json!({})).await.expect(StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!((refused.code().as_str(), refused.headers.text("retry-after")), ("STORAGE", "2"));
        assert!(!String::from_utf8(refused.body).unwrap().contains("directory.db"));
    }
    get(&world, &client.own_path()).await.expect(StatusCode::OK);
    get(&world, "/v1/services/chess").await.expect(StatusCode::OK);
    let beat = client.ask(&world, Method::POST, &format!("{}/heartbeat", client.own_path()), None).await;
    beat.expect(StatusCode::OK);

    std::fs::rename(&away, &file).unwrap();
    // The breaker asks again after a time that doubled at most a few times by now.
    let until = std::time::Instant::now() + 2 * LONGEST;
    while client.put(&world, &client.own_path(), json!({})).await.status != StatusCode::OK {
        assert!(std::time::Instant::now() < until, "the database is not used again");
        tokio::time::sleep(SHORTEST / 4).await;
    }
}

#[tokio::test]
async fn pages_of_any_origin_may_ask_and_every_answer_has_an_id() {
    let world = World::built().await;
    let headers = [
        ("origin", "https://page.example"),
        ("access-control-request-method", "PUT"),
        ("access-control-request-headers", "authorization,content-type"),
    ];
    let preflight = ask(&world, Method::OPTIONS, "/v1/nodes/x", &headers, None).await.expect(StatusCode::OK);
    assert_eq!(preflight.headers.text("access-control-allow-origin"), "*");
    assert!(preflight.headers.text("access-control-allow-methods").contains("PUT"));
    assert!(preflight.headers.text("access-control-allow-headers").contains("authorization"));

    let (one, two) = (get(&world, "/v1/status").await, get(&world, "/v1/nothing").await);
    for answer in [&one, &two] {
        assert_eq!(answer.headers.text("x-request-id").len(), 16);
        assert_eq!(answer.headers.text("x-content-type-options"), "nosniff");
        assert_eq!(answer.headers.text("x-frame-options"), "SAMEORIGIN");
        assert!(answer.headers.text("content-security-policy").contains("default-src 'none'"));
    }
    assert_ne!(one.headers.text("x-request-id"), two.headers.text("x-request-id"));
}

#[tokio::test]
async fn large_answers_are_compressed_for_who_can_read_it() {
    let world = World::built().await;
    for seed in 10..14 {
        Client::registered(&world, seed, &[]).await;
    }
    let packed = ask(&world, Method::GET, "/v1/nodes", &[("accept-encoding", "gzip")], None).await;
    assert_eq!(packed.headers.text("content-encoding"), "gzip");
    let plain = get(&world, "/v1/nodes").await;
    assert!(packed.body.len() * 2 < plain.body.len(), "{} of {}", packed.body.len(), plain.body.len());
}

#[tokio::test]
async fn what_the_gateway_and_the_directory_count_stands_in_the_metrics() {
    let world = limited(1).await;
    for _ in 0..5 {
        from(&world, "192.0.2.1:1", "/v1/status", "").await;
    }
    let text = world.shared.metrics.render();
    for line in [
        "openred_http_refused_total{class=\"read\",reason=\"address\"} 1",
        "openred_http_requests_in_flight 0",
        "openred_directory_nodes{state=\"active\"} 0",
        "openred_directory_brake{cause=\"mass-silence\"} 0",
        "openred_directory_database_up 1",
        "openred_http_requests_total{route=\"/v1/status\",status=\"429\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}
