//! Keys and positions: what a value is filed under, and where in the keyspace that lies.
//!
//! A value key is readable text, `/openred/<network>/...`, because other Kademlia implementations demand a namespace
//! and because a key must say by itself what may be stored under it. [`Key`] is such a key, parsed: its bytes and its
//! kind always agree, and each kind has exactly one spelling. A provider key is the sha2-256 multihash of those bytes,
//! the form in which other implementations ask for the providers of a CID.
//!
//! Distances are Kademlia's: both sides hashed with sha2-256, then XOR.

use std::{fmt, str};

use libp2p_identity::PeerId;
use sha2::{Digest, Sha256};

use crate::name::{NameError, NetworkName, ServiceName};

/// The longest value key that can be well-formed is under 300 bytes; anything longer is not looked at.
pub const MAX_KEY: usize = 512;

/// The code of sha2-256 and the length of its digest, with which every provider key begins.
const SHA2_256: [u8; 2] = [0x12, 32];

/// A value key of one network.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    bytes: Vec<u8>,
    kind: KeyKind,
}

/// What stands under a value key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// `/openred/<network>/service/<name>`: the bundle of everybody who offers the name.
    Service(ServiceName),
    /// `/openred/<network>/service/<name>/<peer id>`: a bundle with the record of one provider.
    ServiceOf(ServiceName, PeerId),
    /// `/openred/<network>/peer/<peer id>`: the peer's signed addresses.
    Peer(PeerId),
}

impl Key {
    /// The key of everybody who offers `name`.
    pub fn service(network: &NetworkName, name: &ServiceName) -> Self {
        Self::new(network, KeyKind::Service(name.clone()))
    }

    /// The key of `provider`'s own record of `name`.
    pub fn service_of(network: &NetworkName, name: &ServiceName, provider: &PeerId) -> Self {
        Self::new(network, KeyKind::ServiceOf(name.clone(), *provider))
    }

    /// The key of a peer's addresses.
    pub fn peer(network: &NetworkName, peer: &PeerId) -> Self {
        Self::new(network, KeyKind::Peer(*peer))
    }

    fn new(network: &NetworkName, kind: KeyKind) -> Self {
        let text = match &kind {
            KeyKind::Service(name) => format!("/openred/{network}/service/{name}"),
            KeyKind::ServiceOf(name, provider) => format!("/openred/{network}/service/{name}/{provider}"),
            KeyKind::Peer(peer) => format!("/openred/{network}/peer/{peer}"),
        };
        Self { bytes: text.into_bytes(), kind }
    }

    /// Reads a key another peer sent, which must be one of `network`.
    pub fn parse(network: &NetworkName, bytes: &[u8]) -> Result<Self, KeyError> {
        if bytes.len() > MAX_KEY {
            return Err(KeyError::TooLong { bytes: bytes.len() });
        }
        let text = str::from_utf8(bytes).map_err(|_| KeyError::Unknown)?;
        let path = text.strip_prefix("/openred/").ok_or(KeyError::Unknown)?;
        let (of, path) = path.split_once('/').ok_or(KeyError::Unknown)?;
        if of != network.as_str() {
            return Err(KeyError::ForeignNetwork { expected: network.clone() });
        }
        let kind = match path.split_once('/') {
            Some(("service", rest)) => match rest.split_once('/') {
                None => KeyKind::Service(rest.parse()?),
                Some((name, provider)) => KeyKind::ServiceOf(name.parse()?, parse_peer(provider)?),
            },
            Some(("peer", peer)) => KeyKind::Peer(parse_peer(peer)?),
            _ => return Err(KeyError::Unknown),
        };
        Ok(Self { bytes: bytes.to_vec(), kind })
    }

    /// The bytes that go over the wire and that are hashed.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What stands under this key.
    pub fn kind(&self) -> &KeyKind {
        &self.kind
    }

    /// The key under which providers of this are announced: the sha2-256 multihash of the bytes, 34 bytes long.
    pub fn provider(&self) -> Vec<u8> {
        [&SHA2_256[..], &Sha256::digest(&self.bytes)].concat()
    }

    /// Where the value lies in the keyspace.
    ///
    /// The provider key has a position of its own, [`Position::of`] its bytes.
    pub fn position(&self) -> Position {
        Position::of(&self.bytes)
    }
}

/// Whether `bytes` have the form of a provider key: a sha2-256 multihash.
pub fn is_provider_key(bytes: &[u8]) -> bool {
    bytes.len() == SHA2_256.len() + 32 && bytes.starts_with(&SHA2_256)
}

/// Reads a peer id that is spelled as we would spell it ourselves, whatever else its parser may accept.
fn parse_peer(text: &str) -> Result<PeerId, KeyError> {
    let peer: PeerId = text.parse().map_err(|_| KeyError::Peer)?;
    if peer.to_base58() == text { Ok(peer) } else { Err(KeyError::Peer) }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.bytes))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

/// A point of the keyspace: the sha2-256 of a key or of a peer id.
///
/// The order is that of the numbers, the "keyspace order" in which records are republished.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position([u8; 32]);

impl Position {
    /// Where a key with these bytes lies: a value key, a provider key, or the target of a FIND_NODE.
    pub fn of(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
    }

    /// Where a peer lies.
    pub fn of_peer(peer: &PeerId) -> Self {
        Self::of(&peer.to_bytes())
    }

    /// The position with exactly these bits, for choosing points of the keyspace rather than hashing to them.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 256 bits, most significant byte first.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The position that is this far away.
    pub fn at(&self, distance: &Distance) -> Self {
        Self(std::array::from_fn(|i| self.0[i] ^ distance.0[i]))
    }

    /// How far apart two positions are.
    pub fn distance(&self, other: &Self) -> Distance {
        Distance(std::array::from_fn(|i| self.0[i] ^ other.0[i]))
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Position(")?;
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("..)")
    }
}

/// The XOR of two positions, ordered as the 256-bit number it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Distance([u8; 32]);

impl Distance {
    /// The 256 bits, most significant byte first.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// How many leading bits the two positions share: 0 to 256.
    pub fn leading_zeros(&self) -> u32 {
        match self.0.iter().position(|&byte| byte != 0) {
            Some(i) => 8 * i as u32 + self.0[i].leading_zeros(),
            None => 256,
        }
    }

    /// The index of the highest differing bit, which is the number of the routing table's bucket: 0 (nearest) to 255.
    /// `None` for a position's distance to itself.
    pub fn bucket(&self) -> Option<usize> {
        255_u32.checked_sub(self.leading_zeros()).map(|bit| bit as usize)
    }
}

impl fmt::Debug for Distance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bucket() {
            Some(bit) => write!(f, "Distance(2^{bit}..)"),
            None => f.write_str("Distance(0)"),
        }
    }
}

/// Why bytes are not a value key of this network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The key is longer than any of ours.
    #[error("key of {bytes} bytes, at most {MAX_KEY}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// The key is of another namespace, or of a kind this version does not know.
    #[error("not a key of the form /openred/<network>/service/<name>[/<peer id>] or /openred/<network>/peer/<peer id>")]
    Unknown,
    /// The key is well-formed for another network.
    #[error("key of another network than \"{expected}\"")]
    ForeignNetwork {
        /// The network it should be of.
        expected: NetworkName,
    },
    /// The service's name in the key is not valid.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The peer id in the key is not valid base58 of a peer id.
    #[error("the peer id in the key is not valid")]
    Peer,
}

#[cfg(test)]
mod tests;
