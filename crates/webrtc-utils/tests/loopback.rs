//! The native WebRTC-direct transport of libp2p over this crate: one dials the other on loopback.

use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt, FutureExt, StreamExt, future::poll_fn};
use libp2p_core::{
    Endpoint, Multiaddr, Transport,
    muxing::{StreamMuxerBox, StreamMuxerExt, SubstreamBox},
    transport::{Boxed, DialOpts, ListenerId, PortUse, TransportEvent},
};
use libp2p_identity::{Keypair, PeerId};
use libp2p_webrtc::tokio::Certificate;
use libp2p_webrtc_utils::open_channels;
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};

const SOON: Duration = Duration::from_secs(60);

async fn soon<F: Future>(future: F) -> F::Output {
    timeout(SOON, future).await.expect("in time")
}

type Node = Boxed<(PeerId, StreamMuxerBox)>;

/// A node that listens, for one without a listener cannot dial.
async fn node() -> (PeerId, Node, Multiaddr) {
    let keypair = Keypair::generate_ed25519();
    let peer = keypair.public().to_peer_id();
    let certificate = Certificate::generate(&mut rand::rng()).unwrap();
    let mut transport = libp2p_webrtc::tokio::Transport::new(keypair, certificate)
        .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)))
        .boxed();
    transport.listen_on(ListenerId::next(), "/ip4/127.0.0.1/udp/0/webrtc-direct".parse().unwrap()).unwrap();
    let Some(TransportEvent::NewAddress { listen_addr, .. }) = soon(transport.next()).await else {
        panic!("a listener tells its address first");
    };
    (peer, transport, listen_addr)
}

/// Both ends of a connection.
async fn connect() -> (Connection, Connection) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let ((dialer_id, mut dialer, _), (listener_id, mut listener, address)) = (node().await, node().await);
    let dialing = dialer.dial(address, DialOpts { role: Endpoint::Dialer, port_use: PortUse::Reuse }).unwrap();
    // Transports move their sockets when they are polled.
    let dialer = tokio::spawn(async move { while dialer.next().await.is_some() {} });
    let (upgrades, mut upgraded) = mpsc::unbounded_channel();
    let listener = tokio::spawn(async move {
        while let Some(event) = listener.next().await {
            if let TransportEvent::Incoming { upgrade, .. } = event {
                upgrades.send(upgrade).expect("the test waits");
            }
        }
    });
    let accepting = async { upgraded.recv().await.expect("somebody dials").await };
    let (dialled, accepted) = soon(futures::future::join(dialing, accepting)).await;
    let ((found, dialled), (came, accepted)) = (dialled.unwrap(), accepted.unwrap());
    assert_eq!((found, came), (listener_id, dialer_id));
    (Connection::drive(dialled, dialer), Connection::drive(accepted, listener))
}

/// A connection polled by a task, as a swarm would.
struct Connection {
    inbound: mpsc::UnboundedReceiver<SubstreamBox>,
    outbound: mpsc::UnboundedReceiver<SubstreamBox>,
    wanted: mpsc::UnboundedSender<()>,
    tasks: [JoinHandle<()>; 2],
}

impl Connection {
    fn drive(mut muxer: StreamMuxerBox, transport: JoinHandle<()>) -> Self {
        let (wanted, mut wishes) = mpsc::unbounded_channel();
        let (inbound_sender, inbound) = mpsc::unbounded_channel();
        let (outbound_sender, outbound) = mpsc::unbounded_channel();
        let mut open_wishes = 0;
        let task = poll_fn(move |cx| {
            loop {
                if let std::task::Poll::Ready(stream) = muxer.poll_inbound_unpin(cx) {
                    _ = inbound_sender.send(stream.expect("the connection lives"));
                    continue;
                }
                while let std::task::Poll::Ready(Some(())) = wishes.poll_recv(cx) {
                    open_wishes += 1;
                }
                if open_wishes > 0
                    && let std::task::Poll::Ready(stream) = muxer.poll_outbound_unpin(cx)
                {
                    open_wishes -= 1;
                    _ = outbound_sender.send(stream.expect("the connection lives"));
                    continue;
                }
                return muxer.poll_unpin(cx).map(|event| _ = event);
            }
        });
        Self { inbound, outbound, wanted, tasks: [tokio::spawn(task), transport] }
    }

    async fn open(&mut self) -> SubstreamBox {
        self.wanted.send(()).unwrap();
        soon(self.outbound.recv()).await.unwrap()
    }

    /// Answers every stream with what came on it, after its end.
    fn echo(mut self) -> JoinHandle<()> {
        tokio::spawn(async move {
            while let Some(mut stream) = self.inbound.recv().await {
                tokio::spawn(async move {
                    let mut bytes = Vec::new();
                    stream.read_to_end(&mut bytes).await.unwrap();
                    stream.write_all(&bytes).await.unwrap();
                    stream.close().await.unwrap();
                });
            }
        })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn ask(mut stream: SubstreamBox, question: Vec<u8>) {
    let mut answer = Vec::new();
    let (mut reader, mut writer) = (&mut stream).split();
    soon(async {
        writer.write_all(&question).await.unwrap();
        writer.close().await.unwrap();
        reader.read_to_end(&mut answer).await.unwrap();
    })
    .await;
    assert!(answer == question, "what came back is not what was sent");
}

/// Both stories are told in one test: the count of open channels is the process's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_come_and_go_and_leave_no_channel_behind() {
    let (mut client, server) = connect().await;
    let server = server.echo();
    assert_eq!(open_channels(), 0, "the handshakes are over");

    // A megabyte there, half-closed, and a megabyte back.
    let megabyte: Vec<u8> = (0..1_000_000_u32).map(|number| (number * 7 % 251) as u8).collect();
    let stream = client.open().await;
    ask(stream, megabyte).await;

    for round in 0..500_u32 {
        let stream = client.open().await;
        ask(stream, round.to_be_bytes().to_vec()).await;
    }
    // Channels stay open for a while after their streams, and nothing tells when they close.
    soon(async {
        while open_channels() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    server.abort();
    assert!(client.inbound.recv().now_or_never().is_none());
}
