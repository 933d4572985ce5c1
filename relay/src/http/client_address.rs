//! Who the client is when a reverse proxy stands in between.
//!
//! A proxy's word is taken only if the proxy is trusted: the addresses in `X-Forwarded-For` (or in `Forwarded`, RFC 7239,
//! if the first is absent) are read from the nearest to the farthest, and the first one that is not a trusted proxy
//! itself is the client. What a client writes into these headers therefore never counts.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, header::FORWARDED};
use ipnet::IpNet;
use multiaddr::{Multiaddr, Protocol};

/// The client's address; the port is 0 where the proxy does not tell it.
pub(crate) fn client_address(connected: SocketAddr, headers: &HeaderMap, trusted: &[IpNet]) -> SocketAddr {
    let is_trusted = |address: &SocketAddr| trusted.iter().any(|range| range.contains(&address.ip()));
    let mut client = canonical(connected);
    if trusted.is_empty() || !is_trusted(&client) {
        return client;
    }
    for hop in hops(headers).iter().rev() {
        let Some(address) = parse(hop) else { break };
        client = canonical(address);
        if !is_trusted(&client) {
            break;
        }
    }
    client
}

/// The client's address as libp2p writes it.
pub(crate) fn as_multiaddr(client: SocketAddr) -> Multiaddr {
    Multiaddr::empty().with(client.ip().into()).with(Protocol::Tcp(client.port())).with(Protocol::Ws("/".into()))
}

/// An IPv4 client of an IPv6 socket is an IPv4 client.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// The hops, the nearest last.
fn hops(headers: &HeaderMap) -> Vec<String> {
    let list = |name: &str| -> Vec<String> {
        let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).map(|item| item.trim().to_owned()).collect()
    };
    let forwarded_for = list("x-forwarded-for");
    if !forwarded_for.is_empty() {
        return forwarded_for;
    }
    list(FORWARDED.as_str()).iter().map(|element| for_parameter(element).unwrap_or_default()).collect()
}

/// The `for` parameter of one element of a `Forwarded` header.
fn for_parameter(element: &str) -> Option<String> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| value.trim().trim_matches('"').to_owned())
    })
}

/// `1.2.3.4`, `1.2.3.4:5`, `::1`, `[::1]` or `[::1]:5`.
fn parse(text: &str) -> Option<SocketAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 0)).ok().or_else(|| text.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "10.0.0.1:999";

    fn client(connected: &str, lines: &[(&'static str, &str)]) -> String {
        let headers = lines.iter().map(|(name, value)| {
            (axum::http::HeaderName::from_static(name), value.parse::<axum::http::HeaderValue>().unwrap())
        });
        let mut map = HeaderMap::new();
        headers.for_each(|(name, value)| {
            map.append(name, value);
        });
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        client_address(connected.parse().unwrap(), &map, &trusted).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        assert_eq!(client("203.0.113.1:5", &[("x-forwarded-for", "198.51.100.7")]), "203.0.113.1:5");
        assert_eq!(client(PROXY, &[("x-forwarded-for", "198.51.100.7")]), "198.51.100.7:0");
        assert_eq!(client("[::ffff:10.0.0.1]:999", &[("x-forwarded-for", "198.51.100.7")]), "198.51.100.7:0");
        assert_eq!(client(PROXY, &[]), PROXY);
    }

    #[test]
    fn what_the_client_wrote_itself_does_not_count() {
        assert_eq!(client(PROXY, &[("x-forwarded-for", "1.1.1.1, 198.51.100.7")]), "198.51.100.7:0");
        assert_eq!(
            client(PROXY, &[("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "198.51.100.7")]),
            "198.51.100.7:0"
        );
        assert_eq!(client(PROXY, &[("x-forwarded-for", "198.51.100.7, 10.0.0.2")]), "198.51.100.7:0");
        assert_eq!(client(PROXY, &[("x-forwarded-for", "198.51.100.7, nonsense, 10.0.0.2")]), "10.0.0.2:0");
        assert_eq!(
            client(PROXY, &[("forwarded", "for=1.1.1.1"), ("x-forwarded-for", "198.51.100.7")]),
            "198.51.100.7:0"
        );
    }

    #[test]
    fn forwarded_is_read_as_rfc_7239_writes_it() {
        assert_eq!(
            client(PROXY, &[("forwarded", "proto=https;FOR=\"[2001:db8::1]:4711\";by=x")]),
            "[2001:db8::1]:4711"
        );
        assert_eq!(client(PROXY, &[("forwarded", "for=192.0.2.60, for=\"[fd00::2]\"")]), "192.0.2.60:0");
        assert_eq!(client(PROXY, &[("forwarded", "for=192.0.2.60, for=_hidden")]), PROXY);
    }

    #[test]
    fn the_multiaddr_is_a_websocket() {
        assert_eq!(as_multiaddr("192.0.2.60:0".parse().unwrap()).to_string(), "/ip4/192.0.2.60/tcp/0/ws");
        assert_eq!(as_multiaddr("[2001:db8::1]:4".parse().unwrap()).to_string(), "/ip6/2001:db8::1/tcp/4/ws");
    }
}
