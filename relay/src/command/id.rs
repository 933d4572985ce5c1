//! `openred id`: the peer id of a relay's identity or of an identity file. No network is needed.

use serde_json::json;

use super::output::{print_json, print_line};
use crate::{
    config::short::{IdConfig, IdSource},
    data_dir,
    failure::Failure,
};

/// Prints the peer id.
pub(crate) fn run(config: &IdConfig) -> Result<(), Failure> {
    let (identity, place) = match &config.from {
        IdSource::Data(directory) => (data_dir::peek_identity(directory)?, directory),
        IdSource::File(file) => (data_dir::load_identity(file)?, file),
    };
    let identity = identity.ok_or_else(|| {
        let place = place.display();
        Failure::NothingFound(match &config.from {
            IdSource::Data(_) => {
                format!("`{place}` holds no identity; `openred relay --data {place}` makes one when it first runs")
            }
            IdSource::File(_) => {
                format!("`{place}` does not exist; a command with --identity makes it when it first runs")
            }
        })
    })?;
    let peer = identity.public().to_peer_id().to_string();
    if config.json {
        print_json(&json!({ "peerId": peer }));
    } else {
        print_line(&peer);
    }
    Ok(())
}
