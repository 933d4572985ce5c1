//! Stories of the transport: with itself, with libp2p's own, and with those who mean no good.

use std::{
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use futures::{
    AsyncReadExt, AsyncWriteExt, FutureExt, StreamExt,
    future::{join, join_all, poll_fn},
};
use libp2p::{
    Multiaddr, PeerId, Transport as _,
    core::{
        Endpoint,
        muxing::{StreamMuxerBox, StreamMuxerExt, SubstreamBox},
        transport::{self, Boxed, DialOpts, ListenerId, PortUse, TransportEvent},
    },
    identity::Keypair,
};
use libp2p_webrtc_utils::{Fingerprint, parse_webrtc_dial_addr};
use tokio::{net::UdpSocket, sync::mpsc, task::JoinSet, time::timeout};

use super::{
    caller::Caller,
    certificate::Certificate,
    error::Error,
    handshake::{self, Identity},
    transport::Transport,
    udp_mux::{Newcomer, UdpMux, tests::HELLO},
};
use crate::platform::native::{Task, spawn};

const SOON: Duration = Duration::from_secs(60);

async fn soon<F: Future>(future: F) -> F::Output {
    timeout(SOON, future).await.expect("in time")
}

fn provide() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

type Any = Boxed<(PeerId, StreamMuxerBox)>;

/// Whose transport.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Whose {
    Ours,
    Libp2ps,
}

fn transport(whose: Whose, keypair: Keypair) -> Any {
    provide();
    match whose {
        Whose::Ours => Transport::new(keypair, Certificate::generate())
            .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)))
            .boxed(),
        Whose::Libp2ps => {
            let certificate = libp2p_webrtc::tokio::Certificate::generate(&mut rand::rng()).unwrap();
            libp2p_webrtc::tokio::Transport::new(keypair, certificate)
                .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)))
                .boxed()
        }
    }
}

/// A transport that listens, polled by a task.
struct Listening {
    peer: PeerId,
    address: Multiaddr,
    upgrades: mpsc::UnboundedReceiver<<Any as transport::Transport>::ListenerUpgrade>,
    _task: Task,
}

async fn listen(mut transport: Any, peer: PeerId, address: &str) -> Listening {
    transport.listen_on(ListenerId::next(), address.parse().unwrap()).unwrap();
    let Some(TransportEvent::NewAddress { listen_addr: address, .. }) = soon(transport.next()).await else {
        panic!("a listener tells its address first");
    };
    let (sender, upgrades) = mpsc::unbounded_channel();
    let task = spawn(async move {
        while let Some(event) = transport.next().await {
            if let TransportEvent::Incoming { upgrade, .. } = event {
                _ = sender.send(upgrade);
            }
        }
    });
    Listening { peer, address, upgrades, _task: task }
}

const OPTIONS: DialOpts = DialOpts { role: Endpoint::Dialer, port_use: PortUse::Reuse };

/// Both ends of a connection, and what has to live for it.
async fn connect(dialler: Whose, listener: Whose, address: &str) -> (StreamMuxerBox, StreamMuxerBox, impl Sized) {
    let keypair = Keypair::generate_ed25519();
    let mut listening = listen(transport(listener, keypair.clone()), keypair.public().to_peer_id(), address).await;
    let keypair = Keypair::generate_ed25519();
    let mut transport = transport(dialler, keypair.clone());
    if dialler == Whose::Libp2ps {
        // It dials only from a socket that listens.
        transport.listen_on(ListenerId::next(), address.parse().unwrap()).unwrap();
    }
    let dialling = transport.dial(listening.address.clone(), OPTIONS).unwrap();
    let task = spawn(async move { while transport.next().await.is_some() {} });
    let accepting = async { listening.upgrades.recv().await.expect("somebody dials").await };
    let (dialled, accepted) = soon(join(dialling, accepting)).await;
    let ((found, dialled), (came, accepted)) = (dialled.unwrap(), accepted.unwrap());
    assert_eq!((found, came), (listening.peer, keypair.public().to_peer_id()));
    (dialled, accepted, (listening, task))
}

/// Answers every stream with what came on it, after its end, until the connection ends.
fn echo(mut connection: StreamMuxerBox) -> Task {
    spawn(async move {
        let mut streams = JoinSet::new();
        let ended = poll_fn(|cx| {
            while let Poll::Ready(stream) = connection.poll_inbound_unpin(cx) {
                let Ok(mut stream) = stream else { return Poll::Ready(()) };
                streams.spawn(async move {
                    let mut bytes = Vec::new();
                    stream.read_to_end(&mut bytes).await.unwrap();
                    stream.write_all(&bytes).await.unwrap();
                    stream.close().await.unwrap();
                });
            }
            connection.poll_unpin(cx).map(drop)
        });
        ended.await;
    })
}

/// Does `work` while the connection is polled, as the swarm polls it.
async fn over<T>(connection: &mut StreamMuxerBox, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    let done = poll_fn(|cx| {
        if let Poll::Ready(event) = connection.poll_unpin(cx) {
            event.expect("the connection stands");
        }
        work.as_mut().poll(cx)
    });
    soon(done).await
}

async fn open(connection: &mut StreamMuxerBox) -> SubstreamBox {
    soon(poll_fn(|cx| connection.poll_outbound_unpin(cx))).await.expect("the connection stands")
}

async fn ask(mut stream: SubstreamBox, question: &[u8]) {
    let mut answer = Vec::new();
    stream.write_all(question).await.unwrap();
    stream.close().await.unwrap();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer == question, "what came back is not what was sent");
}

/// Says something short on many streams, and something long on one.
async fn talk(connection: &mut StreamMuxerBox) {
    let long: Vec<u8> = (0..300_000_u32).map(|number| (number * 7 % 251) as u8).collect();
    let stream = open(connection).await;
    over(connection, ask(stream, &long)).await;
    for round in 0..40_u32 {
        let stream = open(connection).await;
        over(connection, ask(stream, &round.to_be_bytes())).await;
    }
    let mut streams = Vec::new();
    for _ in 0..16 {
        streams.push(open(connection).await);
    }
    let asking = streams.into_iter().map(|stream| ask(stream, b"at once"));
    over(connection, join_all(asking)).await;
}

async fn conversation(dialler: Whose, listener: Whose) {
    for address in ["/ip4/127.0.0.1/udp/0/webrtc-direct", "/ip6/::1/udp/0/webrtc-direct"] {
        let (mut dialled, accepted, _alive) = connect(dialler, listener, address).await;
        let _echo = echo(accepted);
        talk(&mut dialled).await;
        let (dialled, mut accepted, _alive) = connect(dialler, listener, address).await;
        let _echo = echo(dialled);
        talk(&mut accepted).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_of_ours() {
    conversation(Whose::Ours, Whose::Ours).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn libp2ps_transport_dials_ours() {
    conversation(Whose::Libp2ps, Whose::Ours).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ours_dials_libp2ps_transport() {
    conversation(Whose::Ours, Whose::Libp2ps).await;
}

#[tokio::test]
async fn the_remote_hears_of_the_end() {
    for is_dropped in [true, false] {
        let (mut dialled, mut accepted, _alive) =
            connect(Whose::Ours, Whose::Ours, "/ip4/127.0.0.1/udp/0/webrtc-direct").await;
        let mut stream = open(&mut dialled).await;
        stream.write_all(b"and").await.unwrap();
        let mut taken = soon(poll_fn(|cx| accepted.poll_inbound_unpin(cx))).await.unwrap();
        if is_dropped {
            drop(accepted);
        } else {
            soon(poll_fn(|cx| accepted.poll_close_unpin(cx))).await.unwrap();
        }
        let ended = soon(poll_fn(|cx| dialled.poll_unpin(cx))).await;
        assert!(ended.is_err(), "the connection ended");
        for stream in [&mut stream, &mut taken] {
            assert!(soon(stream.read_to_end(&mut Vec::new())).await.is_err(), "its streams were cut off");
        }
    }
}

/// A listener without a swarm.
struct Bare {
    mux: UdpMux,
    identity: Arc<Identity>,
}

fn identity() -> Arc<Identity> {
    provide();
    Arc::new(Identity { keypair: Keypair::generate_ed25519(), certificate: Certificate::generate() })
}

impl Bare {
    fn new() -> Self {
        Self { mux: UdpMux::bind("127.0.0.1:0".parse().unwrap()).unwrap(), identity: identity() }
    }

    async fn newcomer(&mut self) -> Newcomer {
        soon(poll_fn(|cx| self.mux.poll_newcomer(cx))).await
    }

    /// Lets somebody begin a handshake and say no more.
    async fn begun(&mut self) -> (Newcomer, UdpSocket) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.send_to(&HELLO, self.mux.local_address()).await.unwrap();
        (self.newcomer().await, socket)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_that_fail_leave_nothing_behind() {
    let mut bare = Bare::new();
    let watcher = bare.mux.watcher();
    for _ in 0..100 {
        // It finds another certificate than it was told of, and hangs up.
        let calling = Caller::call(bare.mux.local_address());
        let dialling = handshake::dial(calling, Fingerprint::FF, identity());
        let identity = bare.identity.clone();
        let accepting = async { handshake::accept(bare.newcomer().await, identity).await };
        let (dialled, accepted) = soon(join(dialling, accepting)).await;
        assert!(matches!(dialled.err(), Some(Error::WrongCertificate)));
        assert!(accepted.is_err());
    }
    watcher.no_connections(1).await;
}

#[tokio::test(start_paused = true)]
async fn handshakes_that_nobody_finishes_leave_nothing_behind() {
    let mut bare = Bare::new();
    let watcher = bare.mux.watcher();
    for _ in 0..4 {
        let mut handshakes = JoinSet::new();
        for _ in 0..50 {
            let (newcomer, socket) = bare.begun().await;
            let identity = bare.identity.clone();
            handshakes.spawn(async move { (handshake::accept(newcomer, identity).await, socket) });
        }
        assert_eq!(watcher.connections(), 50);
        for (made, _) in handshakes.join_all().await {
            assert!(made.is_err());
        }
        watcher.no_connections(1).await;
    }
}

#[tokio::test]
async fn handshakes_that_are_given_up_leave_nothing_behind() {
    let mut bare = Bare::new();
    let watcher = bare.mux.watcher();
    for polls in 0..100 {
        let (newcomer, _socket) = bare.begun().await;
        let mut handshake = handshake::accept(newcomer, bare.identity.clone()).boxed();
        for _ in 0..polls % 4 {
            assert!(handshake.as_mut().now_or_never().is_none());
            tokio::task::yield_now().await;
        }
    }
    watcher.no_connections(1).await;
}

#[tokio::test]
async fn handshakes_end_with_their_listener() {
    let mut bare = Bare::new();
    let watcher = bare.mux.watcher();
    let (newcomer, _socket) = bare.begun().await;
    let handshake = tokio::spawn(handshake::accept(newcomer, bare.identity.clone()));
    drop(bare.mux);
    let ended = soon(handshake).await.unwrap();
    assert!(matches!(ended.err(), Some(Error::ListenerClosed)));
    watcher.no_connections(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_dropped_leave_nothing_behind() {
    let mut bare = Bare::new();
    let watcher = bare.mux.watcher();
    for _ in 0..20 {
        let expected = bare.identity.certificate.fingerprint();
        let dialling = handshake::dial(Caller::call(bare.mux.local_address()), expected, identity());
        let identity = bare.identity.clone();
        let accepting = async { handshake::accept(bare.newcomer().await, identity).await };
        let (dialled, accepted) = soon(join(dialling, accepting)).await;
        drop((dialled.unwrap(), accepted.unwrap()));
    }
    watcher.no_connections(1).await;
}

#[tokio::test]
async fn a_dial_to_nobody_fails() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    drop(socket);
    let failed = soon(handshake::dial(Caller::call(address), Fingerprint::FF, identity())).await;
    assert!(matches!(failed.err(), Some(Error::Socket(_))), "the system says that nobody is there");
}

#[tokio::test(start_paused = true)]
async fn a_dial_to_somebody_silent_fails() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let failed = handshake::dial(Caller::call(address), Fingerprint::FF, identity()).await;
    assert!(matches!(failed.err(), Some(Error::NoAnswer)));
}

#[test]
fn what_is_not_to_be_dialled_or_listened_on_is_left_to_others() {
    let mut transport = transport(Whose::Ours, Keypair::generate_ed25519());
    let hash = "uEiAw_J9GnCB0Gd_dCqtfJ6hsljyU5AVI25N1zKLpFXs7mQ";
    for address in [
        format!("/ip4/127.0.0.1/udp/0/webrtc-direct/certhash/{hash}"),
        format!("/ip4/0.0.0.0/udp/1/webrtc-direct/certhash/{hash}"),
        "/ip4/127.0.0.1/udp/1/webrtc-direct".to_owned(),
        "/ip4/127.0.0.1/udp/1/quic-v1".to_owned(),
    ] {
        let address: Multiaddr = address.parse().unwrap();
        assert!(transport.dial(address.clone(), OPTIONS).is_err(), "{address}");
    }
    for address in ["/ip4/127.0.0.1/udp/0", "/ip4/127.0.0.1/tcp/0", "/dns4/localhost/udp/0/webrtc-direct"] {
        assert!(transport.listen_on(ListenerId::next(), address.parse().unwrap()).is_err(), "{address}");
    }
}

#[tokio::test]
async fn a_listener_tells_its_address_and_its_end() {
    provide();
    let mut transport = Transport::new(Keypair::generate_ed25519(), Certificate::generate());
    let next = |transport: &mut Transport| {
        use transport::Transport as _;
        Pin::new(transport).poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
    };
    let id = ListenerId::next();
    {
        use transport::Transport as _;
        transport.listen_on(id, "/ip4/127.0.0.1/udp/0/webrtc-direct".parse().unwrap()).unwrap();
    }
    let Poll::Ready(TransportEvent::NewAddress { listener_id, listen_addr }) = next(&mut transport) else {
        panic!("no address")
    };
    assert_eq!(listener_id, id);
    assert!(parse_webrtc_dial_addr(&listen_addr).is_some(), "{listen_addr}");
    use transport::Transport as _;
    assert!(transport.remove_listener(id));
    assert!(!transport.remove_listener(id));
    assert!(matches!(next(&mut transport), Poll::Ready(TransportEvent::ListenerClosed { reason: Ok(()), .. })));
    assert!(next(&mut transport).is_pending());
}
