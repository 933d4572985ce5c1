use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    Router,
    extract::{
        ConnectInfo, State, WebSocketUpgrade,
        ws::{Message, WebSocket},
    },
    response::Response,
    routing::get,
};
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Sink, Stream, StreamExt, future::Either, ready};
use libp2p::{
    PeerId, Swarm,
    multiaddr::Protocol,
    relay,
    swarm::{NetworkBehaviour, SwarmEvent},
};

use super::{
    incoming::{IncomingSender, Refused},
    *,
};
use openred_core::event::Path;

use crate::{
    service_stream::ServiceStream,
    streams::{self, RequestId},
    testing::{PROTOCOL, Pair, connect, drive, during, listen, streams_swarm, swarm},
};

fn node(config: Config) -> Swarm<streams::Behaviour> {
    streams_swarm(config, streams::Behaviour::new(vec![PROTOCOL]))
}

/// Sends something there and back.
async fn echo(pair: &mut Pair) {
    let (mut near, mut far) = pair.open().await;
    let there = async {
        near.write_all(&[1; 100_000]).await.unwrap();
        near.close().await.unwrap();
        let mut answer = Vec::new();
        near.read_to_end(&mut answer).await.unwrap();
        answer
    };
    let back = async {
        let mut question = Vec::new();
        far.read_to_end(&mut question).await.unwrap();
        far.write_all(&question).await.unwrap();
        far.close().await.unwrap();
    };
    // WebRTC moves only while the swarm is polled.
    let (answer, ()) = during(&mut pair.near, &mut pair.far, futures::future::join(there, back)).await;
    assert_eq!(answer, [1; 100_000]);
}

#[tokio::test]
async fn every_transport_connects() {
    for address in [
        "/ip4/127.0.0.1/tcp/0",
        "/ip6/::1/tcp/0",
        "/ip4/127.0.0.1/tcp/0/ws",
        "/ip4/127.0.0.1/udp/0/quic-v1",
        "/ip4/127.0.0.1/udp/0/webrtc-direct",
    ] {
        let (near, mut far) = (node(Config::default()), node(Config::default()));
        assert_eq!(can_dial(&address.parse().unwrap()), !address.ends_with("webrtc-direct"), "{address}");
        let address = listen(&mut far, address).await;
        echo(&mut Pair::connect(near, far, address).await).await;
    }
}

#[tokio::test]
async fn names_are_resolved() {
    let mut far = node(Config::default());
    for address in ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/tcp/0/ws"] {
        let address = listen(&mut far, address).await;
        let named = address.replace(0, |_| Some(Protocol::Dns4("localhost".into()))).unwrap();
        assert!(can_dial(&named));
        connect(&mut node(Config::default()), &mut far, named).await;
    }
}

#[test]
fn what_can_be_dialled() {
    let peer = PeerId::random();
    for (address, expected) in [
        ("/dns/relay.example/tcp/443/tls/ws", true),
        ("/dns4/relay.example/tcp/443/wss", true),
        ("/ip4/192.0.2.1/tcp/443/tls/sni/relay.example/ws", true),
        ("/dnsaddr/relay.example", true),
        ("/ip6/2001:db8::1/udp/1/quic-v1", true),
        ("/ip4/192.0.2.1/udp/1/webrtc-direct", false),
        ("/ip4/192.0.2.1/udp/1/quic", false),
        ("/ip4/192.0.2.1/udp/1", false),
        ("/ip4/192.0.2.1", false),
        ("/memory/1", false),
        ("/p2p-circuit", false),
    ] {
        let address: Multiaddr = address.parse().unwrap();
        assert_eq!(can_dial(&address), expected, "{address}");
        let address = address.with(Protocol::P2p(peer));
        assert_eq!(can_dial(&address), expected, "{address}");
        let circuit = address.clone().with(Protocol::P2pCircuit).with(Protocol::P2p(peer));
        assert_eq!(can_dial(&circuit), expected, "{circuit}");
        let page = address.with(Protocol::P2pCircuit).with(Protocol::WebRTC).with(Protocol::P2p(peer));
        assert!(!can_dial(&page), "{page}");
    }
}

fn certificate_hash(address: &Multiaddr) -> Protocol<'_> {
    address.iter().find(|part| matches!(part, Protocol::Certhash(_))).unwrap()
}

#[tokio::test]
async fn a_kept_certificate_keeps_the_address() {
    let certificate = webrtc::generate_certificate();
    let mut addresses = Vec::new();
    for webrtc_certificate in [Some(certificate.clone()), Some(certificate), None] {
        let mut node = node(Config { webrtc_certificate, ..Config::default() });
        addresses.push(listen(&mut node, "/ip4/127.0.0.1/udp/0/webrtc-direct").await);
    }
    let hashes: Vec<_> = addresses.iter().map(certificate_hash).collect();
    assert_eq!(hashes[0], hashes[1]);
    assert_ne!(hashes[0], hashes[2]);
}

#[test]
fn a_damaged_certificate_is_an_error() {
    let certificate = webrtc::generate_certificate();
    let refused = |damaged: &str| {
        let config = Config { webrtc_certificate: Some(damaged.to_owned()), ..Config::default() };
        let identity = Keypair::generate_ed25519();
        let (relay, _) = relay::client::new(identity.public().to_peer_id());
        let Err(error) = transport(&identity, relay, PageTransport, config, &Meter::new(None)) else {
            panic!("accepted:\n{damaged}")
        };
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
    };
    for length in 0..certificate.trim_end().len() {
        refused(&certificate[..length]);
    }
    refused("certificate");
    refused(&certificate.replacen('=', "", 1));
}

/// An HTTP server that hands its WebSockets to a node.
async fn serve(sender: IncomingSender) -> SocketAddr {
    async fn upgrade(
        upgrade: WebSocketUpgrade,
        ConnectInfo(remote): ConnectInfo<SocketAddr>,
        State(sender): State<IncomingSender>,
    ) -> Response {
        upgrade.on_upgrade(move |socket| async move {
            let remote = Multiaddr::from(remote.ip()).with(Protocol::Tcp(remote.port())).with(Protocol::Ws("/".into()));
            sender.accept(Messages { socket, read: VecDeque::new() }, remote).unwrap();
        })
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/", get(upgrade)).with_state(sender);
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    address
}

/// The binary messages of a WebSocket as bytes.
struct Messages {
    socket: WebSocket,
    read: VecDeque<u8>,
}

impl AsyncRead for Messages {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        while self.read.is_empty() {
            match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
                Some(Ok(Message::Binary(bytes))) => self.read.extend(bytes),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => return Poll::Ready(Ok(0)),
            }
        }
        Poll::Ready(io::Read::read(&mut self.read, buf))
    }
}

impl AsyncWrite for Messages {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut socket = Pin::new(&mut self.socket);
        ready!(socket.as_mut().poll_ready(cx)).map_err(io::Error::other)?;
        socket.start_send(Message::Binary(buf.to_vec().into())).map_err(io::Error::other)?;
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx).map_err(io::Error::other)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_close(cx).map_err(io::Error::other)
    }
}

#[tokio::test]
async fn upgraded_websockets_become_connections() {
    let (sender, sockets) = incoming::channel();
    let http = serve(sender).await;
    let own = Multiaddr::from(http.ip()).with(Protocol::Tcp(http.port())).with(Protocol::Ws("/".into()));
    let mut far = node(Config { incoming: Some((own.clone(), sockets)), ..Config::default() });
    assert_eq!(listen(&mut far, &own.to_string()).await, own);
    assert!(far.listen_on(own.clone()).is_err(), "it can be listened on only once");

    let mut near = node(Config::default());
    near.dial(own.clone()).unwrap();
    let (local, remote) = drive(&mut near, &mut far, |event| match event {
        Either::Right(SwarmEvent::IncomingConnection { local_addr, send_back_addr, .. }) => {
            Some((local_addr, send_back_addr))
        }
        _ => None,
    })
    .await;
    assert_eq!(local, own);
    assert!(remote.to_string().starts_with("/ip4/127.0.0.1/tcp/"), "{remote}");
    echo(&mut Pair::connect(node(Config::default()), far, own).await).await;
}

#[tokio::test]
async fn an_unspecified_address_is_that_of_every_interface() {
    let (_sender, sockets) = incoming::channel();
    let own: Multiaddr = "/ip4/0.0.0.0/tcp/1/ws".parse().unwrap();
    let mut node = node(Config { incoming: Some((own.clone(), sockets)), ..Config::default() });
    node.listen_on(own.clone()).unwrap();
    let loopback: Multiaddr = "/ip4/127.0.0.1/tcp/1/ws".parse().unwrap();
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = node.select_next_some().await {
            assert_ne!(address, own);
            if address == loopback {
                break;
            }
        }
    }
}

#[tokio::test]
async fn the_listener_of_upgraded_websockets_ends() {
    let own: Multiaddr = "/ip4/127.0.0.1/tcp/1/ws".parse().unwrap();
    for by_server in [true, false] {
        let (sender, sockets) = incoming::channel();
        let mut node = node(Config { incoming: Some((own.clone(), sockets)), ..Config::default() });
        let listener = node.listen_on(own.clone()).unwrap();
        let mut sender = Some(sender);
        loop {
            match node.select_next_some().await {
                SwarmEvent::NewListenAddr { .. } if by_server => sender = None,
                SwarmEvent::NewListenAddr { .. } => assert!(node.remove_listener(listener)),
                SwarmEvent::ListenerClosed { listener_id, addresses, .. } => {
                    assert_eq!((listener_id, addresses), (listener, vec![own.clone()]));
                    break;
                }
                _ => {}
            }
        }
        if let Some(sender) = sender {
            let refused = sender.accept(futures::io::Cursor::new(Vec::new()), own.clone());
            assert_eq!(refused, Err(Refused::Closed));
        }
    }
}

#[test]
fn no_more_sockets_wait_than_the_backlog_holds() {
    let (sender, sockets) = incoming::channel();
    let remote: Multiaddr = "/ip4/192.0.2.1/tcp/1/ws".parse().unwrap();
    let accept = || sender.clone().accept(futures::io::Cursor::new(Vec::new()), remote.clone());
    assert_eq!((0..2000).take_while(|_| accept().is_ok()).count(), 1024);
    assert_eq!(accept(), Err(Refused::Busy));
    drop(sockets);
    assert_eq!(accept(), Err(Refused::Closed));
}

#[derive(NetworkBehaviour)]
struct Client {
    relay: relay::client::Behaviour,
    streams: streams::Behaviour,
}

/// Two nodes that are connected through a relay.
struct Circuit {
    relay: tokio::task::JoinHandle<()>,
    near: Swarm<Client>,
    far: Swarm<Client>,
    meters: [Meter; 2],
}

impl Circuit {
    /// A circuit and both ends of a stream over it.
    async fn open() -> (Self, libp2p::Stream, libp2p::Stream) {
        let mut relay = swarm(Config::default(), &Meter::new(None), |peer, _| {
            relay::Behaviour::new(peer, relay::Config::default())
        });
        let relay_peer = *relay.local_peer_id();
        let address = listen(&mut relay, "/ip4/127.0.0.1/tcp/0").await;
        relay.add_external_address(address.clone());
        let relay = tokio::spawn(async move { while relay.next().await.is_some() {} });

        let meters = [Meter::new(None), Meter::new(None)];
        let [mut near, mut far] = meters.each_ref().map(|meter| {
            let streams = streams::Behaviour::new(vec![PROTOCOL]);
            swarm(Config::default(), meter, |_, relay| Client { relay, streams })
        });
        let circuit = address.with(Protocol::P2p(relay_peer)).with(Protocol::P2pCircuit);
        let circuit = listen(&mut far, &circuit.to_string()).await;
        assert!(can_dial(&circuit));
        near.dial(circuit).unwrap();
        let (mut opened, mut inbound) = (None, None);
        let far_peer = *far.local_peer_id();
        let connection = drive(&mut near, &mut far, |event| match event {
            Either::Left(SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. })
                if peer_id == far_peer =>
            {
                assert!(endpoint.is_relayed());
                Some(connection_id)
            }
            Either::Left(SwarmEvent::OutgoingConnectionError { error, .. }) => panic!("{error}"),
            _ => None,
        })
        .await;
        near.behaviour_mut().streams.open(RequestId(1), far_peer, connection, PROTOCOL);
        drive(&mut near, &mut far, |event| {
            use streams::Event::{Inbound, Opened};
            match event {
                Either::Left(SwarmEvent::Behaviour(ClientEvent::Streams(Opened { stream, .. }))) => {
                    opened = Some(stream)
                }
                Either::Right(SwarmEvent::Behaviour(ClientEvent::Streams(Inbound { stream, .. }))) => {
                    inbound = Some(stream)
                }
                _ => {}
            }
            (opened.is_some() && inbound.is_some()).then_some(())
        })
        .await;
        (Self { relay, near, far, meters }, opened.unwrap(), inbound.unwrap())
    }
}

#[tokio::test]
async fn a_relayed_stream_carries_and_is_counted_once() {
    const LENGTH: usize = 100_000;
    let (mut circuit, mut near, mut far) = Circuit::open().await;
    let before = circuit.meters.each_ref().map(|meter| meter.bytes_in() + meter.bytes_out());
    let received = during(&mut circuit.near, &mut circuit.far, async {
        let send = async {
            near.write_all(&[1; LENGTH]).await.unwrap();
            near.close().await.unwrap();
        };
        let mut received = Vec::new();
        let (_, end) = futures::join!(send, far.read_to_end(&mut received));
        end.unwrap();
        received.len()
    })
    .await;
    assert_eq!(received, LENGTH);
    for (meter, before) in circuit.meters.iter().zip(before) {
        let counted = meter.bytes_in() + meter.bytes_out() - before;
        // The connection's own framing and window updates travel as payload of the relay's stream.
        assert!((LENGTH as u64..LENGTH as u64 * 11 / 10).contains(&counted), "{counted}");
    }
}

#[tokio::test]
async fn a_dropped_end_of_a_relayed_stream_is_no_end() {
    let (mut circuit, mut near, mut far) = Circuit::open().await;
    let (received, error) = during(&mut circuit.near, &mut circuit.far, async {
        near.close().await.unwrap();
        assert_eq!(far.read_to_end(&mut Vec::new()).await.unwrap(), 0);
        far.write_all(b"half an ans").await.unwrap();
        far.flush().await.unwrap();
        let mut received = [0; 11];
        near.read_exact(&mut received).await.unwrap();
        drop(ServiceStream::new(far, Path::Relayed, PeerId::random(), String::new()));
        (received, near.read(&mut [0]).await.unwrap_err().kind())
    })
    .await;
    assert_eq!((&received, error), (b"half an ans", io::ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn the_end_of_the_relay_is_no_end_of_the_stream() {
    let (mut circuit, mut near, mut far) = Circuit::open().await;
    circuit.relay.abort();
    let ends = during(&mut circuit.near, &mut circuit.far, async {
        [near.read(&mut [0]).await.unwrap_err(), far.read(&mut [0]).await.unwrap_err()]
    })
    .await;
    assert_eq!(ends.map(|error| error.kind()), [io::ErrorKind::ConnectionAborted; 2]);
}

#[tokio::test]
async fn dials_that_fail_say_why() {
    let (mut near, mut far) = (node(Config::default()), node(Config::default()));
    let closed = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    for (address, reason) in [
        (format!("/ip4/127.0.0.1/tcp/{closed}"), "Connection refused"),
        (format!("/ip4/127.0.0.1/tcp/{closed}/ws"), "Connection refused"),
        (format!("/ip4/127.0.0.1/udp/{closed}/webrtc-direct"), ""),
    ] {
        near.dial(address.parse::<Multiaddr>().unwrap()).unwrap();
        let error = drive(&mut near, &mut far, |event| match event {
            Either::Left(SwarmEvent::OutgoingConnectionError { error, .. }) => Some(format!("{error:?}")),
            _ => None,
        })
        .await;
        assert!(error.contains(reason), "{error}");
    }
}
