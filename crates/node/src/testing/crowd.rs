//! A hundred real nodes in one process, on an Internet with delay, loss and silence.
//!
//! Everything above the byte streams is what ships: noise, yamux, identify, ping, circuits, the DHT's streams, the driver and
//! the machine. The simulator proves the machine at scale; this proves that the shell carries out what the machine wants when
//! there are many. Times are real, so nothing is asserted of them but that finds end with their answer inside their limit.

use std::{net::Ipv4Addr, time::Duration};

use futures::{StreamExt, stream};
use libp2p::identity::Keypair;
use openred_core::{
    address::RelayAddress,
    find::{FindOptions, Found},
    name::NetworkName,
    publish::Offer,
};

use tokio::sync::Mutex;

use super::internet::{Host, Internet};
use crate::{Config, Node, Registration, RelayLimits, Role, platform};

/// Time to join: with a hundred nodes joining at once on two cores without optimisation.
const JOIN: Duration = Duration::from_secs(120);

/// Time for one find.
const FIND: Duration = Duration::from_secs(10);

/// Memory of a node, and of each of its links at either end: noise and yamux buffers take some 50 KiB.
const NODE: usize = 2 << 20;
const LINK: usize = 64 << 10;

/// What starts or asks side by side.
const AT_ONCE: usize = 8;

struct Crowd {
    internet: Internet,
    members: Vec<Member>,
}

struct Member {
    host: Host,
    address: Ipv4Addr,
    node: Node,
}

/// Between 1 and 20 ms one way, by the addresses alone and the same both ways.
fn delay(one: Ipv4Addr, other: Ipv4Addr) -> Duration {
    let mix = u64::from(one.to_bits() ^ other.to_bits()).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Duration::from_millis(1 + (mix >> 32) % 20)
}

impl Crowd {
    /// Relays, of which each joins through two before it, and then clients, which know three relays each.
    async fn gather(relays: usize, clients: usize) -> Self {
        let mut crowd = Self { internet: Internet::new(delay, 5), members: Vec::new() };
        for number in 0..relays {
            let known = [number / 2, number.saturating_sub(1)];
            let known = known.into_iter().filter(|known| *known < number).collect();
            let member = crowd.start(number, Role::Relay(RelayLimits::default()), known).await;
            crowd.members.push(member);
        }
        let joining = (relays..relays + clients)
            .map(|number| crowd.start(number, Role::Client, (0..3).map(|n| (number * 7 + n * 11) % relays).collect()));
        let joined: Vec<_> = stream::iter(joining).buffered(AT_ONCE).collect().await;
        crowd.members.extend(joined);
        crowd
    }

    async fn start(&self, number: usize, role: Role, known: Vec<usize>) -> Member {
        // A /16 for every eight nodes, as if they were spread over providers.
        let [high, low] = u16::try_from(number).expect("a small crowd").to_be_bytes();
        let address = Ipv4Addr::new(10, high * 32 + low / 8, low % 8, 1);
        let host = self.internet.host(address);
        let relays = known.iter().map(|known| self.members[*known].host.multiaddr().to_string());
        let relays = relays.map(|relay| RelayAddress::parse(&relay, false).expect("an address")).collect();
        let mut config = Config::client(NetworkName::default(), Keypair::generate_ed25519(), relays);
        if let Role::Relay(_) = role {
            config.listen = vec![host.multiaddr()];
        }
        config.role = role;
        config.platform = platform::Config { internet: Some(host.clone()), ..platform::Config::default() };
        let node = Node::start(config).await.expect("a node starts");
        node.ready(JOIN).await.expect("it joins");
        Member { host, address, node }
    }

    /// Members offer one service each; the names come in the same order.
    async fn provide(&self, members: &[usize]) -> Vec<(String, Registration)> {
        let providing = members.iter().map(|member| async move {
            let name = format!("service-{member}");
            let offer = Offer::new(name.parse().expect("a name"));
            (name, self.members[*member].node.provide(offer).await.expect("offered"))
        });
        stream::iter(providing).buffered(AT_ONCE).collect().await
    }

    /// Each seeker looks for each name; how long the finds took.
    async fn find(&self, seekers: &[usize], names: &[(String, Registration)]) -> Vec<Duration> {
        let finding = seekers.iter().flat_map(|seeker| names.iter().map(move |(name, _)| (seeker, name)));
        let finding = finding.map(|(seeker, name)| async move {
            let options = FindOptions { timeout: FIND, ..FindOptions::default() };
            let target = name.parse().expect("a target");
            let found: Found = self.members[*seeker].node.find(&target, options).await.expect("somebody to ask");
            assert_eq!(found.records.len(), 1, "{seeker} finds {name}");
            found.elapsed
        });
        let mut times: Vec<_> = stream::iter(finding).buffer_unordered(AT_ONCE).collect().await;
        times.sort();
        times
    }

    /// Members fall silent: no end, no refusal.
    fn silence(&self, members: &[usize]) {
        members.iter().for_each(|member| self.internet.silence(self.members[*member].address));
    }
}

fn percentile(times: &[Duration], percent: usize) -> Duration {
    times[(times.len() - 1) * percent / 100]
}

/// Of the members in a range every `step`th, beginning with the `first`.
fn every(step: usize, first: usize, range: std::ops::Range<usize>) -> Vec<usize> {
    range.skip(first).step_by(step).collect()
}

/// The process's memory in bytes.
#[cfg(target_os = "linux")]
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").expect("the system tells");
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).expect("a number") * 4096
}

#[cfg(not(target_os = "linux"))]
fn resident() -> u64 {
    0
}

/// Where tests are threads of one process, these still run one after the other.
static ALONE: Mutex<()> = Mutex::const_new(());

async fn story(relays: usize, clients: usize) {
    let _alone = ALONE.lock().await;
    let before = resident();
    let begun = std::time::Instant::now();
    let crowd = Crowd::gather(relays, clients).await;
    let all = relays + clients;
    println!("{all} nodes joined in {:?}", begun.elapsed());

    // Members are in three parts: one in five falls silent, one offers, one looks.
    let silent = every(5, 1, 0..all);
    let providers = every(10, 0, 0..all);
    let seekers = every(40, 2, 0..all);
    let names = crowd.provide(&providers).await;
    let times = crowd.find(&seekers, &names).await;
    println!("{} finds: p50 {:?}, p95 {:?}", times.len(), percentile(&times, 50), percentile(&times, 95));

    crowd.silence(&silent);
    let fresh = every(40, 3, 0..all);
    let times = crowd.find(&fresh, &names).await;
    let (p50, p95, last) = (percentile(&times, 50), percentile(&times, 95), percentile(&times, 100));
    println!("{} finds with {} nodes silent: p50 {p50:?}, p95 {p95:?}, longest {last:?}", times.len(), silent.len());

    let links: usize = crowd.members.iter().map(|member| member.node.peers().expect("not closed").len()).sum();
    let per_node = resident().saturating_sub(before) / all as u64;
    println!("{} KiB and {} links a node, {:?} in all", per_node / 1024, links / all, begun.elapsed());
    let most = (NODE + LINK * links / all) as u64;
    assert!(per_node < most, "{per_node} bytes of memory a node, at most {most}");
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_relays_and_80_clients_find_each_other_though_a_fifth_falls_silent() {
    story(20, 80).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forty_relays_find_each_other_though_a_fifth_falls_silent() {
    story(40, 0).await;
}
