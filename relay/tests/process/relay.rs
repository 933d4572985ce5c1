//! How a relay starts, refuses to start, ends, and starts again.

use std::{fs, net::TcpListener, thread, time::Duration};

use crate::support::{END, Process, Relay, openred, run, run_command, timed};

#[test]
fn one_ready_line_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let mut relay = Relay::start(directory.path(), &[]);
    assert!(!relay.addresses.is_empty());
    for address in &relay.addresses {
        assert!(address.ends_with(&format!("/p2p/{}", relay.peer)), "{address}");
    }
    let port = relay.host().rsplit(':').next().unwrap().to_owned();
    let next = port.parse::<u16>().unwrap() + 1;
    assert!(relay.addresses[0].starts_with(&format!("/ip4/127.0.0.1/tcp/{port}/ws/")), "{:?}", relay.addresses);
    for part in [format!("/udp/{port}/quic-v1/"), format!("/udp/{next}/webrtc-direct/certhash/")] {
        assert!(relay.addresses.iter().any(|address| address.contains(&part)), "{part} in {:?}", relay.addresses);
    }
    relay.process.signal("TERM");
    assert_eq!(relay.process.code(END), Some(0));
    assert!(relay.process.rest().is_empty());
}

#[test]
fn its_state_is_told_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut relay = Relay::start(directory.path(), &[]);
    relay.process.signal("TERM");
    assert_eq!(relay.process.code(END), Some(0));
    assert_eq!(relay.process.log().matches("state=\"ready\"").count(), 1, "{}", relay.process.log());
}

#[test]
fn who_listens_everywhere_announces_where_it_can_be_dialled() {
    let directory = tempfile::tempdir().unwrap();
    let relay = Relay::start_on("0.0.0.0:0", directory.path(), &[]);
    assert!(relay.http.starts_with("http://127.0.0.1:"), "{}", relay.http);
    assert!(relay.addresses[0].contains("/ws/"), "{:?}", relay.addresses);
    assert!(relay.addresses.iter().all(|address| !address.starts_with("/ip4/0.0.0.0/")), "{:?}", relay.addresses);
    relay.process.stop();
}

#[test]
fn announced_addresses_are_the_only_ones() {
    let directory = tempfile::tempdir().unwrap();
    let relay = Relay::start(directory.path(), &["--announce", "https://relay.example.org"]);
    assert_eq!(relay.addresses, [format!("/dns/relay.example.org/tcp/443/tls/ws/p2p/{}", relay.peer)]);
    relay.process.stop();
}

#[test]
fn it_says_that_it_drains_and_ends_in_time() {
    for signal in ["TERM", "INT"] {
        let directory = tempfile::tempdir().unwrap();
        let mut relay = Relay::start(directory.path(), &[]);
        relay.process.signal(signal);
        relay.process.wait_log("ending");
        let answer = relay.get("/readyz");
        assert_eq!((answer.status, answer.json()["status"].as_str()), (503, Some("draining")));
        let (code, elapsed) = timed(|| relay.process.code(END));
        assert_eq!(code, Some(0), "{}", relay.process.log());
        assert!(elapsed < END);
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut relay = Relay::start(directory.path(), &[]);
    relay.process.signal("TERM");
    relay.process.wait_log("ending");
    relay.process.signal("INT");
    assert_eq!(relay.process.code(END), Some(130));
}

#[test]
fn addresses_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let first = Relay::start(directory.path(), &[]);
    let (host, addresses) = (first.host().to_owned(), first.addresses.clone());
    first.process.stop();
    let second = Relay::start_on(&host, directory.path(), &[]);
    assert_eq!(second.addresses, addresses);
    assert!(addresses.iter().any(|address| address.contains("/certhash/")));
    second.process.stop();

    let printed = run(&["id", "--data", directory.path().to_str().unwrap()], b"");
    assert_eq!((printed.code, printed.out.trim().len() > 40), (Some(0), true));
    assert!(addresses[0].ends_with(printed.out.trim()));
}

#[test]
fn killed_without_warning_it_starts_again_on_the_same_data() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = Relay::start(directory.path(), &[]);
    let peer = first.peer.clone();
    first.process.signal("KILL");
    assert_eq!(first.process.code(END), None);
    let second = Relay::start_on(first.host(), directory.path(), &[]);
    assert_eq!(second.peer, peer);
    second.process.stop();
}

#[test]
fn two_relays_never_share_their_data() {
    let directory = tempfile::tempdir().unwrap();
    let first = Relay::start(directory.path(), &[]);
    let data = directory.path().to_str().unwrap();
    let second = run(&["relay", "--http", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--data", data], b"");
    assert_eq!(second.code, Some(1));
    assert!(
        second.err.contains("--data") && second.err.contains(data) && second.err.contains("in use"),
        "{}",
        second.err
    );
    assert!(second.out.is_empty());
    assert_eq!(first.get("/readyz").status, 200);
    first.process.stop();
}

#[test]
fn a_taken_port_is_named_with_its_option() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for option in ["--http", "--metrics"] {
        let directory = tempfile::tempdir().unwrap();
        let other = if option == "--http" { "--metrics" } else { "--http" };
        let data = directory.path().to_str().unwrap();
        let refused = run(&["relay", option, &address, other, "127.0.0.1:0", "--data", data], b"");
        assert_eq!(refused.code, Some(1));
        assert!(refused.err.contains(&format!("{option}: `{address}` is in use")), "{}", refused.err);
    }
}

#[test]
fn a_start_that_fails_leaves_nothing_in_a_fresh_directory() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let stranger = "/ip4/192.0.2.1/tcp/80/ws/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";
    for (option, value, code) in [
        ("--metrics", address.as_str(), 1),
        ("--listen", &format!("/ip4/127.0.0.1/tcp/{}", taken.local_addr().unwrap().port()), 1),
        ("--listen", "/ip4/127.0.0.1/udp/0/utp", 2),
        ("--announce", stranger, 2),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let metrics = if option == "--metrics" { &[][..] } else { &["--metrics", "127.0.0.1:0"] };
        let own = ["relay", "--http", "127.0.0.1:0", "--data", data.to_str().unwrap(), option, value];
        let refused = run(&[&own, metrics].concat(), b"");
        assert_eq!(refused.code, Some(code), "{}", refused.err);
        assert!(refused.err.contains(&format!("{option}: `{value}`")), "{}", refused.err);
        assert!(!data.exists(), "{option}: {:?}", fs::read_dir(&data).unwrap().collect::<Vec<_>>());
    }
    let data = tempfile::tempdir().unwrap();
    let nowhere = "postgres://test@127.0.0.1:1/none";
    let own = ["--http", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--data", data.path().to_str().unwrap()];
    let refused = run(&[&["relay", "--database", nowhere], &own[..]].concat(), b"");
    assert!(refused.code == Some(1) && refused.err.contains("--database"), "{}", refused.err);
    let left: Vec<_> = fs::read_dir(data.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["openred.lock"]);
}

#[test]
fn damaged_files_are_named_and_kept() {
    for (name, loss) in [("identity.key", "peer id changes"), ("webrtc.pem", "WebRTC-direct addresses change")] {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(name);
        fs::write(&file, b"damaged").unwrap();
        let data = directory.path().to_str().unwrap();
        let refused = run(&["relay", "--http", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--data", data], b"");
        assert_eq!(refused.code, Some(1));
        assert!(refused.err.contains(file.to_str().unwrap()) && refused.err.contains(loss), "{}", refused.err);
        assert_eq!(fs::read(&file).unwrap(), b"damaged");
    }
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, b"").unwrap();
    let data = file.join("data");
    let refused = run(&["relay", "--http", "127.0.0.1:0", "--data", data.to_str().unwrap()], b"");
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("--data") && refused.err.contains(data.to_str().unwrap()), "{}", refused.err);
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("relay.toml");
    let data = directory.path().join("data");
    let text = format!(
        "http = '127.0.0.1:0'\nmetrics = '127.0.0.1:0'\ndata = '{}'\nregion = 'file'\nnetwork = 'file'\ncircuit-seconds = 60\n",
        data.display()
    );
    fs::write(&file, text).unwrap();
    let mut command = openred(&["relay", "--config", file.to_str().unwrap(), "--region", "flag"]);
    command
        .env("OPENRED_REGION", "environment")
        .env("OPENRED_NETWORK", "environment")
        .env("OPENRED_CIRCUIT_SECONDS", "");
    let relay = Relay::spawn(&mut command);
    let bootstrap = relay.get("/bootstrap.json").json();
    assert_eq!(bootstrap["region"], "flag");
    assert_eq!(bootstrap["network"], "environment");
    assert_eq!(bootstrap["limits"]["circuitSeconds"], 60);
    relay.process.stop();
}

#[test]
fn wrong_values_end_with_2_and_say_what_would_be_right() {
    let wrong = |arguments: &[&str], expected: &[&str]| {
        let refused = run(arguments, b"");
        assert_eq!(refused.code, Some(2), "{}", refused.err);
        for text in expected {
            assert!(refused.err.contains(text), "`{text}` is not in: {}", refused.err);
        }
    };
    wrong(&["relay", "--http", "8080"], &["--http", "`8080`", "127.0.0.1:8080"]);
    wrong(&["relay", "--htpp", "x"], &["--htpp", "--http"]);
    wrong(&["relay", "--bootstrap", "http://"], &["--bootstrap", "`http://`"]);
    wrong(&["relay", "--network", "Not Good"], &["--network", "`Not Good`"]);
    wrong(&["relay", "--config", "/no/such/file"], &["--config", "/no/such/file"]);
    wrong(&["find", "Two Words"], &["NAME", "`Two Words`", "two-words"]);
    wrong(&["find", "x", "--timeout", "soon"], &["--timeout", "`soon`", "10s"]);
    wrong(&["find", "x", "--bootstrap", "not a relay"], &["--bootstrap", "`not a relay`"]);
    wrong(&["provide", "x", "--metadata", "novalue"], &["--metadata", "`novalue`", "title=Chess"]);
    wrong(&["clusters", "x"], &["clusters"]);

    let refused = run_command(openred(&["relay"]).env("OPENRED_METRICS", "here"), b"");
    assert_eq!(refused.code, Some(2));
    assert!(refused.err.contains("--metrics") && refused.err.contains("OPENRED_METRICS"), "{}", refused.err);
}

#[test]
fn a_relay_that_finds_nobody_is_ready_all_the_same() {
    // A listener that accepts and stays silent, and a port where nobody listens.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let silent_address = silent.local_addr().unwrap().to_string();
    let held = thread::spawn(move || silent.accept().map(|(stream, _)| stream));
    let directory = tempfile::tempdir().unwrap();
    let (relay, elapsed) =
        timed(|| Relay::start(directory.path(), &["--bootstrap", &closed, "--bootstrap", &silent_address]));
    assert!(elapsed < Duration::from_secs(10), "{elapsed:?}");
    assert_eq!(relay.get("/readyz").status, 200);
    relay.process.stop();
    drop(held);
}

#[test]
fn the_log_stays_on_standard_error() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    let mut command = openred(&["relay", "--http", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--data", data]);
    let mut process = Process::spawn(command.env("OPENRED_LOG", "debug"));
    assert!(process.line().starts_with("{\"addresses\""));
    process.signal("TERM");
    assert_eq!(process.code(END), Some(0));
    assert!(process.rest().is_empty() && process.log().contains("DEBUG"));
}
