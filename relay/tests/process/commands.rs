//! The short-lived commands between real relays.

use std::{io::Write, net::TcpListener, time::Duration};

use serde_json::Value;

use crate::support::{Done, PATIENCE, Process, Relay, run, timed};

/// Two relays that know each other.
struct Net {
    first: Relay,
    second: Relay,
    _data: [tempfile::TempDir; 2],
}

impl Net {
    fn start() -> Self {
        let data = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let first = Relay::start(data[0].path(), &[]);
        let second = Relay::start(data[1].path(), &["--bootstrap", &first.http]);
        second.process.wait_log("state=\"ready\"");
        Self { first, second, _data: data }
    }

    /// Offers `name` at the first relay and waits until it is found; gives the process and the record it printed.
    fn provide(&self, name: &str, more: &[&str]) -> (Process, Value) {
        let process = Process::start(&[&["provide", name, "--json", "--bootstrap", &self.first.http], more].concat());
        let record = serde_json::from_str(&process.line()).unwrap();
        (process, record)
    }

    /// Runs a command at the second relay.
    fn ask(&self, arguments: &[&str], input: &[u8]) -> Done {
        run(&[arguments, &["--bootstrap", &self.second.http]].concat(), input)
    }
}

#[test]
fn what_is_provided_at_one_relay_is_found_and_opened_at_another() {
    let net = Net::start();
    let about =
        ["--echo", "--type", "game", "--metadata", "title=Chess, for two", "--region", "eu", "--cluster", "games"];
    let (mut provider, offered) = net.provide("chess", &about);

    let found = net.ask(&["find", "chess", "--json"], b"");
    assert_eq!(found.code, Some(0), "{}", found.err);
    let records = found.json();
    assert_eq!(records.len(), 1);
    let record = &records[0];
    assert_eq!((&record["name"], &record["provider"]), (&"chess".into(), &offered["provider"]));
    assert_eq!((&record["type"], &record["region"]), (&"game".into(), &"eu".into()));
    assert_eq!(record["metadata"], serde_json::json!({ "title": "Chess, for two" }));
    assert_eq!(record["clusters"], serde_json::json!(["games"]));
    assert_eq!(record["ttl"], 3_600_000);
    // The provider's relay has registered it, so either may be first.
    assert!(record["layer"] == "dht" || record["layer"] == "directory", "{record}");
    for field in ["sequence", "issuedAt", "ageMs"] {
        assert!(record[field].is_u64(), "{field} in {record}");
    }
    assert!(record["verdict"].is_string() && !record["endpoints"].as_array().unwrap().is_empty());

    let table = net.ask(&["find", "chess"], b"");
    assert!(table.out.contains(offered["provider"].as_str().unwrap()), "{}", table.out);

    let text = "a line\n".repeat(50_000);
    let echoed = net.ask(&["open", "chess"], text.as_bytes());
    assert_eq!((echoed.code, echoed.out.len()), (Some(0), text.len()), "{}", echoed.err);
    assert!(echoed.out == text);
    let target = format!("chess@{}", offered["provider"].as_str().unwrap());
    assert_eq!(net.ask(&["open", &target], b"hello\n").out, "hello\n");

    provider.signal("INT");
    assert_eq!(provider.code(PATIENCE), Some(0), "{}", provider.log());
    assert!(provider.log().contains("withdrew `chess`"), "{}", provider.log());
    let (gone, elapsed) = timed(|| net.ask(&["find", "chess", "--json"], b""));
    assert_eq!((gone.code, gone.out.as_str()), (Some(1), ""), "{}", gone.err);
    assert!(gone.err.contains("nobody offers `chess`"), "{}", gone.err);
    assert!(elapsed < Duration::from_secs(5), "{elapsed:?}");
}

#[test]
fn provide_and_open_join_their_standard_inputs_and_outputs() {
    let net = Net::start();
    let (mut provider, _) = net.provide("talk", &[]);
    provider.stdin.as_mut().unwrap().write_all(b"welcome\n").unwrap();
    let talk = net.ask(&["open", "talk"], b"hello from afar\n");
    assert_eq!((talk.code, talk.out.as_str()), (Some(0), "welcome\n"), "{}", talk.err);
    assert_eq!(provider.line(), "hello from afar");
    provider.signal("TERM");
    assert_eq!(provider.code(PATIENCE), Some(0), "{}", provider.log());
}

#[test]
fn a_service_that_nobody_offers_is_not_found_quickly() {
    let net = Net::start();
    for command in ["find", "open"] {
        let (missing, elapsed) = timed(|| net.ask(&[command, "nobody-has-this"], b""));
        assert_eq!((missing.code, missing.out.as_str()), (Some(1), ""), "{}", missing.err);
        assert!(missing.err.contains("nobody offers `nobody-has-this`"), "{}", missing.err);
        let certain = format!("nobody-has-this@{}", net.first.peer);
        let missing = net.ask(&[command, &certain], b"");
        assert_eq!(missing.code, Some(1), "{}", missing.err);
        assert!(missing.err.contains(&format!("nobody offers `{certain}`; compare the peer id")), "{}", missing.err);
        assert!(elapsed < Duration::from_secs(5), "{command} took {elapsed:?}");
    }
}

#[test]
fn no_network_has_a_code_of_its_own() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (failed, elapsed) = timed(|| run(&["find", "x", "--bootstrap", &closed, "--timeout", "2s"], b""));
    assert_eq!(failed.code, Some(3), "{}", failed.err);
    assert!(failed.err.contains(&closed) && failed.err.contains("start one with `openred relay`"), "{}", failed.err);
    assert!(elapsed < Duration::from_secs(6), "{elapsed:?}");

    let directory = tempfile::tempdir().unwrap();
    let relay = Relay::start(directory.path(), &["--network", "other"]);
    let failed = run(&["peers", "--bootstrap", &relay.http, "--timeout", "3s"], b"");
    assert_eq!(failed.code, Some(3), "{}", failed.err);
    assert!(!failed.err.contains("/bootstrap.json"), "{}", failed.err);
    let failed = run(&["peers", "--bootstrap", &relay.metrics, "--timeout", "3s"], b"");
    assert_eq!(failed.code, Some(3), "{}", failed.err);
    let stranger = format!("{} is no OpenRed relay", relay.metrics);
    assert!(failed.err.contains(&stranger) && failed.err.contains("/bootstrap.json"), "{}", failed.err);
    relay.process.stop();
}

#[test]
fn who_is_not_reached_is_named_with_each_reason_once() {
    let net = Net::start();
    let (mut provider, record) = net.provide("gone", &["--echo"]);
    provider.signal("KILL");
    provider.code(PATIENCE);
    let unreached = net.ask(&["open", "gone"], b"");
    assert_eq!(unreached.code, Some(1), "{}", unreached.err);
    let peer = record["provider"].as_str().unwrap();
    let (_, reasons) = unreached.err.split_once(&format!("{peer}: ")).unwrap_or_else(|| panic!("{}", unreached.err));
    let reasons: Vec<_> = reasons.trim().trim_end_matches(" (UNREACHABLE)").split(&format!("; {peer}: ")).collect();
    let different: std::collections::BTreeSet<_> = reasons.iter().collect();
    assert_eq!(different.len(), reasons.len(), "{}", unreached.err);
}

#[test]
fn a_full_relay_is_named_as_the_reason() {
    let directory = tempfile::tempdir().unwrap();
    let relay = Relay::start(directory.path(), &["--max-reservations", "1"]);
    let first = Process::start(&["provide", "first", "--json", "--bootstrap", &relay.http]);
    first.line();
    let second = run(&["provide", "second", "--bootstrap", &relay.http, "--timeout", "2s"], b"");
    assert_eq!(second.code, Some(3), "{}", second.err);
    assert!(second.err.contains("`second`") && second.err.contains("no relay holds a place"), "{}", second.err);
    first.stop();
    relay.process.stop();
}

#[test]
fn a_circuit_beyond_its_bytes_ends_with_a_code() {
    let directory = tempfile::tempdir().unwrap();
    let relay = Relay::start(directory.path(), &["--circuit-bytes", "200000"]);
    let provider = Process::start(&["provide", "echo", "--echo", "--json", "--bootstrap", &relay.http]);
    provider.line();
    let cut = run(&["open", "echo", "--bootstrap", &relay.http], &[b'x'; 1_000_000]);
    assert_eq!(cut.code, Some(1), "{}", cut.err);
    assert!(cut.err.contains("STREAM_RESET"), "{}", cut.err);
    provider.stop();
    relay.process.stop();
}

#[test]
fn peers_shows_the_relay() {
    let directory = tempfile::tempdir().unwrap();
    let relay = Relay::start(directory.path(), &[]);
    let peers = run(&["peers", "--json", "--bootstrap", relay.host()], b"");
    assert_eq!(peers.code, Some(0), "{}", peers.err);
    let peers = peers.json();
    assert_eq!((&peers[0]["peerId"], &peers[0]["path"]), (&relay.peer.as_str().into(), &"direct".into()));
    assert!(peers[0]["roles"].as_array().unwrap().contains(&"relay".into()), "{}", peers[0]);
    for field in ["transport", "address", "since"] {
        assert!(!peers[0][field].is_null(), "{field} in {}", peers[0]);
    }
    let table = run(&["peers", "--bootstrap", &relay.http], b"");
    assert!(table.out.contains(&relay.peer) && table.out.starts_with("PEER"), "{}", table.out);
    relay.process.stop();
}

#[test]
fn an_identity_file_is_made_once_and_used_again() {
    let net = Net::start();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("me.key");
    let file = file.to_str().unwrap();
    assert_eq!(run(&["id", "--identity", file], b"").code, Some(1));
    let (provider, offered) = net.provide("mine", &["--identity", file, "--echo"]);
    provider.stop();
    let id = run(&["id", "--identity", file, "--json"], b"");
    assert_eq!(id.json()[0]["peerId"], offered["provider"]);
    let (provider, again) = net.provide("mine", &["--identity", file, "--echo"]);
    assert_eq!(again["provider"], offered["provider"]);
    assert!(again["sequence"].as_u64() > offered["sequence"].as_u64());
    provider.stop();

    std::fs::write(file, b"damaged").unwrap();
    let refused = net.ask(&["find", "mine", "--identity", file], b"");
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    assert!(refused.err.contains("--identity") && refused.err.contains(file), "{}", refused.err);
}

#[test]
fn what_breaks_a_record_is_refused_before_it_is_offered() {
    let net = Net::start();
    let long = format!("k={}", "x".repeat(2000));
    let refused = net.ask(&["provide", "big", "--metadata", &long], b"");
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    assert!(refused.err.contains("1024") || refused.err.contains("1 KiB"), "{}", refused.err);
    let refused = net.ask(&["provide", "short", "--ttl", "5s"], b"");
    assert_eq!(refused.code, Some(2), "{}", refused.err);
}

#[test]
fn a_list_of_relays_leads_into_the_network_and_so_does_what_was_learned() {
    let net = Net::start();
    let (provider, _) = net.provide("listed", &["--echo"]);
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (list, memory) = (path("relays.txt"), path("memory"));
    std::fs::write(&list, format!("# ours\neu {}\n", net.second.http)).unwrap();
    let found = run(&["find", "listed", "--bootstrap-list", &list, "--memory", &memory], b"");
    assert_eq!(found.code, Some(0), "{}", found.err);
    assert!(found.err.contains("asked ") && found.err.contains("dht: 1 in "), "{}", found.err);

    let nobody = ["--bootstrap", "http://127.0.0.1:1"];
    let found = run(&[&["find", "listed", "--max-age", "0", "--json", "--memory", &memory], &nobody[..]].concat(), b"");
    assert_eq!(found.code, Some(0), "{}", found.err);
    assert_eq!(found.json()[0]["layer"], "dht");
    let lost = run(&[&["find", "listed", "--timeout", "1s"], &nobody[..]].concat(), b"");
    assert_eq!(lost.code, Some(3), "{}", lost.err);

    let notes = "eu http://127.0.0.1:8080\nus ftp://relay.example\n";
    std::fs::write(&list, notes).unwrap();
    for (option, value, reason) in [
        ("--bootstrap-list", list.as_str(), "line 2"),
        ("--bootstrap-list", "/no/such/file", "one relay a line"),
        ("--memory", "/no/such/folder/memory", "/no/such/folder/memory"),
        ("--memory", list.as_str(), "was left as it is"),
    ] {
        let wrong = run(&["find", "listed", option, value], b"");
        assert_eq!(wrong.code, Some(2), "{}", wrong.err);
        assert!(wrong.err.contains(option) && wrong.err.contains(value) && wrong.err.contains(reason), "{}", wrong.err);
    }
    assert_eq!(std::fs::read_to_string(&list).unwrap(), notes, "what is no memory is not overwritten");
    let identity = path("identity");
    run(&["find", "listed", "--memory", &list, "--identity", &identity], b"");
    assert!(!std::path::Path::new(&identity).exists(), "who is refused leaves nothing behind");
    provider.stop();
}
