//! `openred directory`: a directory from the outside, and its database where it lies.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::Path,
    thread,
};

use serde_json::Value;

use crate::support::{Done, PATIENCE, Process, Relay, openred, run, run_command, until};

fn directory(arguments: &[&str]) -> Done {
    run(&[&["directory"], arguments].concat(), b"")
}

/// A relay with a provider of "chess" that stands in its directory; the provider's peer id.
fn with_a_provider(data: &Path, more: &[&str]) -> (Relay, Process, String) {
    let relay = Relay::start(data, more);
    let about = ["--metadata", "title=Grandmaster", "--region", "eu", "--type", "game"];
    let provide = ["provide", "chess", "--json", "--echo", "--bootstrap", &relay.http];
    let provider = Process::start(&[&provide[..], &about].concat());
    let record: Value = serde_json::from_str(&provider.line()).unwrap();
    let peer = record["provider"].as_str().unwrap().to_owned();
    until("the provider is registered", || relay.get(&format!("/v1/nodes/{peer}")).status == 200);
    (relay, provider, peer)
}

#[test]
fn nodes_and_services_are_listed_shown_and_exported() {
    let home = tempfile::tempdir().unwrap();
    let (relay, _provider, peer) = with_a_provider(&home.path().join("data"), &[]);
    let at = ["--bootstrap", &relay.http];
    let ask = |arguments: &[&str]| directory(&[arguments, &at].concat());

    let nodes = ask(&["list", "--json", "--state", "active", "--region", "eu"]);
    assert_eq!(nodes.code, Some(0), "{}", nodes.err);
    assert_eq!(nodes.json()[0]["peerId"], peer.as_str());
    let table = ask(&["list"]);
    assert!(table.out.contains(&peer) && table.out.contains("active"), "{}", table.out);
    let services = ask(&["list", "--services", "--text", "grand", "--type", "game", "--json"]);
    assert_eq!(services.json()[0]["name"], "chess", "{}", services.err);
    let table = ask(&["list", "--services"]);
    assert!(table.out.contains("title=Grandmaster") && table.out.contains("type=game"), "{}", table.out);

    assert_eq!(ask(&["show", &peer, "--json"]).json()[0]["state"], "active");
    let shown = ask(&["show", &peer]);
    assert!(shown.out.contains("p2p-circuit") && shown.out.contains("active for"), "{}", shown.out);
    assert_eq!(ask(&["show", "chess", "--json"]).json()[0]["provider"], peer.as_str());
    assert_eq!(ask(&["show", &format!("chess@{peer}")]).code, Some(0));

    let kinds = |lines: Vec<Value>| -> Vec<String> {
        lines.iter().map(|line| line["kind"].as_str().unwrap().to_owned()).collect()
    };
    let exported = ask(&["export"]);
    assert_eq!((exported.code, kinds(exported.json())), (Some(0), vec!["node".to_owned(), "service".to_owned()]));
    let file = home.path().join("export.jsonl");
    let done = ask(&["export", "--output", file.to_str().unwrap()]);
    assert!(done.code == Some(0) && done.out.is_empty() && done.err.contains("1 node and 1 service"), "{}", done.err);
    assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), 2);
    relay.process.stop();
}

#[test]
fn what_is_wrong_or_missing_is_named_and_has_its_exit_code() {
    let home = tempfile::tempdir().unwrap();
    let token = "0123456789abcdef0123456789abcdef";
    let file = home.path().join("token");
    fs::write(&file, token).unwrap();
    let relay = Relay::start(&home.path().join("data"), &["--admin-token-file", file.to_str().unwrap()]);
    let nobody = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";
    let at = ["--bootstrap", &relay.http];
    for (arguments, code, words) in [
        (&["list"][..], 1, "no nodes"),
        (&["list", "--services", "--text", "nothing"], 1, "no services"),
        (&["show", nobody], 1, "not registered"),
        (&["show", "chess"], 1, "nobody who offers `chess`"),
        (&["list", "--state", "sleepy"], 2, "--state: `sleepy`"),
        (&["list", "--text", "x"], 2, "add --services"),
        (&["list", "--services", "--state", "active"], 2, "leave --services out"),
        (&["show", "Not A Name"], 2, "NAME-OR-PEER"),
        (&["show", &nobody[..40]], 2, "this is no peer id"),
        (&["list", "--limit", "many"], 2, "--limit"),
        (&["frobnicate"], 2, "frobnicate"),
    ] {
        let done = directory(&[arguments, if code == 2 { &[] } else { &at }].concat());
        assert_eq!(done.code, Some(code), "{arguments:?}: {}", done.err);
        assert!(done.err.contains(words), "{arguments:?}: {}", done.err);
    }
    let closed = directory(&["list", "--bootstrap", "127.0.0.1:1", "--bootstrap", "127.0.0.1:2"]);
    assert_eq!(closed.code, Some(3), "{}", closed.err);
    assert!(closed.err.contains("127.0.0.1:1") && closed.err.contains("127.0.0.1:2"), "{}", closed.err);
    let second = directory(&["list", "--bootstrap", "127.0.0.1:1", "--bootstrap", &relay.http]);
    assert_eq!(second.code, Some(1), "the second one answers: {}", second.err);
    let elsewhere = directory(&["list", "--bootstrap", &relay.metrics]);
    assert!(elsewhere.code == Some(1) && elsewhere.err.contains("the metrics stand at /metrics"), "{}", elsewhere.err);

    let peer = &relay.peer;
    let show = ["directory", "show", peer, "--bootstrap", &relay.http];
    let mut command = openred(&show);
    let done = run_command(command.env("OPENRED_ADMIN_TOKEN", "another token, not the relay's".replace(' ', "-")), b"");
    assert!(done.code == Some(1) && done.err.contains("operator's token"), "{}", done.err);
    assert!(done.err.contains(&relay.http) && done.err.contains("OPENRED_ADMIN_TOKEN"), "{}", done.err);
    let wrong = home.path().join("wrong");
    fs::write(&wrong, "another-token,-not-the-relay's").unwrap();
    let done = run(&[&show[..], &["--admin-token-file", wrong.to_str().unwrap()]].concat(), b"");
    let named = format!("refused the token in `{}` (--admin-token-file)", wrong.display());
    assert!(done.code == Some(1) && done.err.contains(&named), "{}", done.err);
    let done = run(&[&show[..], &["--admin-token-file", file.to_str().unwrap()]].concat(), b"");
    assert!(done.code == Some(1) && done.err.contains("not registered"), "{}", done.err);
    let strangers = ["--bootstrap", "127.0.0.1:1", "--admin-token-file", file.to_str().unwrap()];
    let done = run(&[&show[..], &strangers].concat(), b"");
    assert!(done.code == Some(2) && done.err.contains("give one --bootstrap"), "{}", done.err);
    relay.process.stop();
}

#[test]
fn a_node_that_speaks_http_only_is_registered_found_and_heard() {
    let home = tempfile::tempdir().unwrap();
    let relay = Relay::start(&home.path().join("data"), &[]);
    let identity = home.path().join("node.key");
    let own = ["--identity", identity.to_str().unwrap(), "--bootstrap", &relay.http];
    let about = ["--name", "chess", "--type", "game", "--region", "eu", "--metadata", "title=Chess"];
    let address = "/dns/chess.example.org/tcp/443/tls/ws";
    let register = [&["register", "--address", address], &about[..], &own].concat();

    let heartbeat = directory(&[&["heartbeat"], &own[..]].concat());
    assert!(heartbeat.code == Some(1) && heartbeat.err.contains("directory register"), "{}", heartbeat.err);
    let done = directory(&[&register[..], &["--json"]].concat());
    assert_eq!(done.code, Some(0), "{}", done.err);
    let answer = &done.json()[0];
    let peer = answer["peerId"].as_str().unwrap().to_owned();
    assert_eq!(answer["state"], "active");
    let again = directory(&register);
    assert!(again.code == Some(0) && again.out.contains(&format!("{peer} is active")), "{}", again.err);
    assert!(again.err.contains("directory heartbeat --identity"), "{}", again.err);
    let heartbeat = directory(&[&["heartbeat", "--json"], &own[..]].concat());
    assert_eq!((heartbeat.code, heartbeat.json()[0]["state"].as_str()), (Some(0), Some("active")), "{}", heartbeat.err);

    let node = relay.get(&format!("/v1/nodes/{peer}")).json();
    assert_eq!((&node["region"], &node["addresses"]), (&"eu".into(), &serde_json::json!([address])));
    assert!(node["record"].is_string(), "its addresses are signed: {node}");
    let found = run(&["find", "chess", "--json", "--bootstrap", &relay.http], b"");
    let record = &found.json()[0];
    assert_eq!((&record["provider"], &record["layer"]), (&peer.as_str().into(), &"directory".into()), "{}", found.err);
    assert_eq!(record["metadata"], serde_json::json!({ "title": "Chess" }));

    let stranger = home.path().join("stranger.key");
    let other = ["--identity", stranger.to_str().unwrap(), "--bootstrap", &relay.http];
    for (arguments, code, words) in [
        (&["register", "--name", "chess"][..], 2, "--address is missing"),
        (&["register", "--address", address], 2, "--name is missing"),
        (
            &["register", "--name", "chess", "--address", "chess.example.org"],
            2,
            "/dns/chess.example.org/tcp/443/tls/ws",
        ),
        (&["register", "--name", "Two Words", "--address", address], 2, "two-words"),
    ] {
        let wrong = directory(&[arguments, &other].concat());
        assert_eq!(wrong.code, Some(code), "{arguments:?}: {}", wrong.err);
        assert!(wrong.err.contains(words), "{arguments:?}: {}", wrong.err);
    }
    assert!(!stranger.exists(), "who is refused has made no identity");
    let wrong = directory(&["heartbeat"]);
    assert!(wrong.code == Some(2) && wrong.err.contains("--identity is missing"), "{}", wrong.err);
    relay.process.stop();
    let closed = directory(&register);
    assert!(closed.code == Some(3) && closed.err.contains("openred relay"), "{}", closed.err);
}

/// Answers every GET with `body` for as long as the test runs; its URL.
fn answering(body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let head = BufReader::new(&stream).lines().map_while(Result::ok);
            head.take_while(|line| !line.is_empty()).for_each(drop);
            let length = body.len();
            // A client that has gone away is no matter.
            let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
        }
    });
    url
}

#[test]
fn a_list_that_does_not_get_on_ends() {
    let url = answering(r#"{"nodes":[],"services":[],"next":"AAAA"}"#);
    for arguments in [&["export"][..], &["list", "--limit", "0"], &["list", "--services"]] {
        let done = directory(&[arguments, &["--bootstrap", &url]].concat());
        assert_eq!(done.code, Some(1), "{}", done.err);
        assert!(done.err.contains(&format!("{url} does not get on with its list")), "{}", done.err);
    }
}

#[test]
fn a_snapshot_moves_a_directory_and_replaces_none_unless_told() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    let (relay, mut provider, peer) = with_a_provider(&home.path().join("old"), &[]);
    let snapshot = |arguments: &[&str]| directory(&[&["snapshot"], arguments].concat());
    let (file, old, new) = (path("directory.snapshot"), path("old"), path("new"));

    let taken = snapshot(&["take", &file, "--data", &old, "--json"]);
    assert_eq!(taken.code, Some(0), "{}", taken.err);
    assert!(taken.json()[0]["rows"].as_u64().unwrap() >= 2, "while its relay runs: {}", taken.out);
    let running = snapshot(&["restore", &file, "--data", &old, "--replace"]);
    assert!(
        running.code == Some(1) && running.err.contains("in use") && running.err.contains("stop it first"),
        "{}",
        running.err
    );
    provider.signal("KILL");
    provider.code(PATIENCE);
    relay.process.stop();

    let nothing = snapshot(&["take", &file, "--data", &new]);
    assert!(nothing.code == Some(1) && nothing.err.contains("holds no directory"), "{}", nothing.err);
    let restored = snapshot(&["restore", &file, "--data", &new]);
    assert_eq!(restored.code, Some(0), "{}", restored.err);
    let again = snapshot(&["restore", &file, "--data", &new]);
    assert!(again.code == Some(1) && again.err.contains("--replace"), "{}", again.err);
    assert_eq!(snapshot(&["restore", &file, "--data", &new, "--replace"]).code, Some(0));
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, &text[..text.len() / 2]).unwrap();
    let cut = snapshot(&["restore", &file, "--data", &new, "--replace"]);
    assert!(cut.code == Some(1) && cut.err.contains("nothing was changed"), "{}", cut.err);
    let leftovers: Vec<_> = fs::read_dir(&new).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!leftovers.iter().any(|name| name.to_string_lossy().ends_with("-wal")), "{leftovers:?}");

    let relay = Relay::start(&home.path().join("new"), &[]);
    let node = relay.get(&format!("/v1/nodes/{peer}"));
    assert_eq!((node.status, node.json()["services"].as_u64()), (200, Some(1)));
    relay.process.stop();
}
