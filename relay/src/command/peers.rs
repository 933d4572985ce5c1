//! `openred peers`: whom a node is connected to that joins here.

use super::{
    Session,
    output::{PeerView, Table, print_json, readable},
};
use crate::{config::short::PeersConfig, failure::Failure};

/// Prints the peers. None at all is a failure with an exit code of its own.
pub(crate) async fn run(config: PeersConfig) -> Result<(), Failure> {
    let session = Session::join(&config.node).await?;
    let own = session.node.peer_id();
    let peers = session.node.peers();
    session.leave().await;

    let peers = peers?;
    if config.node.json {
        peers.iter().for_each(|peer| print_json(&PeerView::from(peer)));
    } else {
        let mut table = Table::new(["PEER", "ROLES", "PATH", "OVER", "RTT", "ADDRESS"]);
        for peer in &peers {
            table.row([
                peer.peer.to_string(),
                peer.roles.join(","),
                peer.path.as_str().to_owned(),
                peer.transport().to_owned(),
                peer.rtt.map(readable).unwrap_or_default(),
                peer.address.to_string(),
            ]);
        }
        table.print();
        eprintln!("seen by {own}, which joined for this question");
    }
    if peers.is_empty() { Err(Failure::NothingFound("no peer is connected".to_owned())) } else { Ok(()) }
}
