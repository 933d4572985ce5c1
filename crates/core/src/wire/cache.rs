//! What a node remembers for its next life, as bytes.
//!
//! The bytes are a node's own, and yet they are not trusted: they may be cut off, damaged, of another version or another
//! network's. A digest shows damage, every length is bounded, and the records inside are verified when they are used.

use std::time::Duration;

use libp2p_identity::PeerId;
use multiaddr::Multiaddr;
use prost::Message;
use sha2::{Digest, Sha256};

use super::Malformed;
use crate::{
    cache::{
        peers::{MAX_ADDRESSES, RememberedPeer, Roles},
        services::RememberedService,
    },
    name::cut,
};

/// The version of the schema that is written and read.
const VERSION: u32 = 1;

/// The longest snapshot that is looked at, in bytes: four times what is written by default.
pub const MAX_SNAPSHOT: usize = 1024 * 1024;

/// The longest address that is read; a relayed WebRTC-direct address has some 200 bytes.
const MAX_ADDRESS: usize = 512;

/// The longest region that is read; as records have it.
const MAX_REGION: usize = crate::record::MAX_REGION;

/// The longest publisher's memory that is read.
pub(crate) const MAX_PUBLISHER: usize = 4096;

/// Room for the parts of a snapshot beside its lists.
const HEAD: usize = 256;

#[derive(Clone, PartialEq, Message)]
struct SnapshotMessage {
    #[prost(uint32, tag = "1")]
    version: u32,
    #[prost(bytes = "vec", tag = "2")]
    sha256: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    content: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct MemoryMessage {
    #[prost(string, tag = "1")]
    network: String,
    #[prost(uint64, tag = "2")]
    written: u64,
    #[prost(message, repeated, tag = "3")]
    peers: Vec<PeerMessage>,
    #[prost(message, repeated, tag = "4")]
    services: Vec<ServiceMessage>,
    #[prost(message, repeated, tag = "5")]
    providers: Vec<ProviderMessage>,
    #[prost(bytes = "vec", tag = "6")]
    publisher: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct PeerMessage {
    #[prost(bytes = "vec", tag = "1")]
    peer: Vec<u8>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    addresses: Vec<Vec<u8>>,
    #[prost(bool, tag = "3")]
    proven: bool,
    #[prost(bool, tag = "4")]
    relay: bool,
    #[prost(string, tag = "5")]
    region: String,
    #[prost(uint64, tag = "6")]
    rtt: u64,
    #[prost(uint32, tag = "7")]
    successes: u32,
    #[prost(uint32, tag = "8")]
    failures: u32,
    #[prost(uint64, tag = "9")]
    seen: u64,
    #[prost(uint64, tag = "10")]
    failed: u64,
}

#[derive(Clone, PartialEq, Message)]
struct ServiceMessage {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(bytes = "vec", tag = "2")]
    bundle: Vec<u8>,
    #[prost(uint64, tag = "3")]
    until: u64,
    #[prost(uint64, tag = "4")]
    asked: u64,
    #[prost(uint32, tag = "5")]
    uses: u32,
    #[prost(uint64, tag = "6")]
    cost: u64,
}

#[derive(Clone, PartialEq, Message)]
struct ProviderMessage {
    #[prost(bytes = "vec", tag = "1")]
    peer: Vec<u8>,
    #[prost(uint32, tag = "2")]
    answers: u32,
    #[prost(uint32, tag = "3")]
    failures: u32,
    #[prost(uint64, tag = "4")]
    took: u64,
    #[prost(uint64, tag = "5")]
    at: u64,
}

/// How a provider has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RememberedProvider {
    pub(crate) peer: PeerId,
    pub(crate) answers: u32,
    pub(crate) failures: u32,
    pub(crate) took: Option<Duration>,
    /// In milliseconds since the Unix epoch.
    pub(crate) at: u64,
}

/// Everything that is written down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) network: String,
    /// In milliseconds since the Unix epoch.
    pub(crate) written: u64,
    /// Best first.
    pub(crate) peers: Vec<RememberedPeer>,
    /// Most valuable first.
    pub(crate) services: Vec<RememberedService>,
    pub(crate) providers: Vec<RememberedProvider>,
    pub(crate) publisher: Vec<u8>,
}

/// Encodes a snapshot in at most `limit` bytes. Peers may take three eighths of it, since they are what the next life begins
/// with; then come the services, and the providers have what is left.
pub(crate) fn encode(snapshot: Snapshot, limit: usize) -> Vec<u8> {
    let Snapshot { network, written, peers, services, providers, publisher } = snapshot;
    let mut left = limit.saturating_sub(HEAD + publisher.len());
    let mut for_peers = left / 8 * 3;
    let before = for_peers;
    let peers = fitting(peers.into_iter().map(peer_message), &mut for_peers);
    left -= before - for_peers;
    let services = fitting(services.into_iter().map(service_message), &mut left);
    let providers = fitting(providers.into_iter().map(provider_message), &mut left);
    let content = MemoryMessage { network, written, peers, services, providers, publisher }.encode_to_vec();
    let sha256 = Sha256::digest(&content).to_vec();
    SnapshotMessage { version: VERSION, sha256, content }.encode_to_vec()
}

/// Decodes a snapshot. Entries that cannot be read are skipped.
pub(crate) fn decode(bytes: &[u8]) -> Result<Snapshot, SnapshotError> {
    if bytes.len() > MAX_SNAPSHOT {
        return Err(SnapshotError::TooLarge { bytes: bytes.len() });
    }
    let SnapshotMessage { version, sha256, content } = SnapshotMessage::decode(bytes).map_err(Malformed::from)?;
    if version != VERSION {
        return Err(SnapshotError::Version { version });
    }
    if Sha256::digest(&content).as_slice() != sha256 {
        return Err(SnapshotError::Damaged);
    }
    let memory = MemoryMessage::decode(&content[..]).map_err(Malformed::from)?;
    if memory.publisher.len() > MAX_PUBLISHER {
        return Err(SnapshotError::Damaged);
    }
    Ok(Snapshot {
        network: memory.network,
        written: memory.written,
        peers: memory.peers.into_iter().filter_map(peer).collect(),
        services: memory.services.into_iter().filter_map(service).collect(),
        providers: memory.providers.into_iter().filter_map(provider).collect(),
        publisher: memory.publisher,
    })
}

/// Whether bytes are a memory that this version can read, of whatever network. For who keeps memories where something else may
/// lie.
///
/// # Errors
///
/// What [`Config::memory`](crate::Config) would be set aside for.
pub fn check(bytes: &[u8]) -> Result<(), SnapshotError> {
    decode(bytes).map(drop)
}

/// The messages that fit; one that is too long does not keep shorter ones out.
fn fitting<M: Message>(messages: impl Iterator<Item = M>, left: &mut usize) -> Vec<M> {
    let mut taken = Vec::new();
    for message in messages {
        // A tag and a length of at most three bytes stand before each.
        let length = message.encoded_len() + 4;
        if length <= *left {
            *left -= length;
            taken.push(message);
        }
    }
    taken
}

fn peer_message(peer: RememberedPeer) -> PeerMessage {
    PeerMessage {
        peer: peer.peer.to_bytes(),
        addresses: peer.addresses.iter().map(Multiaddr::to_vec).collect(),
        proven: peer.proven,
        relay: peer.roles.relay,
        region: peer.region,
        rtt: micros(peer.rtt),
        successes: peer.successes,
        failures: peer.failures,
        seen: peer.seen,
        failed: peer.failed,
    }
}

fn peer(message: PeerMessage) -> Option<RememberedPeer> {
    let readable = message.addresses.into_iter().filter(|address| address.len() <= MAX_ADDRESS);
    let addresses: Vec<_> =
        readable.filter_map(|address| Multiaddr::try_from(address).ok()).take(MAX_ADDRESSES).collect();
    Some(RememberedPeer {
        peer: PeerId::from_bytes(&message.peer).ok()?,
        proven: message.proven && !addresses.is_empty(),
        addresses,
        roles: Roles { server: true, relay: message.relay },
        region: cut(&message.region, MAX_REGION).to_owned(),
        rtt: duration(message.rtt),
        successes: message.successes,
        failures: message.failures,
        seen: message.seen,
        failed: message.failed,
    })
}

fn service_message(service: RememberedService) -> ServiceMessage {
    let RememberedService { name, bundle, until, asked, uses, cost } = service;
    ServiceMessage { name: name.to_string(), bundle, until, asked, uses, cost: micros(Some(cost)) }
}

fn service(message: ServiceMessage) -> Option<RememberedService> {
    let ServiceMessage { name, bundle, until, asked, uses, cost } = message;
    let name = name.parse().ok()?;
    (bundle.len() <= super::bundle::MAX_ENCODED).then(|| RememberedService {
        name,
        bundle,
        until,
        asked,
        uses,
        cost: duration(cost).unwrap_or_default(),
    })
}

fn provider_message(provider: RememberedProvider) -> ProviderMessage {
    let RememberedProvider { peer, answers, failures, took, at } = provider;
    ProviderMessage { peer: peer.to_bytes(), answers, failures, took: micros(took), at }
}

fn provider(message: ProviderMessage) -> Option<RememberedProvider> {
    let ProviderMessage { peer, answers, failures, took, at } = message;
    Some(RememberedProvider { peer: PeerId::from_bytes(&peer).ok()?, answers, failures, took: duration(took), at })
}

fn micros(duration: Option<Duration>) -> u64 {
    duration.map_or(0, |duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).max(1))
}

fn duration(micros: u64) -> Option<Duration> {
    (micros > 0).then(|| Duration::from_micros(micros))
}

/// Why bytes are not what this node can remember.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// The snapshot is longer than any that is written.
    #[error("memory of {bytes} bytes, at most {MAX_SNAPSHOT}")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// It was written by another version.
    #[error("memory of version {version}, this one reads {VERSION}")]
    Version {
        /// Which.
        version: u32,
    },
    /// The digest does not fit.
    #[error("the memory is damaged")]
    Damaged,
    /// The bytes are not the message.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It is of another network.
    #[error("memory of the network \"{network}\"")]
    OtherNetwork {
        /// Which.
        network: String,
    },
}

#[cfg(test)]
mod tests;
