use std::time::Instant;

use futures::{StreamExt, future::Either};
use libp2p::{
    Swarm,
    core::upgrade::Version,
    ping,
    swarm::{self, NetworkBehaviour, SwarmEvent, dummy},
};

use super::*;
use crate::{
    driver::translate::is_refusal,
    streams::{self, RequestId},
    testing::{connect, drive, during, listen, swarm_with},
};

const INTERVAL: Duration = Duration::from_millis(500);

/// Longer than any of these stories: a ping that waits for it is one that was not told of its stream's end.
const NEVER: Duration = Duration::from_secs(60);

#[derive(NetworkBehaviour)]
struct Pinging {
    ping: ping::Behaviour,
    streams: streams::Behaviour,
}

/// A node that pings in turn, and can do so out of turn.
fn pinging() -> Swarm<Pinging> {
    let lazy = platform::executor_config().with_substream_upgrade_protocol_override(Version::V1Lazy);
    let turns = ping::Config::new().with_interval(INTERVAL).with_timeout(NEVER);
    swarm_with(lazy, |_, _| Pinging { ping: ping::Behaviour::new(turns), streams: streams::Behaviour::new(Vec::new()) })
}

/// Pings out of turn, and gives what comes of it.
async fn ping_now<B: NetworkBehaviour>(
    near: &mut Swarm<Pinging>,
    far: &mut Swarm<B>,
    connection: swarm::ConnectionId,
) -> io::Result<()> {
    let peer = *far.local_peer_id();
    near.behaviour_mut().streams.open(RequestId(1), peer, connection, ping::PROTOCOL_NAME);
    let stream = drive(near, far, |event| match event {
        Either::Left(SwarmEvent::Behaviour(PingingEvent::Streams(streams::Event::Opened { stream, .. }))) => {
            Some(stream)
        }
        _ => None,
    });
    let stream = stream.await;
    let (sender, mut reports) = mpsc::channel(1);
    during(near, far, ping(ConnectionId(0), stream, sender)).await;
    match reports.next().await {
        Some(Exchanged::Ping { result, .. }) => result,
        _ => panic!("a ping reports itself"),
    }
}

/// What comes of the next ping in turn.
async fn next_turn<B: NetworkBehaviour>(
    near: &mut Swarm<Pinging>,
    far: &mut Swarm<B>,
) -> Result<Duration, ping::Failure> {
    drive(near, far, |event| match event {
        Either::Left(SwarmEvent::Behaviour(PingingEvent::Ping(ping::Event { result, .. }))) => Some(result),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn a_ping_out_of_turn_costs_the_regular_one_its_turn_and_is_no_failure() {
    let (mut near, mut far) = (pinging(), pinging());
    let address = listen(&mut far, "/ip4/127.0.0.1/tcp/0").await;
    let (connection, _) = connect(&mut near, &mut far, address).await;
    next_turn(&mut near, &mut far).await.expect("the first one comes back");
    let heard = Instant::now();
    ping_now(&mut near, &mut far, connection).await.expect("it comes back too");
    next_turn(&mut near, &mut far).await.expect("a failure that is not told");
    let silence = heard.elapsed();
    assert!(silence > INTERVAL * 3 / 2, "the turn of {INTERVAL:?} was not missed: {silence:?}");
    assert!(silence < NEVER / 4, "the regular ping was not told that its stream is gone: {silence:?}");
}

#[tokio::test]
async fn a_peer_that_answers_no_pings_says_so_at_once() {
    let mut near = pinging();
    let mut far = swarm_with(platform::executor_config(), |_, _| dummy::Behaviour);
    let address = listen(&mut far, "/ip4/127.0.0.1/tcp/0").await;
    let (connection, _) = connect(&mut near, &mut far, address).await;
    let refused = ping_now(&mut near, &mut far, connection).await.expect_err("nobody answers");
    assert!(is_refusal(&refused), "{refused:?}");
    assert!(!is_refusal(&io::ErrorKind::TimedOut.into()));
}
