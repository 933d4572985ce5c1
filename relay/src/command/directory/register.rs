//! `openred directory register` and `heartbeat`: a node that speaks HTTP only, in a relay's directory.
//!
//! Its identity signs where it is and what it offers, and proves to the relay who asks. Each command says its one thing and ends:
//! whatever runs the node runs them again, a heartbeat as often as the relay asks for, a registration before the offer's time is
//! over.

use std::path::Path;

use axum::http::Method;
use data_encoding::BASE64URL_NOPAD;
use libp2p_identity::Keypair;
use openred_core::{peer_record::PeerRecord, record::Record};
use serde_json::{Value, json};

use super::{
    super::output::{print_json, print_line, readable},
    client::Directory,
    text,
};
use crate::{
    clock,
    config::directory::{HeartbeatConfig, RegisterConfig},
    data_dir,
    failure::Failure,
};

/// Registers the node, with the service.
pub(crate) async fn run(config: RegisterConfig) -> Result<(), Failure> {
    let identity = data_dir::identity_in(&config.identity).map_err(unusable)?;
    let (peer, now) = (identity.public().to_peer_id(), clock::millis());
    let defaults = Record::new(config.name, peer, now);
    let offer = Record {
        kind: config.kind,
        endpoints: config.addresses.clone(),
        metadata: config.metadata,
        region: config.region.clone(),
        ttl: config.ttl.map_or(defaults.ttl, |ttl| ttl.as_millis() as u64),
        ..defaults
    };
    let offer = offer.sign(&identity).map_err(|error| Failure::Usage(error.to_string()))?;
    let addresses = PeerRecord { peer, sequence: now, addresses: config.addresses };
    let addresses = addresses.sign(&identity).map_err(|error| Failure::Usage(format!("--address: {error}")))?;
    let body = json!({
        "record": BASE64URL_NOPAD.encode(addresses.envelope()),
        "region": config.region,
        "services": [BASE64URL_NOPAD.encode(offer.envelope())],
    });
    let mut directory = Directory::new(&config.ask, None);
    let answer = directory.say(&identity, Method::PUT, &format!("/v1/nodes/{peer}"), Some(&body)).await?;
    print(&identity, &config.identity, answer, config.json);
    Ok(())
}

/// Says that the node lives.
pub(crate) async fn heartbeat(config: HeartbeatConfig) -> Result<(), Failure> {
    let identity = data_dir::load_identity(&config.identity).map_err(unusable)?.ok_or_else(|| {
        let file = config.identity.display();
        Failure::NothingFound(format!(
            "--identity: `{file}` does not exist; `openred directory register --identity {file}` makes it"
        ))
    })?;
    let path = format!("/v1/nodes/{}/heartbeat", identity.public().to_peer_id());
    let answer = Directory::new(&config.ask, None).say(&identity, Method::POST, &path, None).await?;
    print(&identity, &config.identity, answer, config.json);
    Ok(())
}

fn print(identity: &Keypair, file: &Path, mut answer: Value, json: bool) {
    let peer = identity.public().to_peer_id();
    if json {
        if let Value::Object(fields) = &mut answer {
            fields.insert("peerId".to_owned(), peer.to_string().into());
        }
        return print_json(&answer);
    }
    print_line(&format!("{peer} is {}", text(&answer, "state")));
    if let Some(every) = answer["heartbeatMs"].as_u64() {
        let every = readable(std::time::Duration::from_millis(every));
        eprintln!("say every {every} that it lives: openred directory heartbeat --identity {}", file.display());
    }
}

fn unusable(error: data_dir::DataDirError) -> Failure {
    Failure::Usage(format!("--identity: {error}"))
}
