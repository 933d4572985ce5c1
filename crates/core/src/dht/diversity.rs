//! Address groups: which peers are likely to be run by the same hand.
//!
//! Identities are free, addresses are not. Whoever fills a table with identities of their own needs addresses for them,
//! and those come in blocks: a /16 of IPv4, a /32 of IPv6 (the least that a registry gives a provider), or names under one
//! domain. go-libp2p's peer diversity filter counts the same way (`go-libp2p-kbucket/peerdiversity`).
//!
//! Private and loopback addresses are in no group: a home network or a test has only those. Nothing is resolved here.

use multiaddr::{Multiaddr, Protocol};
use sha2::{Digest, Sha256};

use crate::address::{is_private, is_relayed};

/// One block of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Group([u8; 8]);

impl Group {
    /// The group of a peer: that of its first address that counts. For a peer that this node dialled that is the one by which
    /// it was reached; one that dialled in chooses its group by what it claims.
    pub(crate) fn of(addresses: &[Multiaddr]) -> Option<Self> {
        addresses.iter().filter(|address| !is_private(address) && !is_relayed(address)).find_map(group)
    }
}

fn group(address: &Multiaddr) -> Option<Group> {
    let mut block = [0; 8];
    match address.iter().next()? {
        Protocol::Ip4(ip) => {
            block[0] = 4;
            block[1..3].copy_from_slice(&ip.octets()[..2]);
        }
        Protocol::Ip6(ip) => {
            block[0] = 6;
            block[1..5].copy_from_slice(&ip.octets()[..4]);
        }
        Protocol::Dns(host) | Protocol::Dns4(host) | Protocol::Dns6(host) => {
            let host = host.trim_end_matches('.').to_ascii_lowercase();
            let domain = host.rmatch_indices('.').nth(1).map_or(&host[..], |(at, _)| &host[at + 1..]);
            block[0] = 1;
            block[1..].copy_from_slice(&Sha256::digest(domain.as_bytes())[..7]);
        }
        _ => return None,
    }
    Some(Group(block))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(address: &str) -> Option<Group> {
        Group::of(&[address.parse().expect("a multiaddr")])
    }

    #[test]
    fn blocks_are_told_apart_and_private_ones_do_not_count() {
        assert_eq!(of("/ip4/198.51.100.1/tcp/80/ws"), of("/ip4/198.51.7.9/udp/1/quic-v1"));
        assert_ne!(of("/ip4/198.51.100.1/tcp/80"), of("/ip4/198.52.100.1/tcp/80"));
        assert_eq!(of("/ip6/2001:db8::1/tcp/80"), of("/ip6/2001:db8:ffff::1/tcp/80"));
        assert_ne!(of("/ip6/2001:db8::1/tcp/80"), of("/ip6/2001:db9::1/tcp/80"));
        assert_eq!(of("/dns/a.relays.example/tcp/443"), of("/dns4/b.Relays.example./tcp/443"));
        assert_ne!(of("/dns/relays.example/tcp/443"), of("/dns/relays.test/tcp/443"));
        for private in ["/ip4/10.0.0.1/tcp/80", "/ip4/127.0.0.1/tcp/80", "/ip6/::1/tcp/80", "/dns/localhost/tcp/80"] {
            assert_eq!(of(private), None, "{private}");
        }
        let mixed = ["/ip4/192.168.1.2/tcp/80", "/ip4/198.51.100.1/tcp/80"].map(|text| text.parse().expect("one"));
        assert_eq!(Group::of(&mixed), of("/ip4/198.51.0.0/tcp/1"));
    }
}
