//! The directory under load over HTTP, measured as `cargo xtask bench directory-load` and `directory-peers` ask.
//!
//! `openred-load mixed RELAY sqlite|postgres` starts the relay at the path RELAY, registers signed nodes and lets them work;
//! `openred-load peers RELAY RNACOS ETCD` asks the relay and two other registries the same things in turn. Both print one JSON
//! object. Servers run on the processor's core 0, with their databases; this program belongs on another (`taskset`).
//!
//! `OPENRED_BENCH_SECONDS` is the length of the long run, `OPENRED_BENCH_NODES` the number of nodes.

mod client;
mod drive;
mod mixed;
mod nodes;
mod pace;
mod peers;
mod process;
mod relay;
#[allow(dead_code, unreachable_pub, reason = "the tests use the rest")]
#[path = "../../../relay/src/directory/store/postgres/server.rs"]
mod server;
mod tally;
mod traffic;

use std::{error::Error, path::Path};

type Failure = Box<dyn Error>;

/// One thread, since the generator has one core.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let report = match words[..] {
        ["mixed", relay, "sqlite"] => mixed::run(Path::new(relay), mixed::Database::Sqlite).await?,
        ["mixed", relay, "postgres"] => mixed::run(Path::new(relay), mixed::Database::Postgres).await?,
        ["peers", relay, rnacos, etcd] => peers::run(Path::new(relay), Path::new(rnacos), Path::new(etcd)).await?,
        _ => {
            return Err(
                "usage: openred-load mixed RELAY sqlite|postgres, or openred-load peers RELAY RNACOS ETCD".into()
            );
        }
    };
    println!("{report}");
    Ok(())
}

/// A number from the environment.
fn from_environment(name: &str, default: u64) -> Result<u64, Failure> {
    match std::env::var(name) {
        Ok(text) => text.parse().map_err(|_| format!("{name}: `{text}` is no number").into()),
        Err(_) => Ok(default),
    }
}
