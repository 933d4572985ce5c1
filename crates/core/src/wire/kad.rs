//! Kademlia's messages, compatible with the other libp2p implementations (libp2p specs, `kad-dht`).
//!
//! One protobuf message serves all six kinds of requests and their answers; here they are two enums that cannot hold
//! nonsense. Messages travel in frames (see [`unframe`](super::unframe)) of at most [`MAX_MESSAGE`] bytes.
//!
//! Bounds: [`MAX_PEERS`] peers a message and [`MAX_ADDRESSES`] addresses a peer are read, the rest is passed over
//! unparsed; peers and addresses that cannot be read are skipped, because one odd peer in an answer says nothing about
//! the others. What we encode keeps the same bounds.
//!
//! An address that ends in `/p2p/` and the peer's own id is stored without that end; one that ends in another peer's id
//! is skipped. Whether a peer may announce what it announces is not decided here.

use libp2p_identity::PeerId;
use multiaddr::{Multiaddr, Protocol};
use prost::Message;

use super::{Malformed, Value, fields};

/// The longest message, in bytes, without its frame (design contract).
pub const MAX_MESSAGE: usize = 128 * 1024;
/// The most peers of one kind in a message: twice what a node answers with, which is Kademlia's k = 20.
pub const MAX_PEERS: usize = 40;
/// The most addresses of a peer.
pub const MAX_ADDRESSES: usize = 16;
/// The longest address, in bytes; a relayed one with certificate hashes has less than 300.
pub const MAX_ADDRESS: usize = 512;
/// The longest key, in bytes.
pub const MAX_KEY: usize = 1024;

/// The date put on values we send. Receivers date values themselves, but some refuse a value without a readable date.
const TIME_RECEIVED: &str = "1970-01-01T00:00:00.000000000Z";

/// A peer and where it can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerAddresses {
    /// The peer.
    pub peer: PeerId,
    /// Its addresses, without the peer's own id at their end.
    pub addresses: Vec<Multiaddr>,
}

/// What one node asks another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Which peers are closest to this key?
    FindNode {
        /// The key; to look for a peer, the bytes of its id.
        key: Vec<u8>,
    },
    /// What stands under this key?
    GetValue {
        /// The value key.
        key: Vec<u8>,
    },
    /// Keep this value.
    PutValue {
        /// The value key.
        key: Vec<u8>,
        /// The value.
        value: Vec<u8>,
    },
    /// Who provides this key?
    GetProviders {
        /// The provider key.
        key: Vec<u8>,
    },
    /// Remember that I provide this key. Has no answer.
    AddProvider {
        /// The provider key.
        key: Vec<u8>,
        /// Who provides it; a receiver believes only the sender itself.
        provider: PeerAddresses,
    },
    /// Are you there?
    Ping,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// To [`Request::FindNode`].
    FindNode {
        /// The closest peers, closest first.
        closer: Vec<PeerAddresses>,
    },
    /// To [`Request::GetValue`].
    GetValue {
        /// The value, if there is one.
        value: Option<Vec<u8>>,
        /// The closest peers, closest first.
        closer: Vec<PeerAddresses>,
    },
    /// To [`Request::PutValue`], which it repeats.
    PutValue {
        /// The value key.
        key: Vec<u8>,
        /// The value as it was sent.
        value: Vec<u8>,
    },
    /// To [`Request::GetProviders`].
    GetProviders {
        /// Who provides the key.
        providers: Vec<PeerAddresses>,
        /// The closest peers, closest first.
        closer: Vec<PeerAddresses>,
    },
    /// To [`Request::Ping`].
    Ping,
}

impl Request {
    /// Encodes the request, without its frame.
    pub fn encode(&self) -> Vec<u8> {
        let message = match self {
            Self::FindNode { key } => KadMessage::new(Kind::FindNode, key),
            Self::GetValue { key } => KadMessage::new(Kind::GetValue, key),
            Self::PutValue { key, value } => KadMessage::new(Kind::PutValue, key).with_record(key, value),
            Self::GetProviders { key } => KadMessage::new(Kind::GetProviders, key),
            Self::AddProvider { key, provider } => {
                KadMessage::new(Kind::AddProvider, key).with_providers(std::slice::from_ref(provider))
            }
            Self::Ping => KadMessage::new(Kind::Ping, &[]),
        };
        message.encode_to_vec()
    }

    /// The key that is asked about; empty in a ping.
    pub fn key(&self) -> &[u8] {
        match self {
            Self::FindNode { key }
            | Self::GetValue { key }
            | Self::PutValue { key, .. }
            | Self::GetProviders { key }
            | Self::AddProvider { key, .. } => key,
            Self::Ping => &[],
        }
    }

    /// Decodes a request, taken out of its frame.
    pub fn decode(bytes: &[u8]) -> Result<Self, KadError> {
        let message = Parts::read(bytes)?;
        Ok(match message.kind {
            Kind::Ping => Self::Ping,
            Kind::FindNode => Self::FindNode { key: message.key()? },
            Kind::GetValue => Self::GetValue { key: message.key()? },
            Kind::GetProviders => Self::GetProviders { key: message.key()? },
            Kind::PutValue => {
                let record = message.record()?.ok_or(KadError::NoValue)?;
                Self::PutValue { key: record.key, value: record.value }
            }
            Kind::AddProvider => {
                let provider = message.providers.iter().find_map(|bytes| read_peer(bytes));
                Self::AddProvider { key: message.key()?, provider: provider.ok_or(KadError::NoProvider)? }
            }
        })
    }
}

impl Response {
    /// Encodes the answer to `request`, without its frame. Peers that would make it too long are left off, the last
    /// first.
    pub fn encode(&self, request: &Request) -> Vec<u8> {
        let key = request.key();
        let message = match self {
            Self::FindNode { closer } => KadMessage::new(Kind::FindNode, key).with_closer(closer),
            Self::GetValue { value, closer } => {
                let message = KadMessage::new(Kind::GetValue, key);
                match value {
                    Some(value) => message.with_record(key, value),
                    None => message,
                }
                .with_closer(closer)
            }
            Self::PutValue { key, value } => KadMessage::new(Kind::PutValue, key).with_record(key, value),
            Self::GetProviders { providers, closer } => {
                KadMessage::new(Kind::GetProviders, key).with_providers(providers).with_closer(closer)
            }
            Self::Ping => KadMessage::new(Kind::Ping, key),
        };
        message.encode_to_vec()
    }

    /// Decodes the answer to `request`, taken out of its frame: it must be of the same kind, and what it says of a key
    /// or repeats of a value must be what was sent.
    pub fn decode(request: &Request, bytes: &[u8]) -> Result<Self, KadError> {
        let message = Parts::read(bytes)?;
        let peers = |list: &[&[u8]]| list.iter().filter_map(|bytes| read_peer(bytes)).collect();
        Ok(match (request, message.kind) {
            (Request::Ping, Kind::Ping) => Self::Ping,
            (Request::FindNode { .. }, Kind::FindNode) => Self::FindNode { closer: peers(&message.closer) },
            (Request::GetValue { key: asked }, Kind::GetValue) => {
                let value = match message.record()? {
                    Some(record) if record.key == *asked => Some(record.value),
                    Some(_) => return Err(KadError::OtherKey),
                    None => None,
                };
                Self::GetValue { value, closer: peers(&message.closer) }
            }
            (Request::PutValue { key: sent_key, value: sent }, Kind::PutValue) => match message.record()? {
                Some(record) if record.key == *sent_key && record.value == *sent => {
                    Self::PutValue { key: record.key, value: record.value }
                }
                Some(_) => return Err(KadError::NotRepeated),
                None => return Err(KadError::NoValue),
            },
            (Request::GetProviders { .. }, Kind::GetProviders) => {
                Self::GetProviders { providers: peers(&message.providers), closer: peers(&message.closer) }
            }
            _ => return Err(KadError::NotTheAnswer),
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
enum Kind {
    PutValue = 0,
    GetValue = 1,
    AddProvider = 2,
    GetProviders = 3,
    FindNode = 4,
    Ping = 5,
}

/// The message as we encode it. `clusterLevelRaw` (10) is always 0 and so never written.
#[derive(Clone, PartialEq, Message)]
struct KadMessage {
    #[prost(enumeration = "Kind", tag = "1")]
    kind: i32,
    #[prost(bytes = "vec", tag = "2")]
    key: Vec<u8>,
    #[prost(message, optional, tag = "3")]
    record: Option<KadRecord>,
    #[prost(message, repeated, tag = "8")]
    closer: Vec<KadPeer>,
    #[prost(message, repeated, tag = "9")]
    providers: Vec<KadPeer>,
}

#[derive(Clone, PartialEq, Message)]
struct KadRecord {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
    #[prost(string, tag = "5")]
    time_received: String,
}

/// A peer as we encode it. `connection` (3) is always 0, "not connected", which claims nothing.
#[derive(Clone, PartialEq, Message)]
struct KadPeer {
    #[prost(bytes = "vec", tag = "1")]
    id: Vec<u8>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    addresses: Vec<Vec<u8>>,
}

impl KadMessage {
    fn new(kind: Kind, key: &[u8]) -> Self {
        Self { kind: kind.into(), key: key.to_vec(), ..Self::default() }
    }

    fn with_record(mut self, key: &[u8], value: &[u8]) -> Self {
        self.record = Some(KadRecord { key: key.to_vec(), value: value.to_vec(), time_received: TIME_RECEIVED.into() });
        self
    }

    fn with_closer(mut self, peers: &[PeerAddresses]) -> Self {
        self.closer = fitting(peers, self.encoded_len());
        self
    }

    fn with_providers(mut self, peers: &[PeerAddresses]) -> Self {
        self.providers = fitting(peers, self.encoded_len());
        self
    }
}

/// As many of `peers` as a message may have and as fit into what is left of it.
fn fitting(peers: &[PeerAddresses], taken: usize) -> Vec<KadPeer> {
    let mut room = MAX_MESSAGE.saturating_sub(taken);
    let encoded = peers.iter().take(MAX_PEERS).map(|peer| KadPeer {
        id: peer.peer.to_bytes(),
        addresses: peer
            .addresses
            .iter()
            .map(Multiaddr::to_vec)
            .filter(|address| address.len() <= MAX_ADDRESS)
            .take(MAX_ADDRESSES)
            .collect(),
    });
    encoded
        .take_while(|peer| {
            let length = peer.encoded_len();
            let needed = 1 + prost::length_delimiter_len(length) + length;
            room.checked_sub(needed).inspect(|left| room = *left).is_some()
        })
        .collect()
}

/// A message taken apart into its fields, within the bounds, its peers still encoded.
struct Parts<'a> {
    kind: Kind,
    key: &'a [u8],
    record: Option<&'a [u8]>,
    closer: Vec<&'a [u8]>,
    providers: Vec<&'a [u8]>,
}

impl<'a> Parts<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, KadError> {
        if bytes.len() > MAX_MESSAGE {
            return Err(KadError::TooLong { bytes: bytes.len() });
        }
        // A kind that is not written is the one with number 0.
        let mut parts =
            Self { kind: Kind::PutValue, key: &[], record: None, closer: Vec::new(), providers: Vec::new() };
        for field in fields(bytes) {
            match field? {
                (1, Value::Varint(number)) => {
                    let kind = i32::try_from(number).ok().and_then(|number| Kind::try_from(number).ok());
                    parts.kind = kind.ok_or(KadError::UnknownKind { number })?;
                }
                (2, Value::Bytes(key)) => parts.key = key,
                (3, Value::Bytes(record)) => parts.record = Some(record),
                (8, Value::Bytes(peer)) if parts.closer.len() < MAX_PEERS => parts.closer.push(peer),
                (9, Value::Bytes(peer)) if parts.providers.len() < MAX_PEERS => parts.providers.push(peer),
                _ => {}
            }
        }
        check_key(parts.key)?;
        Ok(parts)
    }

    /// The key, which there must be.
    fn key(&self) -> Result<Vec<u8>, KadError> {
        if self.key.is_empty() { Err(KadError::NoKey) } else { Ok(self.key.to_vec()) }
    }

    /// The record, with its key. That may stand in the message, in the record, or, the same, in both.
    fn record(&self) -> Result<Option<KadRecord>, KadError> {
        let Some(record) = self.record else { return Ok(None) };
        let mut record = KadRecord::decode(record).map_err(Malformed::from)?;
        if record.key.is_empty() {
            record.key = self.key()?;
        } else if !self.key.is_empty() && self.key != record.key {
            return Err(KadError::TwoKeys);
        }
        check_key(&record.key)?;
        Ok(Some(record))
    }
}

fn check_key(key: &[u8]) -> Result<(), KadError> {
    if key.len() > MAX_KEY { Err(KadError::KeyTooLong { bytes: key.len() }) } else { Ok(()) }
}

/// Reads a peer, or nothing if it is not one.
fn read_peer(bytes: &[u8]) -> Option<PeerAddresses> {
    let (mut id, mut encoded) = (&[][..], Vec::new());
    for field in fields(bytes) {
        match field.ok()? {
            (1, Value::Bytes(bytes)) => id = bytes,
            (2, Value::Bytes(address)) if encoded.len() < MAX_ADDRESSES => encoded.push(address),
            _ => {}
        }
    }
    let peer = PeerId::from_bytes(id).ok()?;
    let addresses = encoded.into_iter().filter_map(|address| read_address(address, &peer)).collect();
    Some(PeerAddresses { peer, addresses })
}

/// Reads an address of `peer`, without the peer's id at its end.
fn read_address(bytes: &[u8], peer: &PeerId) -> Option<Multiaddr> {
    if bytes.len() > MAX_ADDRESS {
        return None;
    }
    let mut address = Multiaddr::try_from(bytes.to_vec()).ok()?;
    if let Some(Protocol::P2p(last)) = address.iter().last() {
        if last != *peer {
            return None;
        }
        address.pop();
    }
    (!address.is_empty()).then_some(address)
}

/// Why bytes are not a Kademlia message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KadError {
    /// The message is too long.
    #[error("kad message of {bytes} bytes, at most {MAX_MESSAGE}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// The bytes are not the message.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The kind of the message is none of Kademlia's.
    #[error("kad message of unknown type {number}")]
    UnknownKind {
        /// The number it has.
        number: u64,
    },
    /// There is no key.
    #[error("kad message without a key")]
    NoKey,
    /// The key is too long.
    #[error("kad message with a key of {bytes} bytes, at most {MAX_KEY}")]
    KeyTooLong {
        /// Its length.
        bytes: usize,
    },
    /// The message has one key, its record another.
    #[error("kad message whose record has another key")]
    TwoKeys,
    /// There is no value where there must be one.
    #[error("PUT_VALUE without a record")]
    NoValue,
    /// Nobody is announced who could be a provider.
    #[error("ADD_PROVIDER without a readable provider")]
    NoProvider,
    /// The answer is of another kind than the request.
    #[error("kad message of another type than was asked for")]
    NotTheAnswer,
    /// The answer has a value for another key than was asked about.
    #[error("value of another key than was asked for")]
    OtherKey,
    /// The answer to PUT_VALUE does not repeat what was sent, so it is not held.
    #[error("the answer to PUT_VALUE does not repeat the value")]
    NotRepeated,
}

#[cfg(test)]
mod tests;
