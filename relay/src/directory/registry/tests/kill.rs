//! A registry killed in the middle of its work has lost nothing that it acknowledged.
//!
//! This test program runs itself as the victim: a process that registers nodes and prints the number of each that was
//! acknowledged. It is killed with SIGKILL after some lines, again and again, on the same database.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use super::*;

/// Rounds of this test; `cargo xtask bench directory` does a hundred and more.
const ROUNDS: usize = 4;

/// Registrations under way at a time.
const AT_A_TIME: u64 = 32;

/// Tells the victim which database to open, and from which number on to register.
const VICTIM: &str = "OPENRED_TEST_VICTIM";

/// The victim; alone it is no test.
#[tokio::test]
#[ignore = "runs as the victim of the test below"]
async fn victim() {
    let Ok(told) = std::env::var(VICTIM) else { return };
    let (first, path) = told.split_once(' ').unwrap();
    let first: u64 = first.parse().unwrap();
    let registry = open(Path::new(path), RegistryConfig::default(), TestClock::start()).await;
    let lanes = (0..AT_A_TIME).map(|lane| {
        let registry = &registry;
        async move {
            for number in (first + lane..).step_by(AT_A_TIME as usize) {
                registry.register(registration(number, 0)).await.unwrap();
                registry.publish(signed(number, offer(number, "chess"))).await.unwrap();
                println!("acknowledged {number}");
            }
        }
    });
    futures::future::join_all(lanes).await;
}

fn start_victim(path: &Path, first: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["directory::registry::tests::kill::victim", "--exact", "--ignored", "--nocapture"])
        .env(VICTIM, format!("{first} {}", path.display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn what_was_acknowledged_survives_being_killed_again_and_again() {
    let home = Home::new();
    let path = home.directory.path().join("directory.sqlite");
    let (mut acknowledged, mut first) = (Vec::new(), 0);
    for round in 0..ROUNDS {
        let mut victim = start_victim(&path, first);
        let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut heard = Vec::new();
        let number = |line: String| line.strip_prefix("acknowledged ").and_then(|number| number.parse::<u64>().ok());
        heard.extend(lines.by_ref().filter_map(number).take(20 + 70 * round));
        victim.kill().unwrap();
        victim.wait().unwrap();
        // What it had said before it died counts too; its last line may be cut.
        heard.extend(lines.filter_map(number));
        assert!(heard.len() >= 20 + 70 * round, "the victim ended by itself after {} lines", heard.len());
        first = heard.iter().max().unwrap() + 1000;
        acknowledged.extend(heard);

        let registry = home.open().await;
        for number in &acknowledged {
            let node = registry.node(&peer(*number));
            assert!(node.is_some_and(|node| node.services == 1), "node {number} is lost in round {round}");
        }
    }
    assert!(acknowledged.len() > 400);
}
