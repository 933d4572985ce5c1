use super::*;

async fn raw(world: &World, method: &str, path: &str, content_type: &str, body: impl Into<Body>) -> Answer {
    let request = Request::builder().method(method).uri(path).header("host", HOST).header("content-type", content_type);
    let (status, headers, body) = world.send(request.body(body.into()).unwrap()).await;
    Answer { status, headers, body }
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_refused_with_a_reason() {
    let world = World::built().await;
    let deep = format!("{{\"heartbeats\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let large = format!("{{\"heartbeats\":[{}]}}", " ".repeat(300 * 1024));
    let json_type = "application/json";
    for (content_type, body, status, code) in [
        (json_type, "", StatusCode::BAD_REQUEST, "BODY_INVALID"),
        (json_type, "{", StatusCode::BAD_REQUEST, "BODY_INVALID"),
        (json_type, "[]", StatusCode::BAD_REQUEST, "BODY_INVALID"),
        (json_type, "{\"heartbeats\":[],\"more\":1}", StatusCode::BAD_REQUEST, "BODY_INVALID"),
        (
            json_type,
            "{\"heartbeats\":[{\"peerId\":\"x\",\"at\":-1,\"signature\":\"\"}]}",
            StatusCode::BAD_REQUEST,
            "BODY_INVALID",
        ),
        (json_type, deep.as_str(), StatusCode::BAD_REQUEST, "BODY_INVALID"),
        (json_type, large.as_str(), StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE"),
        ("text/plain", "{\"heartbeats\":[]}", StatusCode::UNSUPPORTED_MEDIA_TYPE, "BODY_TYPE"),
    ] {
        let refused = raw(&world, "POST", "/v1/heartbeats", content_type, body.to_owned()).await.expect(status);
        assert_eq!(refused.code(), code);
        assert!(refused.json()["detail"].as_str().unwrap().len() > 10);
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_body_is_told_in_the_words_of_json() {
    let world = World::built().await;
    for (body, expected) in [
        ("[]", "not what belongs here: invalid length 0, expected an object at line 1 column 2"),
        ("1", "expected an object"),
        ("{\"heartbeats\":1}", "heartbeats: invalid type: integer `1`, expected a list"),
        (
            "{\"heartbeats\":[{\"peerId\":\"\",\"at\":-1,\"signature\":\"\"}]}",
            "heartbeats[0].at: invalid value: integer `-1`",
        ),
        ("{\"heartbeats\":[{\"at\":\"x, expected struct Y\"}]}", "expected a whole number of at least 0"),
        ("{\"heartbeats\":", "EOF while parsing"),
    ] {
        let refused =
            raw(&world, "POST", "/v1/heartbeats", "application/json", body).await.expect(StatusCode::BAD_REQUEST);
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(expected), "{detail}");
        assert!(!detail.contains("Heartbeats") && !detail.contains("u64"), "{detail}");
    }
}

#[tokio::test]
async fn what_would_hurt_a_database_or_a_log_is_only_text() {
    let world = World::built().await;
    let client = Client::known(&world, 7).await;
    let evil = "'; DROP TABLE nodes; --\r\n\u{1b}[31m";
    let metadata = json!({ "title": evil, "\" OR 1=1": "x" });
    let answer = client.put(&world, &client.own_path(), json!({ "region": "eu", "metadata": metadata })).await;
    // Control characters may be refused; what is taken comes back as it was.
    if answer.status == StatusCode::CREATED {
        assert_eq!(get(&world, &client.own_path()).await.json()["metadata"], metadata);
    } else {
        answer.expect(StatusCode::UNPROCESSABLE_ENTITY);
    }
    let quoted = "%27%20OR%201%3D1%3B--%22%00%25_%2A";
    for path in [
        format!("/v1/services?text={quoted}&type={quoted}&region={quoted}&cluster={quoted}"),
        format!("/v1/nodes?region={quoted}"),
        "/v1/services?text=a*%20OR%20b%20NEAR%20c%20NOT%20d".to_owned(),
    ] {
        let answer = get(&world, &path).await.expect(StatusCode::OK).json();
        let items = answer["services"].as_array().or(answer["nodes"].as_array()).unwrap();
        assert!(items.is_empty(), "{path}: {answer}");
    }
    for path in
        ["/v1/nodes/%27%3B--", "/v1/nodes/..%2F..%2Fetc", "/v1/nodes/%FF", "/v1/services/%00", "/v1/nodes?cursor=%27"]
    {
        get(&world, path).await.expect(StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn wrong_questions_name_what_is_wrong() {
    let world = World::built().await;
    for (path, code) in [
        ("/v1/nodes?limit=x", "QUERY_INVALID"),
        ("/v1/nodes?limit=-1", "QUERY_INVALID"),
        ("/v1/nodes?unknown=1", "QUERY_INVALID"),
        ("/v1/nodes?state=sleepy", "STATE_INVALID"),
        ("/v1/nodes?cursor=AAAA", "CURSOR_INVALID"),
        ("/v1/services?cursor=AAAA", "CURSOR_INVALID"),
        ("/v1/nodes/nobody", "PEER_INVALID"),
        ("/v1/services/UPPER", "INVALID_NAME"),
    ] {
        assert_eq!(get(&world, path).await.expect(StatusCode::BAD_REQUEST).code(), code, "{path}");
    }
    for (path, expected) in [
        ("/v1/nodes?limit=x", "the parameter `limit` is a whole number of at least 0, such as limit=10"),
        ("/v1/nodes?limit=", "the parameter `limit` is a whole number"),
        ("/v1/nodes?limit=99999999999999999999999", "the parameter `limit` is too large a number"),
        ("/v1/nodes?sort=name", "the query has no parameter `sort` here; these there are: `region`, `state`, `limit`"),
        ("/v1/bootstrap?regoin=eu", "the query has no parameter `regoin` here; these there are: `region`"),
        ("/v1/nodes?limit=1&limit=2", "the parameter `limit` stands twice"),
    ] {
        let refused = get(&world, path).await.expect(StatusCode::BAD_REQUEST).json();
        let detail = refused["detail"].as_str().unwrap();
        assert!(detail.starts_with(expected) && !detail.contains("field"), "{path}: {detail}");
    }
    // No limit makes a page larger than pages are.
    get(&world, "/v1/nodes?limit=1000000").await.expect(StatusCode::OK);
    let wrong_method = ask(&world, Method::PATCH, "/v1/nodes", &[], None).await.expect(StatusCode::METHOD_NOT_ALLOWED);
    assert!(wrong_method.headers.text("allow").contains("GET"));
}

#[tokio::test]
async fn nobody_learns_who_is_withheld_or_banned_or_what_went_wrong_inside() {
    let world = World::built().await;
    let client = Client::registered(&world, 7, &["chess"]).await;
    world.shared.directory.registry.withhold(client.peer(), true).await.unwrap();
    let stranger = Keypair::ed25519_from_bytes([9; 32]).unwrap().public().to_peer_id();
    let (hidden, absent) = (get(&world, &client.own_path()).await, get(&world, &format!("/v1/nodes/{stranger}")).await);
    let text =
        |answer: &Answer, peer: PeerId| String::from_utf8(answer.body.clone()).unwrap().replace(&peer.to_string(), "P");
    assert_eq!(text(&hidden, client.peer()), text(&absent, stranger));
    assert_eq!(get(&world, "/v1/nodes").await.json()["nodes"], json!([]));
    assert_eq!(get(&world, "/v1/services").await.json()["services"], json!([]));
}

/// Every operation of the relay's own description, with what belongs there and what does not: nothing fails inside.
#[tokio::test]
async fn no_operation_fails_inside_whatever_it_is_given() {
    let world = World::built().await;
    let client = Client::registered(&world, 7, &["chess"]).await;
    let document = get(&world, "/openapi.json").await.json();
    let texts = [
        "",
        "0",
        "-1",
        "null",
        "%00",
        "%F0%9F%92%A5",
        "..",
        "a%0d%0ab",
        "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA",
    ];
    let bodies = [
        json!(null),
        json!([]),
        json!({}),
        json!("x"),
        json!({ "records": [1] }),
        json!({ "token": "" }),
        json!({ "peerId": "" }),
        json!({ "services": [""] }),
        json!({ "record": "AA" }),
        json!({ "heartbeats": [{}] }),
        json!({ "until": -1 }),
        json!({ "audience": "\u{0}" }),
        json!({ "region": "x".repeat(1000) }),
    ];
    let mut asked = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if path == "/v1/watch" {
                continue;
            }
            let method: Method = method.to_uppercase().parse().unwrap();
            for text in texts {
                let mut target = path.clone();
                while let (Some(from), Some(to)) = (target.find('{'), target.find('}')) {
                    target.replace_range(from..=to, if text.is_empty() { "x" } else { text });
                }
                let queries = operation["parameters"].as_array().into_iter().flatten().filter(|p| p["in"] == "query");
                let query: Vec<_> = queries.map(|p| format!("{}={text}", p["name"].as_str().unwrap())).collect();
                if !query.is_empty() {
                    target = format!("{target}?{}", query.join("&"));
                }
                let body = if operation["requestBody"].is_object() { &bodies[..] } else { &[Value::Null] };
                for body in body {
                    let body = operation["requestBody"].is_object().then(|| body.clone());
                    let answer = client.ask(&world, method.clone(), &target, body).await;
                    assert!(!answer.status.is_server_error(), "{method} {target}: {}", answer.status);
                    if answer.status.is_client_error() {
                        answer.code();
                    }
                    asked += 1;
                }
            }
        }
    }
    assert!(asked > 300, "{asked}");
}
