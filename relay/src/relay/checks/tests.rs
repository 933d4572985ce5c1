//! Stories of checks, with a clock that jumps ahead when nothing else is left to do.

use std::{collections::BTreeMap, sync::Mutex};

use libp2p_identity::Keypair;
use openred_core::lifecycle::LifecycleConfig;

use super::*;
use crate::directory::{
    registry::{Addresses, Registration, RegistryConfig, TestClock},
    store::sqlite::SqliteStore,
};

/// Peers that answer as they are told, and who was asked.
#[derive(Clone, Default)]
struct World(Arc<Mutex<Peers>>);

#[derive(Default)]
struct Peers {
    answers: BTreeMap<PeerId, Answer>,
    asked: Vec<PeerId>,
}

impl World {
    fn is(&self, peer: PeerId, answer: Answer) {
        self.0.lock().unwrap().answers.insert(peer, answer);
    }

    fn asked(&self) -> Vec<PeerId> {
        std::mem::take(&mut self.0.lock().unwrap().asked)
    }
}

impl Reach for World {
    fn reach(&self, peer: PeerId, addresses: Vec<Multiaddr>) -> BoxFuture<'static, Answer> {
        assert!(!addresses.iter().any(is_signalled), "nobody agrees on direct paths for a check");
        let mut world = self.0.lock().unwrap();
        world.asked.push(peer);
        let answer = world.answers.get(&peer).copied().unwrap_or(Answer::Unknown);
        async move { answer }.boxed()
    }
}

fn key(number: u16) -> Keypair {
    let mut seed = [7; 32];
    seed[..2].copy_from_slice(&number.to_be_bytes());
    Keypair::ed25519_from_bytes(seed).unwrap()
}

/// A node at a host of its own, or at one that several share.
async fn register(registry: &Registry, number: u16, host: u16) -> PeerId {
    let [high, low] = host.to_be_bytes();
    let addresses = [
        format!("/ip4/9.9.{high}.{low}/tcp/4001"),
        format!("/ip4/9.9.{high}.{low}/tcp/4001/ws/p2p/{}/p2p-circuit/webrtc", key(u16::MAX).public().to_peer_id()),
    ];
    let registration = Registration {
        public_key: key(number).public(),
        addresses: Addresses::Stated(addresses.iter().map(|address| address.parse().unwrap()).collect()),
        region: String::new(),
        metadata: BTreeMap::new(),
    };
    registry.register(registration).await.unwrap();
    key(number).public().to_peer_id()
}

/// A directory whose nodes are checked, while `story` is told.
async fn tell<F: Future<Output = ()>>(story: impl FnOnce(Arc<Registry>, World, Arc<Counts>) -> F) {
    let home = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(&home.path().join("directory.sqlite")).await.unwrap());
    let waits = RegistryConfig::waiting(LifecycleConfig::default());
    let registry = Arc::new(Registry::open(store, waits, TestClock::start()).await.unwrap());
    let world = World::default();
    let (checked, reach) = (Arc::clone(&registry), world.clone());
    let counts = Arc::new(Counts::default());
    let counting = Arc::clone(&counts);
    let checks = tokio::spawn(async move { run(&checked, reach, &counting).await });
    story(registry, world, counts).await;
    checks.abort();
}

fn state(registry: &Registry, peer: &PeerId) -> State {
    registry.node(peer).unwrap().standing.state
}

async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_node_is_asked_after_and_the_answer_counts() {
    tell(|registry, world, counts| async move {
        let [there, gone, unknown] =
            [register(&registry, 1, 1).await, register(&registry, 2, 2).await, register(&registry, 3, 3).await];
        world.is(there, Answer::Reached);
        world.is(gone, Answer::Unreached);
        seconds(92).await;
        for peer in [there, gone, unknown] {
            assert_eq!(state(&registry, &peer), State::PendingFirstCheck);
        }
        seconds(10).await;
        assert_eq!(world.asked(), [], "who is back in a moment is not bothered");
        seconds(8).await;
        assert_eq!(world.asked().len(), 3);
        assert_eq!(state(&registry, &there), State::Active, "who was reached is there");
        assert_eq!(state(&registry, &gone), State::FailedFirstCheck);
        assert_eq!(state(&registry, &unknown), State::PendingFirstCheck, "no answer is none");
        let mut text = Exposition::default();
        counts.write(&mut text);
        let text = text.into_text();
        for result in ["reached", "unreached", "unknown"] {
            let line = format!("openred_directory_checks_total{{result=\"{result}\"}} 1");
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        seconds(300).await;
        assert_eq!(state(&registry, &unknown), State::FailedFirstCheck);
        assert!(world.asked().iter().all(|peer| *peer == there), "one check for each silence");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_is_back_before_its_check_is_left_in_peace() {
    tell(|registry, world, _| async move {
        let peer = register(&registry, 1, 1).await;
        seconds(95).await;
        assert_eq!(state(&registry, &peer), State::PendingFirstCheck);
        registry.heard([peer]);
        seconds(60).await;
        assert_eq!((state(&registry, &peer), world.asked()), (State::Active, vec![]));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn many_nodes_at_one_host_are_not_all_dialled_at_once() {
    tell(|registry, world, _| async move {
        for number in 1..=9 {
            register(&registry, number, 7).await;
        }
        let other = register(&registry, 10, 8).await;
        seconds(90 + 16).await;
        let asked = world.asked();
        assert!(asked.contains(&other), "others do not wait for them");
        assert!(asked.len() <= 3, "{} checks within a second or two", asked.len());
        seconds(60).await;
        assert!(world.asked().len() <= 2, "each is given a second turn, and what exceeds that is left to time");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn however_many_fall_silent_each_is_asked_after() {
    tell(|registry, world, _| async move {
        let silent = WAITING as u16 + 200;
        let mut peers = Vec::new();
        for number in 1..=silent {
            peers.push(register(&registry, number, number).await);
        }
        // Who hangs up does not count for the brake.
        peers.iter().for_each(|peer| registry.hung_up(peer));
        seconds(120).await;
        let mut asked = world.asked();
        asked.sort_unstable();
        peers.sort_unstable();
        assert_eq!(asked, peers);
    })
    .await;
}
