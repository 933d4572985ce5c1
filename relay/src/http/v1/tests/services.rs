use std::collections::BTreeSet;

use openred_core::{bundle::Bundle, dht::key::Key};

use super::*;

fn names(page: &Value) -> Vec<&str> {
    page["services"].as_array().unwrap().iter().map(|service| service["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn what_is_published_is_found_by_name_and_by_word_with_its_proof() {
    let world = World::built().await;
    let client = Client::registered(&world, 7, &["chess", "go"]).await;
    let found = get(&world, "/v1/services/chess").await.expect(StatusCode::OK).json();
    let service = &found["services"][0];
    assert_eq!(
        (service["provider"].as_str(), service["state"].as_str()),
        (Some(client.peer().to_string().as_str()), Some("active"))
    );
    assert_eq!(service["layer"], "directory");
    let envelope = BASE64URL_NOPAD.decode(service["record"].as_str().unwrap().as_bytes()).unwrap();
    assert_eq!(SignedRecord::decode(&envelope).unwrap().record().provider, client.peer());

    for (query, expected) in [
        ("text=che", vec!["chess"]),
        ("text=the", vec!["chess", "go"]),
        ("text=nothing", vec![]),
        ("type=game", vec![]),
        ("limit=1", vec!["chess"]),
    ] {
        let page = get(&world, &format!("/v1/services?{query}")).await.expect(StatusCode::OK).json();
        assert_eq!(names(&page), expected, "{query}");
    }
    let first = get(&world, "/v1/services?limit=1").await.json();
    let path = format!("/v1/services?limit=1&cursor={}", first["next"].as_str().unwrap());
    assert_eq!(names(&get(&world, &path).await.json()), ["go"]);
    assert_eq!(get(&world, "/v1/services/nobody").await.expect(StatusCode::OK).json(), json!({ "services": [] }));
}

#[tokio::test]
async fn who_is_registered_is_in_the_bundle_that_finds_ask_for() {
    let world = World::built().await;
    let (alice, bob) =
        (Client::registered(&world, 7, &["chess"]).await, Client::registered(&world, 9, &["chess"]).await);
    let now = openred_core::Now { elapsed: std::time::Duration::ZERO, unix_ms: clock::millis() };
    let network = "main".parse().unwrap();
    let (chess, peer) = ("chess".parse().unwrap(), alice.peer());
    for (path, key, expected) in [
        ("chess".to_owned(), Key::service(&network, &chess), vec![alice.peer(), bob.peer()]),
        (format!("chess@{peer}"), Key::service_of(&network, &chess, &peer), vec![alice.peer()]),
    ] {
        let answer = get(&world, &format!("/v1/bundles/{path}")).await.expect(StatusCode::OK);
        let (bundle, rejected) = Bundle::decode(&key, &answer.body, now).unwrap();
        assert_eq!(rejected, []);
        let providers: BTreeSet<_> = bundle.live(now).map(|record| record.record().provider).collect();
        assert_eq!(providers, expected.into_iter().collect(), "{path}");
    }
    alice.ask(&world, Method::POST, &format!("{}/drain", alice.own_path()), None).await.expect(StatusCode::OK);
    let answer = get(&world, &format!("/v1/bundles/chess@{peer}")).await.expect(StatusCode::OK);
    assert_eq!(answer.body, b"", "who is about to stop is not named");
}

#[tokio::test]
async fn records_prove_themselves_whoever_brings_them() {
    let world = World::built().await;
    let client = Client::registered(&world, 7, &[]).await;
    let stranger = Client::known(&world, 9).await;
    let chess = client.record("chess");
    let mut forged = chess.envelope().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let records = json!({ "records": [
        encoded(&chess), encoded(&chess), BASE64URL_NOPAD.encode(&forged), encoded(&stranger.record("chess")), "!", "AAAA",
    ] });
    let answer = ask(&world, Method::POST, "/v1/services", &[], Some(records)).await.expect(StatusCode::OK).json();
    let results = answer["results"].as_array().unwrap();
    let accepted: Vec<_> = results.iter().map(|result| result["accepted"].as_bool().unwrap()).collect();
    assert_eq!(accepted, [true, true, false, false, false, false], "{answer}");
    let codes: Vec<_> = results.iter().skip(2).map(|result| result["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["REFUSED", "NOT_FOUND", "BASE64_INVALID", "REFUSED"]);

    let withdrawal = chess.record().withdrawal(clock::millis()).sign(&client.key).unwrap();
    let publish = |record: &SignedRecord| json!({ "records": [encoded(record)] });
    let done = ask(&world, Method::POST, "/v1/services", &[], Some(publish(&withdrawal))).await.json();
    assert_eq!(done["results"][0]["accepted"], true);
    assert_eq!(get(&world, "/v1/services/chess").await.json(), json!({ "services": [] }));
    let replayed = ask(&world, Method::POST, "/v1/services", &[], Some(publish(&chess))).await.json();
    assert_eq!(replayed["results"][0]["accepted"], false, "what was withdrawn does not come back");
}

#[tokio::test]
async fn records_out_of_time_are_refused_with_a_reason() {
    let world = World::built().await;
    let client = Client::registered(&world, 7, &[]).await;
    let hour = 3_600_000;
    for (issued, word) in [(clock::millis() - 3 * hour, "expired"), (clock::millis() + hour, "future")] {
        let record = Record::new("chess".parse().unwrap(), client.peer(), issued).sign(&client.key).unwrap();
        let answer =
            ask(&world, Method::POST, "/v1/services", &[], Some(json!({ "records": [encoded(&record)] }))).await;
        let result = &answer.json()["results"][0];
        assert!(result["detail"].as_str().unwrap().contains(word), "{result}");
    }
}
