//! Asks after registered nodes that fell silent, when their lifecycle wants it: a connection that ends at the node's own key
//! shows that it is there.
//!
//! A first check waits for [`DELAY`], since who reloads a page, changes networks or restarts is back by then. Addresses were
//! given by the nodes themselves, so a check could be aimed at somebody else: private ones and names are left out by the node
//! ([`openred_core::Machine::reach`]), and no host is dialled more often than once in [`HOST_PAUSE`].
//!
//! Bounds: [`AT_ONCE`] checks at a time, each at [`ADDRESSES`] addresses for [`LIMIT`]; [`WAITING`] that wait here. Further wishes
//! wait in the registry.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use libp2p_identity::PeerId;
use multiaddr::Multiaddr;
use openred_core::{
    address::{is_relayed, is_signalled},
    lifecycle::State,
};
use openred_node::Node;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep_until},
};

use crate::{
    directory::registry::{NodeView, Registry},
    http::Shared,
    metrics::exposition::{Exposition, Kind},
};

/// From a wish to the check, unless the lifecycle gives the first check less than four times as long. A guess.
const DELAY: Duration = Duration::from_secs(15);

/// Checks at a time. When a thousand nodes are silent, most of which are gone, their checks take ten minutes.
const AT_ONCE: usize = 8;

/// Addresses of a check.
const ADDRESSES: usize = 8;

/// Time for a check: a handshake over slow links, and the core gives a dial up earlier.
const LIMIT: Duration = Duration::from_secs(10);

/// Checks that wait, some 100 kB.
const WAITING: usize = 1024;

/// Between two checks that dial the same host: what many nodes behind one address need, and nobody notices.
const HOST_PAUSE: Duration = Duration::from_secs(1);

/// What came of a check.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Answer {
    /// The node is there.
    Reached,
    /// It is not.
    Unreached,
    /// That cannot be said.
    Unknown,
}

impl Answer {
    const ALL: [Self; 3] = [Self::Reached, Self::Unreached, Self::Unknown];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Reached => "reached",
            Self::Unreached => "unreached",
            Self::Unknown => "unknown",
        }
    }
}

/// How many checks came to each answer.
#[derive(Debug, Default)]
struct Counts([AtomicU64; 3]);

impl Counts {
    fn count(&self, answer: Answer) {
        self.0[answer as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn write(&self, text: &mut Exposition) {
        let help = "Checks of silent nodes by what came of them";
        let mut checks = text.metric("openred_directory_checks_total", Kind::Counter, help);
        for answer in Answer::ALL {
            let count = self.0[answer as usize].load(Ordering::Relaxed);
            checks.sample(&[("result", answer.as_str())], count as f64);
        }
    }
}

/// How a node is asked after.
trait Reach: Send + Sync + 'static {
    fn reach(&self, peer: PeerId, addresses: Vec<Multiaddr>) -> BoxFuture<'static, Answer>;
}

impl Reach for Node {
    fn reach(&self, peer: PeerId, addresses: Vec<Multiaddr>) -> BoxFuture<'static, Answer> {
        let node = self.clone();
        async move {
            match node.reach(peer, addresses, LIMIT).await {
                Ok(()) => Answer::Reached,
                Err(error) => {
                    tracing::debug!(%peer, %error, "a silent node was asked after");
                    if matches!(error.code(), "UNREACHABLE" | "TIMEOUT") { Answer::Unreached } else { Answer::Unknown }
                }
            }
        }
        .boxed()
    }
}

/// Checks nodes while it lives.
pub(super) struct Checks(JoinHandle<()>);

impl Checks {
    pub(super) fn start(shared: Arc<Shared>, node: Node) -> Self {
        let counts = Arc::new(Counts::default());
        let counted = Arc::clone(&counts);
        shared.metrics.add(Box::new(move |text| counted.write(text)));
        Self(tokio::spawn(async move { run(&shared.directory.registry, node, &counts).await }))
    }
}

impl Drop for Checks {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs until it is dropped.
async fn run(registry: &Registry, reach: impl Reach, counts: &Counts) {
    let mut queue = Queue::new(DELAY.min(registry.waits().first_check / 4));
    let mut running = FuturesUnordered::new();
    loop {
        let next = queue.next_at().filter(|_| running.len() < AT_ONCE);
        let room = queue.room();
        tokio::select! {
            peers = registry.wished_checks(room), if room > 0 => queue.want(&peers, Instant::now()),
            () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {
                if let Some((peer, addresses)) = queue.take(Instant::now(), |peer| registry.node(peer)) {
                    running.push(reach.reach(peer, addresses).map(move |answer| (peer, answer)));
                }
            }
            Some((peer, answer)) = running.next(), if !running.is_empty() => {
                counts.count(answer);
                match answer {
                    Answer::Reached => registry.heard([peer]),
                    Answer::Unreached => registry.unreached(&peer),
                    Answer::Unknown => {}
                }
            }
        }
    }
}

/// The checks that wait, the next one first.
struct Queue {
    delay: Duration,
    /// When, whom, and whether it has waited for its host.
    waiting: VecDeque<(Instant, PeerId, bool)>,
    queued: BTreeSet<PeerId>,
    /// Until when a host is left alone.
    hosts: BTreeMap<Multiaddr, Instant>,
}

impl Queue {
    fn new(delay: Duration) -> Self {
        Self { delay, waiting: VecDeque::new(), queued: BTreeSet::new(), hosts: BTreeMap::new() }
    }

    /// How many more checks may wait.
    fn room(&self) -> usize {
        WAITING.saturating_sub(self.waiting.len())
    }

    fn want(&mut self, peers: &[PeerId], now: Instant) {
        for peer in peers {
            if self.queued.insert(*peer) {
                self.waiting.push_back((now + self.delay, *peer, false));
            }
        }
    }

    fn next_at(&self) -> Option<Instant> {
        self.waiting.front().map(|(at, ..)| *at)
    }

    /// The next check, if it is due and still wanted, and where to dial.
    fn take(&mut self, now: Instant, node: impl Fn(&PeerId) -> Option<NodeView>) -> Option<(PeerId, Vec<Multiaddr>)> {
        let (_, peer, has_waited) = *self.waiting.front().filter(|(at, ..)| *at <= now)?;
        self.waiting.pop_front();
        self.queued.remove(&peer);
        // Who was heard, or said farewell, meanwhile needs no check.
        let view = node(&peer).filter(|view| !matches!(view.standing.state, State::Active | State::Draining))?;
        let addresses = view.info.addresses.iter().filter(|address| !is_signalled(address)).take(ADDRESSES);
        let addresses: Vec<Multiaddr> = addresses.cloned().collect();
        self.hosts.retain(|_, until| *until > now);
        let hosts: BTreeSet<Multiaddr> = addresses
            .iter()
            .filter(|address| !is_relayed(address))
            .map(|address| address.iter().take(1).collect())
            .collect();
        if let Some(until) = hosts.iter().filter_map(|host| self.hosts.get(host)).max() {
            // It is given its turn once more, behind the others.
            if !has_waited {
                self.queued.insert(peer);
                let at = self.waiting.back().map_or(*until, |(last, ..)| (*until).max(*last));
                self.waiting.push_back((at, peer, true));
            }
            return None;
        }
        self.hosts.extend(hosts.into_iter().map(|host| (host, now + HOST_PAUSE)));
        Some((peer, addresses))
    }
}

#[cfg(test)]
mod tests;
