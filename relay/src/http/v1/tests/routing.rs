use openred_core::{dht::key::Key, name::NetworkName};

use super::*;

fn cid(name: &str) -> String {
    let key = Key::service(&NetworkName::default(), &name.parse().unwrap());
    multibase::encode(multibase::Base::Base32Lower, [&[1, 0x55], key.provider().as_slice()].concat())
}

#[tokio::test]
async fn providers_are_found_by_the_cid_of_a_service() {
    let world = World::built().await;
    let client = Client::registered(&world, 7, &["chess"]).await;
    let path = format!("/routing/v1/providers/{}", cid("chess"));
    let found = get(&world, &path).await.expect(StatusCode::OK);
    assert_eq!(found.headers.text("content-type"), "application/json");
    let provider = &found.json()["Providers"][0];
    assert_eq!(
        (provider["Schema"].as_str(), provider["ID"].as_str()),
        (Some("peer"), Some(client.peer().to_string().as_str()))
    );
    assert_eq!(provider["Addrs"], json!(["/ip4/192.0.2.7/tcp/4001/ws"]));

    let lines =
        ask(&world, Method::GET, &path, &[("accept", "application/x-ndjson, application/json;q=0.8")], None).await;
    assert_eq!(lines.headers.text("content-type"), "application/x-ndjson");
    let text = String::from_utf8(lines.body).unwrap();
    assert_eq!(text.lines().count(), 1);
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), *provider);

    // A service that is published later is found too.
    let later = Client::registered(&world, 8, &["go"]).await;
    let mut newest = world.shared.directory.registry.newest_change();
    let path = format!("/routing/v1/providers/{}", cid("go"));
    let found = loop {
        newest.mark_unchanged();
        let found = get(&world, &path).await.json();
        if found["Providers"][0]["ID"].is_string() {
            break found;
        }
        newest.changed().await.unwrap();
    };
    assert_eq!(found["Providers"][0]["ID"], later.peer().to_string());

    let none = get(&world, &format!("/routing/v1/providers/{}", cid("nobody"))).await.expect(StatusCode::OK);
    assert_eq!(none.json(), json!({ "Providers": [] }));
    assert!(none.headers.text("cache-control").contains("max-age=15"));
    let filtered = get(&world, &format!("{path}?filter-addrs=quic-v1")).await.json();
    assert_eq!(filtered, json!({ "Providers": [] }));
}

#[tokio::test]
async fn a_peer_is_found_by_its_id_in_every_form() {
    let world = World::built().await;
    let client = Client::registered(&world, 7, &[]).await;
    let as_cid =
        multibase::encode(multibase::Base::Base36Lower, [&[1, 0x72], client.peer().to_bytes().as_slice()].concat());
    for form in [client.peer().to_string(), as_cid] {
        let found = get(&world, &format!("/routing/v1/peers/{form}")).await.expect(StatusCode::OK).json();
        assert_eq!(found["Peers"][0]["ID"], client.peer().to_string());
    }
    for wrong in ["/routing/v1/peers/nobody", "/routing/v1/providers/nobody"] {
        assert_eq!(get(&world, wrong).await.expect(StatusCode::UNPROCESSABLE_ENTITY).code(), "CID_INVALID");
    }
}
