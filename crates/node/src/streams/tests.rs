use std::{collections::BTreeSet, time::Instant};

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt, future::Either};
use libp2p::{Swarm, Transport as _, core::transport::ListenerId, identity::Keypair, relay, swarm::SwarmEvent};
use openred_core::PeerConnections;

use super::*;
use crate::{
    meter::Meter,
    platform,
    testing::{connect, drive, listen, streams_swarm},
};

const ECHO: StreamProtocol = StreamProtocol::new("/echo/1");
const CHAT: StreamProtocol = StreamProtocol::new("/chat/1");

/// Two connected swarms, of which the second accepts `inbound`.
struct Net {
    near: Swarm<Behaviour>,
    far: Swarm<Behaviour>,
    peer: PeerId,
    connection: ConnectionId,
    far_connection: ConnectionId,
}

async fn net(near: Behaviour, inbound: &[StreamProtocol]) -> Net {
    let mut near = streams_swarm(platform::Config::default(), near);
    let mut far = streams_swarm(platform::Config::default(), Behaviour::new(inbound.to_vec()));
    let address = listen(&mut far, "/ip4/127.0.0.1/tcp/0").await;
    let (connection, far_connection) = connect(&mut near, &mut far, address).await;
    Net { peer: *far.local_peer_id(), near, far, connection, far_connection }
}

impl Net {
    fn open(&mut self, request: u64, protocol: StreamProtocol) {
        self.near.behaviour_mut().open(RequestId(request), self.peer, self.connection, protocol);
    }

    /// The first `count` answers at the near side, and what comes in meanwhile at the far side.
    async fn answers(
        &mut self,
        count: usize,
    ) -> (Vec<(u64, Result<Stream, OpenError>)>, Vec<(StreamProtocol, Stream)>) {
        let (mut answers, mut inbound) = (Vec::new(), Vec::new());
        drive(&mut self.near, &mut self.far, |event| {
            match event {
                Either::Left(SwarmEvent::Behaviour(Event::Opened { request, stream, .. })) => {
                    answers.push((request.0, Ok(stream)));
                }
                Either::Left(SwarmEvent::Behaviour(Event::OpenFailed { request, error, .. })) => {
                    answers.push((request.0, Err(error)));
                }
                Either::Right(SwarmEvent::Behaviour(Event::Inbound { protocol, stream, .. })) => {
                    inbound.push((protocol, stream));
                }
                _ => {}
            }
            (answers.len() == count).then_some(())
        })
        .await;
        (answers, inbound)
    }

    /// The answer to the only request.
    async fn error(&mut self) -> OpenError {
        let (mut answers, _) = self.answers(1).await;
        answers.pop().unwrap().1.unwrap_err()
    }
}

#[tokio::test]
async fn a_stream_opens_at_both_ends() {
    let mut net = net(Behaviour::new(vec![]), &[CHAT, ECHO]).await;
    net.open(7, ECHO);
    let (mut opened, mut inbound) = (None, None);
    let connections = (net.connection, net.far_connection);
    drive(&mut net.near, &mut net.far, |event| {
        match event {
            Either::Left(SwarmEvent::Behaviour(Event::Opened { request, connection, stream, .. })) => {
                assert_eq!((request, connection), (RequestId(7), connections.0));
                opened = Some(stream);
            }
            Either::Right(SwarmEvent::Behaviour(Event::Inbound { protocol, connection, stream, .. })) => {
                assert_eq!((protocol, connection), (ECHO, connections.1));
                inbound = Some(stream);
            }
            _ => {}
        }
        (opened.is_some() && inbound.is_some()).then_some(())
    })
    .await;
    let (mut near, mut far) = opened.zip(inbound).unwrap();
    let mut received = String::new();
    let (_, read) = futures::join!(
        async {
            near.write_all(b"hello").await.unwrap();
            near.close().await.unwrap();
        },
        far.read_to_string(&mut received),
    );
    assert_eq!((read.unwrap(), received.as_str()), (5, "hello"));
}

#[tokio::test]
async fn an_unknown_protocol_is_unsupported() {
    let mut net = net(Behaviour::new(vec![]), &[CHAT]).await;
    net.open(1, ECHO);
    assert_eq!(net.error().await, OpenError::Unsupported);
}

#[tokio::test]
async fn a_connection_that_never_was_is_closed() {
    let mut net = net(Behaviour::new(vec![]), &[ECHO]).await;
    net.connection = ConnectionId::new_unchecked(usize::MAX);
    net.open(1, ECHO);
    assert_eq!(net.error().await, OpenError::ConnectionClosed);
}

#[tokio::test]
async fn a_connection_to_somebody_else_is_closed() {
    let mut net = net(Behaviour::new(vec![]), &[ECHO]).await;
    net.peer = PeerId::random();
    net.open(1, ECHO);
    assert_eq!(net.error().await, OpenError::ConnectionClosed);
}

#[tokio::test]
async fn a_connection_that_closes_answers_everything() {
    let config = Config { max_opening: 2, ..Config::default() };
    let mut net = net(Behaviour::with_config(vec![], config), &[ECHO]).await;
    for request in 0..5 {
        net.open(request, ECHO);
    }
    // The far side is not driven, so nothing else can answer.
    assert!(net.near.close_connection(net.connection));
    let mut answers = BTreeSet::new();
    while answers.len() < 5 {
        if let SwarmEvent::Behaviour(Event::OpenFailed { request, error, .. }) = net.near.select_next_some().await {
            assert_eq!(error, OpenError::ConnectionClosed);
            assert!(answers.insert(request.0));
        }
    }
    net.open(5, ECHO);
    assert_eq!(net.error().await, OpenError::ConnectionClosed);
}

#[tokio::test]
async fn many_streams_open_at_once() {
    const COUNT: u64 = 200;
    let mut net = net(Behaviour::new(vec![]), &[ECHO]).await;
    for request in 0..COUNT {
        net.open(request, ECHO);
    }
    let (answers, _) = net.answers(COUNT as usize).await;
    let answered: BTreeSet<u64> = answers.iter().map(|(request, _)| *request).collect();
    assert!(answered.into_iter().eq(0..COUNT));
    assert!(answers.iter().all(|(_, answer)| answer.is_ok()));
}

#[tokio::test]
async fn requests_beyond_the_limits_wait_and_then_fail() {
    let config = Config { max_opening: 1, max_waiting: 2, ..Config::default() };
    let mut net = net(Behaviour::with_config(vec![], config), &[ECHO]).await;
    for request in 0..20 {
        net.open(request, ECHO);
    }
    let (answers, _) = net.answers(20).await;
    let (opened, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(_, answer)| answer.is_ok());
    // How many wait depends on how soon the first is taken from the queue.
    assert!((2..20).contains(&opened.len()), "{} opened", opened.len());
    for (_, answer) in refused {
        assert!(matches!(answer, Err(OpenError::Io(_))), "{answer:?}");
    }
}

#[tokio::test]
async fn a_silent_peer_times_out_whoever_waits_too() {
    let config = Config { max_opening: 1, open_timeout: Duration::from_millis(200), ..Config::default() };
    let mut near = streams_swarm(platform::Config::default(), Behaviour::with_config(vec![], config));
    // A peer that makes a connection and leaves it at that.
    let identity = Keypair::generate_ed25519();
    let peer = identity.public().to_peer_id();
    let (relay, _) = relay::client::new(peer);
    let mut far = platform::transport(
        &identity,
        relay,
        platform::pages(&PeerConnections::default()).0,
        platform::Config::default(),
        &Meter::new(None),
    )
    .unwrap();
    far.listen_on(ListenerId::next(), "/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
    let address = far.select_next_some().await.into_new_address().unwrap();
    near.dial(address).unwrap();
    let silent = async { far.select_next_some().await.into_incoming().unwrap().0.await.unwrap() };
    let connected = async {
        loop {
            if let SwarmEvent::ConnectionEstablished { connection_id, .. } = near.select_next_some().await {
                return connection_id;
            }
        }
    };
    let (_silent, connection) = futures::join!(silent, connected);

    let asked = Instant::now();
    for request in 0..3 {
        near.behaviour_mut().open(RequestId(request), peer, connection, ECHO);
    }
    for expected in 0..3 {
        let (request, error) = loop {
            if let SwarmEvent::Behaviour(Event::OpenFailed { request, error, .. }) = near.select_next_some().await {
                break (request.0, error);
            }
        };
        assert_eq!((request, error), (expected, OpenError::Timeout));
    }
    // One after the other they would take three times as long.
    assert!((200..550).contains(&asked.elapsed().as_millis()), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn inbound_protocols_change_on_existing_connections() {
    let mut net = net(Behaviour::new(vec![]), &[]).await;
    net.open(1, ECHO);
    assert_eq!(net.error().await, OpenError::Unsupported);

    net.far.behaviour_mut().set_inbound(vec![ECHO]);
    net.open(2, ECHO);
    let (answers, _) = net.answers(1).await;
    assert!(matches!(answers[..], [(2, Ok(_))]), "{answers:?}");

    net.far.behaviour_mut().set_inbound(vec![CHAT]);
    net.open(3, ECHO);
    assert_eq!(net.error().await, OpenError::Unsupported);
}
