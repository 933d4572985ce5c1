//! Swarms on loopback sockets and an Internet in memory, for the tests of this crate.

mod crowd;
pub(crate) mod internet;

use std::{convert::Infallible, pin::pin};

use futures::{
    StreamExt,
    future::{Either, select},
};
use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol, Swarm,
    identity::Keypair,
    relay,
    swarm::{self, ConnectionId, NetworkBehaviour, SwarmEvent},
};
use openred_core::PeerConnections;

use crate::{
    meter::Meter,
    platform,
    streams::{self, RequestId},
};

/// The protocol of [`pair`].
pub(crate) const PROTOCOL: StreamProtocol = StreamProtocol::new("/test/1");

/// A swarm with the transports of the platform, whose behaviour is made of its peer id and the client of relays.
pub(crate) fn swarm<B: NetworkBehaviour>(
    config: platform::Config,
    meter: &Meter,
    behaviour: impl FnOnce(PeerId, relay::client::Behaviour) -> B,
) -> Swarm<B> {
    swarm_set(config, meter, platform::executor_config(), behaviour)
}

/// The same with settings of its own, on the platform's usual transports.
pub(crate) fn swarm_with<B: NetworkBehaviour>(
    settings: swarm::Config,
    behaviour: impl FnOnce(PeerId, relay::client::Behaviour) -> B,
) -> Swarm<B> {
    swarm_set(platform::Config::default(), &Meter::new(None), settings, behaviour)
}

fn swarm_set<B: NetworkBehaviour>(
    config: platform::Config,
    meter: &Meter,
    settings: swarm::Config,
    behaviour: impl FnOnce(PeerId, relay::client::Behaviour) -> B,
) -> Swarm<B> {
    let identity = Keypair::generate_ed25519();
    let peer = identity.public().to_peer_id();
    let (relay, client) = relay::client::new(peer);
    let transport =
        platform::transport(&identity, relay, platform::pages(&PeerConnections::default()).0, config, meter).unwrap();
    Swarm::new(transport, behaviour(peer, client), peer, settings)
}

/// A swarm that opens and accepts streams and does nothing else.
pub(crate) fn streams_swarm(config: platform::Config, streams: streams::Behaviour) -> Swarm<streams::Behaviour> {
    swarm(config, &Meter::new(None), |_, _| streams)
}

/// Listens and returns the first address.
pub(crate) async fn listen<B: NetworkBehaviour>(swarm: &mut Swarm<B>, address: &str) -> Multiaddr {
    swarm.listen_on(address.parse().unwrap()).unwrap();
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            return address;
        }
    }
}

/// An event of the first swarm or of the second.
pub(crate) type EitherEvent<A, B> =
    Either<SwarmEvent<<A as NetworkBehaviour>::ToSwarm>, SwarmEvent<<B as NetworkBehaviour>::ToSwarm>>;

/// Drives two swarms until `done` finds what it waits for.
pub(crate) async fn drive<A: NetworkBehaviour, B: NetworkBehaviour, T>(
    near: &mut Swarm<A>,
    far: &mut Swarm<B>,
    mut done: impl FnMut(EitherEvent<A, B>) -> Option<T>,
) -> T {
    loop {
        let event = match select(near.next(), far.next()).await {
            Either::Left((event, _)) => Either::Left(event.unwrap()),
            Either::Right((event, _)) => Either::Right(event.unwrap()),
        };
        if let Some(found) = done(event) {
            return found;
        }
    }
}

/// Drives two swarms while something else goes on.
pub(crate) async fn during<A: NetworkBehaviour, B: NetworkBehaviour, T>(
    near: &mut Swarm<A>,
    far: &mut Swarm<B>,
    work: impl Future<Output = T>,
) -> T {
    match select(pin!(drive(near, far, |_| None::<Infallible>)), pin!(work)).await {
        Either::Left((never, _)) => match never {},
        Either::Right((result, _)) => result,
    }
}

/// Connects the first swarm to the second and returns the connection's id at either.
pub(crate) async fn connect<A: NetworkBehaviour, B: NetworkBehaviour>(
    near: &mut Swarm<A>,
    far: &mut Swarm<B>,
    address: Multiaddr,
) -> (ConnectionId, ConnectionId) {
    near.dial(address).unwrap();
    let (mut dialled, mut accepted) = (None, None);
    drive(near, far, |event| {
        match event {
            Either::Left(SwarmEvent::ConnectionEstablished { connection_id, .. }) => dialled = Some(connection_id),
            Either::Right(SwarmEvent::ConnectionEstablished { connection_id, .. }) => accepted = Some(connection_id),
            Either::Left(SwarmEvent::OutgoingConnectionError { error, .. }) => panic!("{error}"),
            _ => {}
        }
        dialled.zip(accepted)
    })
    .await
}

/// Two connected swarms.
pub(crate) struct Pair {
    pub(crate) near: Swarm<streams::Behaviour>,
    pub(crate) far: Swarm<streams::Behaviour>,
    peer: PeerId,
    connection: ConnectionId,
    requests: u64,
}

/// Two swarms, connected over TCP.
pub(crate) async fn pair(near: &Meter, far: &Meter) -> Pair {
    let streams = |_, _| streams::Behaviour::new(vec![PROTOCOL]);
    let near = swarm(platform::Config::default(), near, streams);
    let mut far = swarm(platform::Config::default(), far, streams);
    let address = listen(&mut far, "/ip4/127.0.0.1/tcp/0").await;
    Pair::connect(near, far, address).await
}

impl Pair {
    /// Connects two swarms.
    pub(crate) async fn connect(
        mut near: Swarm<streams::Behaviour>,
        mut far: Swarm<streams::Behaviour>,
        address: Multiaddr,
    ) -> Self {
        let (connection, _) = connect(&mut near, &mut far, address).await;
        Self { peer: *far.local_peer_id(), near, far, connection, requests: 0 }
    }

    /// Both ends of a new stream from the first swarm to the second.
    pub(crate) async fn open(&mut self) -> (Stream, Stream) {
        self.requests += 1;
        let request = RequestId(self.requests);
        self.near.behaviour_mut().open(request, self.peer, self.connection, PROTOCOL);
        let (mut opened, mut inbound) = (None, None);
        drive(&mut self.near, &mut self.far, |event| {
            match event {
                Either::Left(SwarmEvent::Behaviour(streams::Event::Opened { stream, .. })) => opened = Some(stream),
                Either::Right(SwarmEvent::Behaviour(streams::Event::Inbound { stream, .. })) => inbound = Some(stream),
                Either::Left(SwarmEvent::Behaviour(event)) => panic!("{event:?}"),
                _ => {}
            }
            if opened.is_some() && inbound.is_some() { opened.take().zip(inbound.take()) } else { None }
        })
        .await
    }
}
