//! Where others find the server: the host names of the relay's own addresses, with the port of STUN.

use std::{
    cmp::Reverse,
    net::{IpAddr, SocketAddr},
};

use multiaddr::{Multiaddr, Protocol};
use openred_core::address::is_relayed;

/// Servers named of one relay. A browser asks each of them from each of its interfaces, and warns its developers from five
/// on.
const NAMED: usize = 2;

/// URLs of the server that is bound to `bound`, for the `iceServers` of browsers, the best first: names, then public
/// addresses, then others.
///
/// `addresses` are those at which the relay is reached. A server on loopback is reached by loopback, whatever the relay
/// announces.
pub(crate) fn urls(bound: SocketAddr, addresses: &[Multiaddr]) -> Vec<String> {
    let mut hosts: Vec<Host> = Vec::new();
    if !bound.ip().is_loopback() {
        let direct = addresses.iter().filter(|address| !is_relayed(address));
        for host in direct.filter_map(host).filter(|host| host.is_served_by(bound.ip())) {
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        }
        hosts.sort_by_key(|host| Reverse(host.rank()));
        // Whom one address of a private network reaches, all of them reach; from outside none of them is.
        let least = hosts.first().map_or(Rank::Loopback, |best| best.rank().min(Rank::Public));
        hosts.retain(|host| host.rank() >= least);
    }
    if hosts.is_empty() && !bound.ip().is_unspecified() {
        hosts.push(Host::Address(bound.ip()));
    }
    hosts.iter().take(NAMED).map(|host| host.url(bound.port())).collect()
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Host {
    Name(String),
    Address(IpAddr),
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Rank {
    Loopback,
    Private,
    Public,
    Name,
}

impl Host {
    fn is_served_by(&self, bound: IpAddr) -> bool {
        match (self, bound) {
            (Self::Name(_), _) => true,
            // An IPv6 socket that is bound to no address takes IPv4 too.
            (Self::Address(host), bound) => {
                host.is_ipv4() == bound.is_ipv4() || bound.is_unspecified() && bound.is_ipv6()
            }
        }
    }

    fn rank(&self) -> Rank {
        match self {
            Self::Name(_) => Rank::Name,
            Self::Address(ip) if ip.is_loopback() => Rank::Loopback,
            Self::Address(IpAddr::V4(ip)) if ip.is_private() || ip.is_link_local() => Rank::Private,
            Self::Address(IpAddr::V6(ip)) if ip.is_unique_local() || ip.is_unicast_link_local() => Rank::Private,
            Self::Address(_) => Rank::Public,
        }
    }

    fn url(&self, port: u16) -> String {
        match self {
            Self::Name(name) => format!("stun:{name}:{port}"),
            Self::Address(ip) => format!("stun:{}", SocketAddr::new(*ip, port)),
        }
    }
}

/// The host an address begins with, unless it stands for every interface.
fn host(address: &Multiaddr) -> Option<Host> {
    match address.iter().next()? {
        Protocol::Ip4(ip) if !ip.is_unspecified() => Some(Host::Address(ip.into())),
        Protocol::Ip6(ip) if !ip.is_unspecified() => Some(Host::Address(ip.into())),
        Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => Some(Host::Name(name.into_owned())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(bound: &str, addresses: &[&str]) -> Vec<String> {
        let addresses: Vec<_> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        urls(bound.parse().unwrap(), &addresses)
    }

    #[test]
    fn on_loopback_it_is_found_there_alone() {
        let announced = ["/dns/relay.example.org/tcp/443/tls/ws"];
        assert_eq!(listed("127.0.0.1:3478", &announced), ["stun:127.0.0.1:3478"]);
        assert_eq!(listed("[::1]:3478", &announced), ["stun:[::1]:3478"]);
    }

    #[test]
    fn names_then_public_addresses_then_private_ones() {
        let addresses = [
            "/ip4/127.0.0.1/tcp/80/ws",
            "/ip4/10.0.0.5/tcp/80/ws",
            "/ip4/203.0.113.5/tcp/80/ws",
            "/ip4/203.0.113.5/udp/80/quic-v1",
            "/ip6/2001:db8::5/tcp/80/ws",
            "/dns/relay.example.org/tcp/443/tls/ws",
        ];
        assert_eq!(listed("[::]:3478", &addresses), ["stun:relay.example.org:3478", "stun:203.0.113.5:3478"]);
        assert_eq!(listed("[::]:3478", &addresses[..5]), ["stun:203.0.113.5:3478", "stun:[2001:db8::5]:3478"]);
        assert_eq!(listed("0.0.0.0:3478", &addresses[..5]), ["stun:203.0.113.5:3478"]);
        assert_eq!(listed("0.0.0.0:3478", &addresses[..2]), ["stun:10.0.0.5:3478"]);
        assert_eq!(listed("0.0.0.0:3478", &addresses[..1]), ["stun:127.0.0.1:3478"]);
    }

    #[test]
    fn behind_a_one_to_one_nat_the_announced_address_counts() {
        assert_eq!(listed("10.0.0.5:3478", &["/ip4/203.0.113.5/tcp/443/ws"]), ["stun:203.0.113.5:3478"]);
        assert_eq!(listed("10.0.0.5:3478", &[]), ["stun:10.0.0.5:3478"]);
    }

    #[test]
    fn other_peoples_hosts_and_no_hosts_are_not_named() {
        let circuit = "/ip4/203.0.113.9/tcp/80/ws/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN/p2p-circuit";
        assert!(listed("0.0.0.0:3478", &[circuit, "/ip4/0.0.0.0/tcp/80/ws"]).is_empty());
    }
}
