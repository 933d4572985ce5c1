use axum::body::BodyDataStream;
use futures::StreamExt;
use tower::ServiceExt;

use super::*;

/// The events of a stream, one after the other.
struct Events {
    body: BodyDataStream,
    text: String,
}

impl Events {
    async fn open(world: &World, query: &str, last: Option<&str>) -> Self {
        let mut request = Request::get(format!("/v1/watch{query}")).header("host", HOST);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = world.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { body: response.into_body().into_data_stream(), text: String::new() }
    }

    /// The next event: its name, its id and its data. None when the stream has ended.
    async fn next(&mut self) -> Option<(String, String, Value)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field =
                    |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned();
                let found = (field("event: "), field("id: "), field("data: "));
                self.text = rest.to_owned();
                if !found.2.is_empty() {
                    return Some((found.0, found.1, serde_json::from_str(&found.2).unwrap()));
                }
                continue;
            }
            let chunk = self.body.next().await?.unwrap();
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}

#[tokio::test]
async fn changes_come_as_they_happen_and_again_from_where_a_client_left_off() {
    let world = World::built().await;
    let mut live = Events::open(&world, "", None).await;
    let client = Client::registered(&world, 7, &["chess"]).await;
    let (kind, first, data) = live.next().await.unwrap();
    assert_eq!((kind.as_str(), data["peerId"].as_str()), ("node:registered", Some(client.peer().to_string().as_str())));
    let (kind, second, data) = live.next().await.unwrap();
    assert_eq!((kind.as_str(), data["name"].as_str()), ("service:published", Some("chess")));
    assert!(second.parse::<u64>().unwrap() > first.parse().unwrap());

    let mut resumed = Events::open(&world, "", Some(&first)).await;
    assert_eq!(resumed.next().await.unwrap().1, second);
    let mut filtered = Events::open(&world, "?after=0&name=chess", None).await;
    assert_eq!(filtered.next().await.unwrap().0, "service:published");
}

#[tokio::test]
async fn a_stream_has_a_place_until_it_is_dropped_and_ends_when_the_relay_drains() {
    let world = World::new(&[], &[], |shared| {
        let limits = crate::http::gateway::Limits { rate: None, watchers: 1, ..Default::default() };
        shared.gateway = std::sync::Arc::new(crate::http::gateway::Gateway::new(limits));
    })
    .await;
    let mut events = Events::open(&world, "?after=0", None).await;
    let refused = get(&world, "/v1/watch").await.expect(StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!((refused.code().as_str(), refused.headers.text("retry-after")), ("OVERLOADED", "1"));
    Client::registered(&world, 7, &[]).await;
    events.next().await.unwrap();
    world.shared.phase.set_draining();
    Client::registered(&world, 8, &[]).await;
    while events.next().await.is_some() {}
    drop(events);
    world.shared.phase.set_ready();
    Events::open(&world, "", None).await;
}

#[tokio::test]
async fn a_wrong_place_is_named() {
    let world = World::built().await;
    for headers in [[("last-event-id", "x")], [("last-event-id", "-1")]] {
        let refused = ask(&world, Method::GET, "/v1/watch", &headers, None).await.expect(StatusCode::BAD_REQUEST);
        assert_eq!(refused.code(), "CURSOR_INVALID");
    }
}
