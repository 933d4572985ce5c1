//! Which ports a relay takes, and a clear word when one is taken.
//!
//! The HTTP and metrics sockets are bound here. The sockets of `--listen` are bound by the node; they are tried here
//! first, because an error that names the option is worth more than one that names a transport.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
};

use multiaddr::{Multiaddr, Protocol};
use tokio::net::{TcpListener, UdpSocket as AsyncUdpSocket};

/// How often another TCP port is tried when the UDP ports beside a free one are taken.
const ATTEMPTS: usize = 64;

/// Why a port cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PortError {
    /// Somebody else has it.
    #[error("{option}: `{address}` is in use; stop the other program, or choose another port ({option} {example})")]
    InUse {
        /// The option to change.
        option: &'static str,
        /// The address as given or derived.
        address: String,
        /// A value that would work.
        example: String,
    },
    /// The system refuses it for another reason.
    #[error("{option}: `{address}` cannot be listened on: {source}")]
    Refused {
        /// The option to change.
        option: &'static str,
        /// The address as given or derived.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// A UDP port that `--http` brings with it cannot be had.
    #[error(
        "--http: `{http}` brings `{address}` with it, which cannot be listened on: {source}; choose another port, or say \
         where to --listen"
    )]
    Beside {
        /// The address of `--http`.
        http: SocketAddr,
        /// The address that was derived from it.
        address: Multiaddr,
        /// What the system said.
        source: io::Error,
    },
    /// There is no next UDP port for WebRTC-direct.
    #[error(
        "--http: port 65535 leaves no next UDP port for WebRTC-direct; choose a lower one, or say where to --listen"
    )]
    LastPort,
    /// Port 0 was asked for and nothing was found.
    #[error(
        "--http: no free port was found whose number and the next are free for UDP too; choose one, or say where to --listen"
    )]
    NoneFree,
}

/// Binds `--http`. With port 0 and `with_udp`, takes a port whose number and the next are free for UDP too.
pub(crate) async fn bind_http(address: SocketAddr, with_udp: bool) -> Result<TcpListener, PortError> {
    if with_udp && address.port() == u16::MAX {
        return Err(PortError::LastPort);
    }
    if address.port() != 0 || !with_udp {
        return bind("--http", address).await;
    }
    // The refused ones are held until the end, so that the system offers others.
    let mut refused = Vec::new();
    while refused.len() < ATTEMPTS {
        let listener = bind("--http", address).await?;
        let bound = local(&listener);
        let free = |port| UdpSocket::bind(SocketAddr::new(bound.ip(), port)).is_ok();
        if bound.port().checked_add(1).is_some_and(|next| free(bound.port()) && free(next)) {
            return Ok(listener);
        }
        refused.push(listener);
    }
    Err(PortError::NoneFree)
}

/// Binds a TCP socket for `option`.
pub(crate) async fn bind(option: &'static str, address: SocketAddr) -> Result<TcpListener, PortError> {
    TcpListener::bind(address).await.map_err(|source| {
        let example = SocketAddr::new(address.ip(), 0).to_string();
        failed(option, address.to_string(), format!("{example} takes a free one"), source)
    })
}

/// The port of STUN (RFC 8489, section 18.5).
const STUN: u16 = 3478;

/// Binds `--stun`. With port 0, takes none of the `others`, which may be free until the node binds them.
pub(crate) async fn bind_stun(address: SocketAddr, others: &[Multiaddr]) -> Result<AsyncUdpSocket, PortError> {
    // The refused ones are held until the end, so that the system offers others.
    let mut refused = Vec::new();
    loop {
        let socket = AsyncUdpSocket::bind(address).await.map_err(|source| {
            let example = format!("{} takes a free one", SocketAddr::new(address.ip(), 0));
            failed("--stun", address.to_string(), example, source)
        })?;
        let port = socket.local_addr().expect("a bound socket has an address").port();
        if address.port() != 0 || !has_udp(others, port) {
            return Ok(socket);
        }
        refused.push(socket);
    }
}

/// Binds what `--stun` is without being told: the usual port where `http` is. A second relay on the machine finds that
/// taken and gets a free one, and so does a relay that left the choice of its port to the system, or that has the port among
/// the `others` which it is to listen on.
pub(crate) async fn bind_stun_beside(
    http: SocketAddr,
    usual: bool,
    others: &[Multiaddr],
) -> Result<AsyncUdpSocket, PortError> {
    if usual && !has_udp(others, STUN) {
        match bind_stun(SocketAddr::new(http.ip(), STUN), others).await {
            Err(PortError::InUse { .. }) => {}
            bound => return bound,
        }
    }
    bind_stun(SocketAddr::new(http.ip(), 0), others).await
}

/// Whether one of the addresses is of this UDP port.
fn has_udp(addresses: &[Multiaddr], port: u16) -> bool {
    addresses.iter().filter_map(socket_of).any(|socket| matches!(socket, Socket::Udp(udp) if udp.port() == port))
}

/// The address a listener got.
pub(crate) fn local(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().expect("a bound socket has an address")
}

/// QUIC on the UDP port of this number, and WebRTC-direct on the next.
pub(crate) fn beside(http: SocketAddr) -> Vec<Multiaddr> {
    let udp = |port| Multiaddr::empty().with(http.ip().into()).with(Protocol::Udp(port));
    vec![udp(http.port()).with(Protocol::QuicV1), udp(http.port().wrapping_add(1)).with(Protocol::WebRTCDirect)]
}

/// The address of the WebSocket listener that shares the HTTP port.
pub(crate) fn websocket(http: SocketAddr) -> Multiaddr {
    Multiaddr::empty().with(http.ip().into()).with(Protocol::Tcp(http.port())).with(Protocol::Ws("/".into()))
}

/// Whether every address of `--listen` can be bound; each is released at once, for the node to take.
pub(crate) async fn check(addresses: &[Multiaddr]) -> Result<(), PortError> {
    for address in addresses {
        let example = || with_port_0(address).to_string();
        attempt(address).await.map_err(|source| failed("--listen", address.to_string(), example(), source))?;
    }
    Ok(())
}

/// Like [`check`], for the addresses that [`beside`] derives.
pub(crate) async fn check_beside(http: SocketAddr) -> Result<(), PortError> {
    for address in beside(http) {
        attempt(&address).await.map_err(|source| PortError::Beside { http, address, source })?;
    }
    Ok(())
}

/// Binds the socket of an address and releases it.
async fn attempt(address: &Multiaddr) -> io::Result<()> {
    match socket_of(address) {
        Some(Socket::Tcp(socket)) => TcpListener::bind(socket).await.map(drop),
        Some(Socket::Udp(socket)) => UdpSocket::bind(socket).map(drop),
        None => Ok(()),
    }
}

/// The socket behind a multiaddr.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Socket {
    /// A TCP socket.
    Tcp(SocketAddr),
    /// A UDP socket.
    Udp(SocketAddr),
}

/// The socket an address stands for, if it begins with an IP address and a port.
pub(crate) fn socket_of(address: &Multiaddr) -> Option<Socket> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => ip.into(),
        Protocol::Ip6(ip) => ip.into(),
        _ => return None,
    };
    match parts.next()? {
        Protocol::Tcp(port) => Some(Socket::Tcp(SocketAddr::new(ip, port))),
        Protocol::Udp(port) => Some(Socket::Udp(SocketAddr::new(ip, port))),
        _ => None,
    }
}

fn with_port_0(address: &Multiaddr) -> Multiaddr {
    let replaced = address.iter().map(|part| match part {
        Protocol::Tcp(_) => Protocol::Tcp(0),
        Protocol::Udp(_) => Protocol::Udp(0),
        other => other,
    });
    replaced.collect()
}

fn failed(option: &'static str, address: String, example: String, source: io::Error) -> PortError {
    match source.kind() {
        io::ErrorKind::AddrInUse => PortError::InUse { option, address, example },
        _ => PortError::Refused { option, address, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

    #[test]
    fn the_neighbours_have_the_same_number_and_the_next() {
        let texts: Vec<_> = beside("0.0.0.0:8080".parse().unwrap()).iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["/ip4/0.0.0.0/udp/8080/quic-v1", "/ip4/0.0.0.0/udp/8081/webrtc-direct"]);
        assert_eq!(websocket("[::1]:80".parse().unwrap()).to_string(), "/ip6/::1/tcp/80/ws");
    }

    #[tokio::test]
    async fn port_0_takes_one_whose_udp_neighbours_are_free() {
        let listener = bind_http(ANY, true).await.unwrap();
        check_beside(local(&listener)).await.unwrap();
    }

    #[tokio::test]
    async fn a_taken_port_names_the_option_and_a_way_out() {
        let taken = bind("--metrics", ANY).await.unwrap();
        let message = bind("--metrics", local(&taken)).await.unwrap_err().to_string();
        assert!(message.contains(&format!("--metrics: `{}` is in use", local(&taken))), "{message}");
        assert!(message.contains("--metrics 127.0.0.1:0"), "{message}");

        let taken = UdpSocket::bind(ANY).unwrap();
        let address: Multiaddr =
            format!("/ip4/127.0.0.1/udp/{}/quic-v1", taken.local_addr().unwrap().port()).parse().unwrap();
        let message = check(std::slice::from_ref(&address)).await.unwrap_err().to_string();
        assert!(message.contains(&format!("--listen: `{address}` is in use")), "{message}");
        assert!(message.contains("--listen /ip4/127.0.0.1/udp/0/quic-v1"), "{message}");
    }

    #[tokio::test]
    async fn a_taken_port_beside_names_the_option_that_brought_it() {
        let listener = bind_http(ANY, true).await.unwrap();
        let http = local(&listener);
        let _taken = UdpSocket::bind(http).unwrap();
        let message = check_beside(http).await.unwrap_err().to_string();
        let brought = format!("--http: `{http}` brings `/ip4/127.0.0.1/udp/{}/quic-v1`", http.port());
        assert!(message.contains(&brought) && message.contains("--listen"), "{message}");
    }

    #[tokio::test]
    async fn the_last_port_has_no_next() {
        let last = SocketAddr::new(ANY.ip(), u16::MAX);
        assert!(matches!(bind_http(last, true).await, Err(PortError::LastPort)));
    }

    #[tokio::test]
    async fn stun_has_its_usual_port_or_a_free_one_unless_told() {
        // Whether the usual port is free here is the machine's affair.
        let beside = async |usual| bind_stun_beside(ANY, usual, &[]).await.unwrap();
        let [first, second] = [beside(true).await, beside(true).await];
        assert_ne!(second.local_addr().unwrap().port(), STUN);
        let taken = first.local_addr().unwrap();
        let message = bind_stun(taken, &[]).await.unwrap_err().to_string();
        assert!(message.contains(&format!("--stun: `{taken}` is in use")), "{message}");
        assert!(message.contains("--stun 127.0.0.1:0"), "{message}");
        assert_ne!(beside(false).await.local_addr().unwrap().port(), STUN);
    }

    #[tokio::test]
    async fn stun_leaves_its_usual_port_to_an_address_that_is_listened_on() {
        // An address that no other test binds, so that the port is free there.
        let http = "127.0.0.78:0".parse().unwrap();
        let listen: Multiaddr = format!("/ip4/127.0.0.78/udp/{STUN}/quic-v1").parse().unwrap();
        let others = std::slice::from_ref(&listen);
        let stun = bind_stun_beside(http, true, others).await.unwrap();
        assert_ne!(stun.local_addr().unwrap().port(), STUN);
        check(others).await.unwrap();
    }

    #[test]
    fn sockets_are_read_from_multiaddrs() {
        let socket = |text: &str| socket_of(&text.parse().unwrap());
        assert_eq!(socket("/ip4/1.2.3.4/udp/5/quic-v1"), Some(Socket::Udp("1.2.3.4:5".parse().unwrap())));
        assert_eq!(socket("/ip6/::1/tcp/5/ws"), Some(Socket::Tcp("[::1]:5".parse().unwrap())));
        assert_eq!(socket("/dns4/example.org/tcp/5"), None);
        assert_eq!(socket("/ip4/1.2.3.4"), None);
    }
}
