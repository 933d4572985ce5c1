//! Where relays are found: the addresses people write, and what a multiaddr says about how it is reached.
//!
//! A relay can be written as a URL (what stands in a browser's address bar), as a multiaddr, or as `host:port`.
//! [`RelayAddress`] turns each into the multiaddr that is dialled. Nothing is resolved or dialled here.

pub(crate) mod origin;
mod text;

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

use libp2p_identity::PeerId;
use multiaddr::{Multiaddr, Protocol};

pub use origin::origin;
pub use text::{MultiaddrError, parse_multiaddr};

/// The longest text that is looked at, in bytes.
pub const MAX_TEXT: usize = 2048;

/// The three forms, for error messages.
const FORMS: &str = "a relay is written as a URL (https://relay.example), \
    a multiaddr (/dns/relay.example/tcp/443/tls/ws) or host:port (relay.example:8080)";

/// The transports a relay's multiaddr may have, for error messages.
const TRANSPORTS: &str = "/tcp/PORT/ws, /tcp/PORT/tls/ws (or /wss), /tcp/PORT, /udp/PORT/quic-v1 \
    or /udp/PORT/webrtc-direct/certhash/HASH after /ip4, /ip6, /dns, /dns4 or /dns6";

/// A relay's address as somebody wrote it, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayAddress {
    /// What is dialled, without the peer id.
    pub multiaddr: Multiaddr,
    /// Who must answer, if the address says so.
    pub peer: Option<PeerId>,
    text: String,
}

impl RelayAddress {
    /// Reads an address. `secure_default` says whether `host:port` means a WebSocket with TLS, as it must on a page
    /// that itself came over https.
    ///
    /// URLs may have the schemes http and https (as a relay's page has) or ws and wss, with ports 80 and 443 by
    /// default; their path and query stay part of the WebSocket's address.
    pub fn parse(text: &str, secure_default: bool) -> Result<Self, AddressError> {
        let text = text.trim();
        if text.len() > MAX_TEXT {
            return Err(AddressError::TooLong { bytes: text.len() });
        }
        let (multiaddr, peer) = if let Some((scheme, rest)) = text.split_once("://") {
            (parse_url(text, scheme, rest)?, None)
        } else if text.starts_with('/') {
            parse_relay(text)?
        } else {
            let (host, port) = split_host_port(text, text)?;
            let port = port.ok_or_else(|| AddressError::NoPort { text: text.into() })?;
            (websocket(text, host, port, secure_default, "/")?, None)
        };
        Ok(Self { multiaddr, peer, text: text.into() })
    }
}

/// The text as it was given.
impl fmt::Display for RelayAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether the address leads through a relay. That of a browser, with `/webrtc` behind the circuit, does not: the relay only
/// helps two browsers to find a direct path.
pub fn is_relayed(address: &Multiaddr) -> bool {
    let last = address.iter().filter(|protocol| matches!(protocol, Protocol::P2pCircuit | Protocol::WebRTC)).last();
    last == Some(Protocol::P2pCircuit)
}

/// Whether the address is that of a direct path which is agreed on through a relay: `<relay>/p2p-circuit/webrtc`.
pub fn is_signalled(address: &Multiaddr) -> bool {
    address.iter().any(|protocol| matches!(protocol, Protocol::WebRTC))
}

/// The address of the relay in one that leads behind it, up to the circuit; the whole of any other.
pub(crate) fn until_circuit(address: &Multiaddr) -> Multiaddr {
    address.iter().take_while(|protocol| !matches!(protocol, Protocol::P2pCircuit)).collect()
}

/// The address without the peer id at its end, if it ends in one.
pub(crate) fn without_peer(mut address: Multiaddr) -> Multiaddr {
    if matches!(address.iter().last(), Some(Protocol::P2p(_))) {
        address.pop();
    }
    address
}

/// The address of a direct path that is agreed on over this circuit; the circuit's address may end in its peer or not.
pub fn signalled_over(circuit: &Multiaddr) -> Multiaddr {
    until_circuit(circuit).with(Protocol::P2pCircuit).with(Protocol::WebRTC)
}

/// Whether the address only means something near the machine it is used on: loopback, private and link-local addresses,
/// and names under `localhost` or `local`. Of a relayed address, the relay's part counts.
pub fn is_private(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => is_private_ip4(ip),
        Some(Protocol::Ip6(ip)) => is_private_ip6(ip),
        Some(Protocol::Dns(host) | Protocol::Dns4(host) | Protocol::Dns6(host)) => {
            let host = host.trim_end_matches('.').to_ascii_lowercase();
            ["localhost", "local"].contains(&host.rsplit('.').next().unwrap_or_default())
        }
        _ => false,
    }
}

/// Whether an address is link-local: without the zone, which an address does not carry, nobody can dial it.
pub fn is_link_local(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => ip.is_link_local(),
        Some(Protocol::Ip6(ip)) => ip.is_unicast_link_local(),
        _ => false,
    }
}

/// Whether an address leads to one host of the public Internet, by the registries of special addresses of IANA (RFC 6890): an IP
/// address that stands for no other network, no group, no translator or tunnel and no example. Names lead anywhere.
pub(crate) fn is_global(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => {
            let examples = matches!(ip.octets(), [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _]);
            let others = matches!(ip.octets(), [192, 88, 99, _] | [198, 18..=19, ..]);
            !is_private_ip4(ip) && !examples && !others
        }
        Some(Protocol::Ip6(ip)) => match ip.segments() {
            // Tunnels (Teredo and 6to4) and other protocols, and examples.
            [0x2001, ..0x200, ..] | [0x2001, 0xdb8, ..] | [0x2002, ..] | [0x3fff, ..0x1000, ..] => false,
            [first, ..] => first & 0xe000 == 0x2000,
        },
        _ => false,
    }
}

/// Beside networks of one's own: this host, a carrier's translator (RFC 6598), protocols' own, groups and broadcast.
fn is_private_ip4(ip: Ipv4Addr) -> bool {
    matches!(
        ip.octets(),
        [0 | 10 | 127 | 224.., ..]
            | [100, 64..=127, ..]
            | [169, 254, ..]
            | [172, 16..=31, ..]
            | [192, 168, ..]
            | [192, 0, 0, _]
    )
}

fn is_private_ip6(ip: Ipv6Addr) -> bool {
    match ip.segments() {
        // What stands for an IPv4 address: loopback and none among the first, then translated ones (RFC 6052) and 6to4.
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            is_private_ip4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)))
        }
        [0x64, 0xff9b, ..] => true,
        // Unique local, link-local and site-local addresses, and groups.
        [first, ..] => matches!(first, 0xfc00..=0xfdff | 0xfe80..),
    }
}

/// The address at which a peer is reached through a relay. The relay's address may end in its peer id or not.
pub fn circuit_through(relay: &Multiaddr, relay_peer: PeerId) -> Multiaddr {
    let mut address = relay.clone();
    if let Some(Protocol::P2p(_)) = address.iter().last() {
        address.pop();
    }
    address.with(Protocol::P2p(relay_peer)).with(Protocol::P2pCircuit)
}

fn parse_url(text: &str, scheme: &str, rest: &str) -> Result<Multiaddr, AddressError> {
    let (secure, default_port) = match scheme.to_ascii_lowercase().as_str() {
        "http" | "ws" => (false, 80),
        "https" | "wss" => (true, 443),
        _ => return Err(AddressError::Scheme { text: text.into(), scheme: scheme.into() }),
    };
    let rest = rest.split('#').next().unwrap_or_default();
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err(AddressError::UserInfo { text: text.into() });
    }
    if let Some(found) = path.chars().find(|c| !c.is_ascii_graphic()) {
        return Err(AddressError::Path { text: text.into(), found });
    }
    let path = if path.starts_with('/') { path.into() } else { format!("/{path}") };
    let (host, port) = split_host_port(text, authority)?;
    websocket(text, host, port.unwrap_or(default_port), secure, &path)
}

/// Splits `host`, `host:port`, `[ip6]` or `[ip6]:port`. An empty port is none, as in URLs.
fn split_host_port<'a>(text: &str, authority: &'a str) -> Result<(&'a str, Option<u16>), AddressError> {
    let bad_host = |reason| AddressError::Host { text: text.into(), reason };
    let (host, port) = if authority.starts_with('[') {
        let end = authority.find(']').ok_or_else(|| bad_host("its [ is not closed"))?;
        let (host, rest) = authority.split_at(end + 1);
        match rest.strip_prefix(':') {
            Some(port) => (host, port),
            None if rest.is_empty() => (host, ""),
            None => return Err(bad_host("there is something between ] and the port")),
        }
    } else {
        match authority.split_once(':') {
            Some((_, port)) if port.contains(':') => return Err(bad_host("an IPv6 address goes in [ ]")),
            Some(split) => split,
            None => (authority, ""),
        }
    };
    if port.is_empty() {
        return Ok((host, None));
    }
    let digits = port.bytes().all(|b| b.is_ascii_digit());
    match port.parse() {
        Ok(number @ 1..) if digits => Ok((host, Some(number))),
        _ => Err(AddressError::Port { text: text.into(), port: port.into() }),
    }
}

fn websocket(text: &str, host: &str, port: u16, secure: bool, path: &str) -> Result<Multiaddr, AddressError> {
    let host = parse_host(host).map_err(|reason| AddressError::Host { text: text.into(), reason })?;
    let address = Multiaddr::empty().with(host).with(Protocol::Tcp(port));
    let address = if secure { address.with(Protocol::Tls) } else { address };
    Ok(address.with(Protocol::Ws(path.into())))
}

fn parse_host(host: &str) -> Result<Protocol<'_>, &'static str> {
    if let Some(ip6) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return ip6.parse().map(Protocol::Ip6).map_err(|_| "what is in [ ] is not an IPv6 address");
    }
    if let Ok(ip4) = host.parse() {
        return Ok(Protocol::Ip4(ip4));
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    if name.is_empty() {
        return Err("there is no host");
    }
    if !name.is_ascii() {
        return Err("a name in other letters is written in its xn-- form");
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    if name.len() > 253 || !name.split('.').all(label) {
        return Err("it is not a host name");
    }
    if name.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit())) {
        return Err("it is not an IPv4 address");
    }
    Ok(Protocol::Dns(name.to_ascii_lowercase().into()))
}

fn parse_relay(text: &str) -> Result<(Multiaddr, Option<PeerId>), AddressError> {
    let mut address = parse_multiaddr(text).map_err(|source| AddressError::Multiaddr { text: text.into(), source })?;
    if is_relayed(&address) {
        return Err(AddressError::Relayed { text: text.into() });
    }
    let peer = match address.iter().last() {
        Some(Protocol::P2p(peer)) => {
            address.pop();
            Some(peer)
        }
        _ => None,
    };
    check_transport(&address, text)?;
    Ok((address, peer))
}

fn check_transport(address: &Multiaddr, text: &str) -> Result<(), AddressError> {
    let unknown = || AddressError::Transport { text: text.into() };
    let protocols: Vec<_> = address.iter().collect();
    let (host, transport) = protocols.split_first().ok_or_else(unknown)?;
    let port = match (host, transport) {
        (Protocol::Ip4(ip), _) if ip.is_unspecified() => return Err(AddressError::Unspecified { text: text.into() }),
        (Protocol::Ip6(ip), _) if ip.is_unspecified() => return Err(AddressError::Unspecified { text: text.into() }),
        (
            Protocol::Ip4(_) | Protocol::Ip6(_) | Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_),
            [Protocol::Tcp(port) | Protocol::Udp(port), ..],
        ) => *port,
        _ => return Err(unknown()),
    };
    if port == 0 {
        return Err(AddressError::Port { text: text.into(), port: "0".into() });
    }
    match transport {
        [Protocol::Tcp(_)]
        | [Protocol::Tcp(_), Protocol::Ws(_) | Protocol::Wss(_)]
        | [Protocol::Tcp(_), Protocol::Tls, Protocol::Ws(_)]
        | [Protocol::Udp(_), Protocol::QuicV1] => Ok(()),
        [Protocol::Udp(_), Protocol::WebRTCDirect, hashes @ ..] if !hashes.is_empty() && hashes.iter().all(is_pin) => {
            Ok(())
        }
        [Protocol::Udp(_), Protocol::WebRTCDirect, ..] => Err(AddressError::Certhash { text: text.into() }),
        _ => Err(unknown()),
    }
}

/// Whether this is a certificate's sha2-256, the only hash by which WebRTC certificates are pinned.
fn is_pin(protocol: &Protocol<'_>) -> bool {
    /// The code of sha2-256 in the multihash table.
    const SHA2_256: u64 = 0x12;
    matches!(protocol, Protocol::Certhash(hash) if hash.code() == SHA2_256 && hash.digest().len() == 32)
}

/// Why a text is not the address of a relay. Each message names the text and what would be right.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AddressError {
    /// The text is too long.
    #[error("address of {bytes} bytes, at most {MAX_TEXT}; {}", FORMS)]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// The URL has a scheme that is not for relays.
    #[error("{text:?} is not a relay's address: {scheme}:// is none of https, http, wss and ws; {}", FORMS)]
    Scheme {
        /// The text.
        text: String,
        /// The scheme.
        scheme: String,
    },
    /// The URL has a user name or a password.
    #[error("{text:?} is not a relay's address: it has a user name; {}", FORMS)]
    UserInfo {
        /// The text.
        text: String,
    },
    /// The URL's path has a character that URLs write with %.
    #[error("{text:?} is not a relay's address: its path has {found:?}; {}", FORMS)]
    Path {
        /// The text.
        text: String,
        /// The character.
        found: char,
    },
    /// The host is neither a name nor an IP address.
    #[error("{text:?} is not a relay's address: {reason}; {}", FORMS)]
    Host {
        /// The text.
        text: String,
        /// What is wrong with the host.
        reason: &'static str,
    },
    /// `host:port` has no port.
    #[error("{text:?} is not a relay's address: there is no port; {}", FORMS)]
    NoPort {
        /// The text.
        text: String,
    },
    /// The port is not a number from 1 to 65535.
    #[error("{text:?} is not a relay's address: port {port:?} is not a number from 1 to 65535; {}", FORMS)]
    Port {
        /// The text.
        text: String,
        /// The port.
        port: String,
    },
    /// The text begins like a multiaddr but is none.
    #[error("{text:?} is not a multiaddr: {source}; {}", FORMS)]
    Multiaddr {
        /// The text.
        text: String,
        /// What is wrong with it.
        source: MultiaddrError,
    },
    /// The address leads through a relay, where a relay itself is wanted.
    #[error(
        "{text:?} is not a relay's address: it leads through a relay (/p2p-circuit), give the relay itself; {}",
        FORMS
    )]
    Relayed {
        /// The text.
        text: String,
    },
    /// The address stands for every interface of a machine, so it can be listened on but not dialled.
    #[error("{text:?} is not a relay's address: 0.0.0.0 and :: can be listened on, not dialled; {}", FORMS)]
    Unspecified {
        /// The text.
        text: String,
    },
    /// The multiaddr has no transport we speak.
    #[error("{text:?} is not a relay's address: its transport is none of {}", TRANSPORTS)]
    Transport {
        /// The text.
        text: String,
    },
    /// A WebRTC-direct address has no certificate hash, or not a sha2-256.
    #[error(
        "{text:?} is not a relay's address: webrtc-direct needs the relay's certificate, /certhash/HASH with a sha2-256"
    )]
    Certhash {
        /// The text.
        text: String,
    },
}

impl AddressError {
    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong { .. }
            | Self::Scheme { .. }
            | Self::UserInfo { .. }
            | Self::Path { .. }
            | Self::Host { .. }
            | Self::NoPort { .. }
            | Self::Port { .. }
            | Self::Multiaddr { .. }
            | Self::Relayed { .. }
            | Self::Unspecified { .. }
            | Self::Transport { .. }
            | Self::Certhash { .. } => "INVALID_ADDRESS",
        }
    }
}

#[cfg(test)]
mod tests;
