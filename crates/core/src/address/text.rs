//! Multiaddrs as text.
//!
//! Why not `multiaddr`'s own reader: it knows onion and garlic addresses and every multibase, and with them comes 14 kB
//! of tables and code into the published module. This one knows the protocols that nodes of a network are reached by, in
//! the spelling in which [`Multiaddr`] writes them, and reads nothing that the other one would not read.

use std::str::FromStr;

use libp2p_identity::PeerId;
use multiaddr::{Multiaddr, Protocol};
use multihash::Multihash;

/// Reads a multiaddr, such as `/ip4/192.0.2.1/tcp/443/tls/ws`.
pub fn parse_multiaddr(text: &str) -> Result<Multiaddr, MultiaddrError> {
    let mut parts = text.strip_prefix('/').ok_or(MultiaddrError::NoSlash)?.split('/');
    let mut address = Multiaddr::empty();
    while let Some(name) = parts.next() {
        address.push(protocol(name, &mut parts)?);
    }
    Ok(address)
}

/// One protocol, with its value if it has one.
fn protocol<'a>(name: &str, parts: &mut impl Iterator<Item = &'a str>) -> Result<Protocol<'a>, MultiaddrError> {
    let without_value = match name {
        "tls" => Some(Protocol::Tls),
        "noise" => Some(Protocol::Noise),
        "quic" => Some(Protocol::Quic),
        "quic-v1" => Some(Protocol::QuicV1),
        "ws" => Some(Protocol::Ws("/".into())),
        "wss" => Some(Protocol::Wss("/".into())),
        "http" => Some(Protocol::Http),
        "https" => Some(Protocol::Https),
        "webrtc" => Some(Protocol::WebRTC),
        "webrtc-direct" => Some(Protocol::WebRTCDirect),
        "webtransport" => Some(Protocol::WebTransport),
        "p2p-circuit" => Some(Protocol::P2pCircuit),
        _ => None,
    };
    if let Some(protocol) = without_value {
        return Ok(protocol);
    }
    let read: fn(&'a str) -> Option<Protocol<'a>> = match name {
        "ip4" => |text| text.parse().ok().map(Protocol::Ip4),
        "ip6" => |text| text.parse().ok().map(Protocol::Ip6),
        "dns" => |text| Some(Protocol::Dns(text.into())),
        "dns4" => |text| Some(Protocol::Dns4(text.into())),
        "dns6" => |text| Some(Protocol::Dns6(text.into())),
        "dnsaddr" => |text| Some(Protocol::Dnsaddr(text.into())),
        "sni" => |text| Some(Protocol::Sni(text.into())),
        "tcp" => |text| text.parse().ok().map(Protocol::Tcp),
        "udp" => |text| text.parse().ok().map(Protocol::Udp),
        "memory" => |text| text.parse().ok().map(Protocol::Memory),
        "x-parity-ws" => |text| percent_decoded(text).map(|path| Protocol::Ws(path.into())),
        "x-parity-wss" => |text| percent_decoded(text).map(|path| Protocol::Wss(path.into())),
        "certhash" => |text| certificate_hash(text).map(Protocol::Certhash),
        "p2p" | "ipfs" => |text| PeerId::from_str(text).ok().map(Protocol::P2p),
        _ => return Err(MultiaddrError::Unknown { protocol: name.into() }),
    };
    let value = parts.next().filter(|value| !value.is_empty());
    let value = value.ok_or_else(|| MultiaddrError::NoValue { protocol: name.into() })?;
    read(value).ok_or_else(|| MultiaddrError::Value { protocol: name.into(), value: value.into() })
}

/// A multihash in unpadded base64url, the multibase with the letter u, in which all implementations write it.
fn certificate_hash(text: &str) -> Option<Multihash<64>> {
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for letter in text.strip_prefix('u')?.bytes() {
        let six = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(six);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    // The last letter may hold bits that are part of no byte; there is one way to write each value.
    let unused = bits & ((1 << count) - 1);
    (count < 6 && unused == 0).then(|| Multihash::from_bytes(&bytes).ok())?
}

/// Text with `%2F` for a slash and so on.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        let escaped = match (first, after) {
            (b'%', [high, low, after @ ..]) => hex(*high).zip(hex(*low)).map(|(high, low)| (high << 4 | low, after)),
            _ => None,
        };
        match escaped {
            Some((byte, after)) => {
                bytes.push(byte);
                rest = after;
            }
            None => bytes.push(*first),
        }
    }
    String::from_utf8(bytes).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

/// Why a text is not a multiaddr.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MultiaddrError {
    /// It does not begin with a slash.
    #[error("it does not begin with a slash")]
    NoSlash,
    /// A protocol is none that a node is reached by.
    #[error("{protocol:?} is no protocol that is known here")]
    Unknown {
        /// What stands in its place.
        protocol: String,
    },
    /// The text ends where a value should follow.
    #[error("/{protocol} needs a value after it")]
    NoValue {
        /// The protocol.
        protocol: String,
    },
    /// A value is not of the kind that its protocol has.
    #[error("/{protocol}/{value} is not a valid {protocol}")]
    Value {
        /// The protocol.
        protocol: String,
        /// The value.
        value: String,
    },
}

#[cfg(test)]
mod tests;
