//! Which host names this relay answers for, where a name is signed.
//!
//! A client that proves its key signs the host it asked. If a relay accepted any name, a stranger could have a client sign the
//! stranger's name and pass that on. So only these count: the names and addresses that the operator announces, the local
//! address of the connection itself, and `localhost` on this machine.

use std::{collections::BTreeSet, net::IpAddr};

use axum::http::{HeaderMap, header::HOST};
use multiaddr::{Multiaddr, Protocol};

/// The hosts that were announced, in lower case, without ports.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hosts(BTreeSet<String>);

/// The own address of the connection a request came over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LocalAddress(pub(crate) IpAddr);

impl Hosts {
    /// The hosts in these addresses.
    pub(crate) fn of<'a>(announced: impl IntoIterator<Item = &'a Multiaddr>) -> Self {
        Self(announced.into_iter().filter_map(host_of).collect())
    }

    /// Whether `authority`, a host with or without a port, is one of this relay's on a connection to `local`.
    pub(crate) fn accept(&self, authority: &str, local: Option<IpAddr>) -> bool {
        let host = without_port(authority).to_ascii_lowercase();
        if self.0.contains(&host) {
            return true;
        }
        let Some(local) = local.map(|ip| ip.to_canonical()) else { return false };
        match host.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(ip) => ip.to_canonical() == local,
            Err(_) => host == "localhost" && local.is_loopback(),
        }
    }
}

/// The authority that the client asked: what a trusted proxy says, else the `Host` header.
pub(crate) fn authority(headers: &HeaderMap, is_proxied: bool) -> &str {
    let forwarded = headers.get("x-forwarded-host").filter(|_| is_proxied);
    forwarded.or(headers.get(HOST)).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn host_of(address: &Multiaddr) -> Option<String> {
    match address.iter().next()? {
        Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => Some(name.to_ascii_lowercase()),
        Protocol::Ip4(ip) => Some(ip.to_string()),
        Protocol::Ip6(ip) => Some(format!("[{ip}]")),
        _ => None,
    }
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !host.ends_with(':') => host,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_hosts_are_accepted() {
        let announced: Vec<Multiaddr> =
            ["/dns/Relay.example.org/tcp/443/tls/ws", "/ip4/203.0.113.5/tcp/80/ws", "/ip6/2001:db8::1/tcp/80/ws"]
                .iter()
                .map(|text| text.parse().unwrap())
                .collect();
        let hosts = Hosts::of(&announced);
        let accepts = |authority: &str, local: &str| hosts.accept(authority, local.parse().ok());
        for right in
            ["relay.example.org", "RELAY.example.org:443", "203.0.113.5:80", "[2001:db8::1]:80", "10.0.0.7:8080"]
        {
            assert!(accepts(right, "10.0.0.7"), "{right}");
        }
        for wrong in
            ["", "evil.example", "198.51.100.1", "localhost", "relay.example.org.evil.example", "10.0.0.8", "[::1]"]
        {
            assert!(!accepts(wrong, "10.0.0.7"), "{wrong}");
        }
        assert!(accepts("localhost:8080", "127.0.0.1") && accepts("127.0.0.1", "::ffff:127.0.0.1"));
        assert!(accepts("[::1]:8080", "::1") && !hosts.accept("localhost", None));
    }
}
