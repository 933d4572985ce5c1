//! The directory of a real relay: its options, its log, and what outlives a restart.

use std::{fs, thread};

use serde_json::Value;

use crate::{
    postgres::Server,
    support::{Relay, get, openred},
};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn administration_opens_with_a_token_from_a_file_or_a_variable() {
    let bearer = format!("authorization: Bearer {TOKEN}");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    fs::write(&file, format!("{TOKEN}\n")).unwrap();
    for is_file in [true, false] {
        let data = tempfile::tempdir().unwrap();
        let own =
            ["relay", "--http", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--data", data.path().to_str().unwrap()];
        let mut command = openred(&own);
        if is_file {
            command.env("OPENRED_ADMIN_TOKEN_FILE", &file);
        } else {
            command.env("OPENRED_ADMIN_TOKEN", TOKEN);
        }
        let relay = Relay::spawn(&mut command);
        let stats = get(&relay.http, "/v1/admin/stats", &[&bearer]);
        assert_eq!((stats.status, stats.json()["peerId"].as_str()), (200, Some(relay.peer.as_str())));
        assert_eq!(get(&relay.http, "/v1/admin/stats", &[]).status, 401);
        assert!(!relay.process.log().contains(TOKEN));
        relay.process.stop();
    }
    let data = tempfile::tempdir().unwrap();
    let relay = Relay::start(data.path(), &[]);
    assert_eq!(get(&relay.http, "/v1/admin/stats", &[&bearer]).status, 403);
    relay.process.stop();
}

#[test]
fn the_log_is_one_object_a_line_with_the_ids_of_requests() {
    let data = tempfile::tempdir().unwrap();
    let own = ["relay", "--http", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--data", data.path().to_str().unwrap()];
    let mut command = openred(&[&own[..], &["--log-format", "json"]].concat());
    let relay = Relay::spawn(command.env("OPENRED_LOG", "openred=info,openred::request=debug"));
    let answer = get(&relay.http, "/v1/nodes/no%0D%0A-body?x=%22", &[]);
    let id = answer.header("x-request-id").unwrap().to_owned();
    relay.process.wait_log(&id);
    let log = relay.process.log();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}")))
        .collect();
    let line = lines.iter().find(|line| line["span"]["id"] == id.as_str()).expect("a line of the request");
    assert_eq!((line["target"].as_str(), line["status"].as_u64()), (Some("openred::request"), Some(400)));
    assert_eq!((line["route"].as_str(), line["client"].as_str()), (Some("/v1/nodes/{peerId}"), Some("127.0.0.1")));
    assert!(!log.contains("-body"), "what a client writes stays out of the log");
    relay.process.stop();
}

#[test]
fn keys_that_sign_tokens_outlive_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let keys = || {
        let relay = Relay::start(data.path(), &[]);
        let keys = relay.get("/.well-known/jwks.json").json();
        relay.process.stop();
        keys
    };
    let first = keys();
    assert_eq!(first["keys"].as_array().unwrap().len(), 1);
    assert_eq!(keys(), first);
}

#[test]
fn people_read_the_api_on_a_page_of_the_relays_own() {
    let data = tempfile::tempdir().unwrap();
    let relay = Relay::start(data.path(), &[]);
    let page = relay.get("/docs/");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self'"), "{policy}");
    assert!(!page.text().contains("://"), "nothing is loaded from elsewhere");
    assert_eq!(relay.get("/docs/docs.js").header("content-type"), Some("text/javascript"));
    assert_eq!(relay.get("/docs").header("location"), Some("docs/"));
    relay.process.stop();
}

#[test]
fn relays_that_start_at_once_on_one_new_database_share_one_directory() {
    let server = Server::start();
    let url = server.database("directory");
    let data: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let relays: Vec<Relay> = thread::scope(|scope| {
        let starting = data.iter().map(|data| scope.spawn(|| Relay::start(data.path(), &["--database", &url])));
        starting.collect::<Vec<_>>().into_iter().map(|relay| relay.join().unwrap()).collect()
    });
    for relay in relays {
        assert_eq!(relay.get("/v1/nodes").json()["nodes"], serde_json::json!([]));
        assert!(!relay.process.log().contains("ERROR"), "{}", relay.process.log());
        relay.process.stop();
    }
}
