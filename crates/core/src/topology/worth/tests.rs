use std::collections::VecDeque;

use fastrand::Rng;
use libp2p_identity::Keypair;
use multiaddr::Multiaddr;

use super::*;
use crate::{
    boundary::ConnectionId,
    cache::{Cache, peers::Roles},
    config::{Config, Role},
    event::Path,
    links::{Link, Links, Told},
    orders::Orders,
    time::Now,
};

const NOW: Now = Now { elapsed: Duration::from_secs(1000), unix_ms: 1_795_000_000_000 };

fn peer(seed: u8) -> PeerId {
    Keypair::ed25519_from_bytes([seed; 32]).expect("32 bytes are a seed").public().to_peer_id()
}

fn address(text: &str) -> Multiaddr {
    text.parse().expect("an address")
}

/// A linked server: its seed, its address, its region, and its round trip in milliseconds.
type Server = (u8, &'static str, &'static str, u64);

/// What `look` makes of a node with these links.
fn with<T>(servers: &[Server], look: impl FnOnce(&Context<'_>) -> T) -> T {
    let config = Config::new("main".parse().expect("a name"), Role::Client, Vec::new());
    let local = peer(0);
    let mut links = Links::default();
    let mut cache = Cache::new(&config.cache, &config.network, local);
    for (seed, at, region, rtt) in servers {
        let (id, connection) = (peer(*seed), ConnectionId(u64::from(*seed)));
        let since = Now { elapsed: Duration::ZERO, unix_ms: 0 };
        links.connected(connection, Link::new(id, address(at), Path::Direct, true, since));
        let addresses = vec![address(at)];
        links.identified(
            &id,
            Told { server: true, signals: false, relay: true, network: None, addresses: addresses.clone() },
        );
        links.ponged(connection, Duration::from_millis(*rtt), NOW, config.link_silence);
        cache.peers.met(id, &addresses, true, Roles { server: true, relay: true }, None, NOW);
        cache.peers.stands_in(&id, region);
    }
    let (mut rng, mut outputs, mut orders) = (Rng::with_seed(1), VecDeque::new(), Orders::new());
    let cx = Context {
        now: NOW,
        config: &config,
        local,
        links: &mut links,
        cache: &mut cache,
        rng: &mut rng,
        outputs: &mut outputs,
        orders: &mut orders,
    };
    look(&cx)
}

#[test]
fn one_link_into_each_region_and_group_is_kept_before_the_nearest_of_one() {
    let servers = [
        (1, "/ip4/198.51.100.1/tcp/80/ws", "eu", 10),
        (2, "/ip4/198.51.100.2/tcp/80/ws", "eu", 2),
        (3, "/ip4/198.51.100.3/tcp/80/ws", "eu", 40),
        (4, "/ip4/203.0.113.1/tcp/80/ws", "eu", 90),
        (5, "/ip4/198.51.100.5/tcp/80/ws", "asia", 300),
    ];
    let ranked = with(&servers, |cx| ranked(cx, false));
    let order: Vec<_> = ranked.iter().map(|(peer, _)| *peer).collect();
    // The best of each region, then the best of a group, then by round trip.
    assert_eq!(order, [peer(2), peer(5), peer(4), peer(1), peer(3)]);
}

#[test]
fn a_server_keeps_its_neighbours_whatever_they_are_worth_otherwise() {
    let servers: Vec<Server> = (1..=60).map(|seed| (seed, "/ip4/10.0.0.1/tcp/80/ws", "", u64::from(seed))).collect();
    let ranked = with(&servers, |cx| ranked(cx, true));
    let local = Position::of_peer(&peer(0));
    let mut closest: Vec<_> = (1..=60).map(peer).collect();
    closest.sort_by_key(|peer| local.distance(&Position::of_peer(peer)));
    let kept: Set<_> = ranked.iter().take(NEIGHBOURS).map(|(peer, _)| *peer).collect();
    assert!(closest[..NEIGHBOURS].iter().all(|neighbour| kept.contains(neighbour)));
    // After them come those that lead to parts of the key space where few others do.
    let after: Vec<_> = ranked[NEIGHBOURS..].iter().map(|(_, worth)| worth.far).collect();
    assert!(after.is_sorted_by_key(|far| !far), "{after:?}");
}

#[test]
fn strangers_of_other_regions_and_groups_are_dialled_first_and_failures_last() {
    let servers = [(1, "/ip4/198.51.100.1/tcp/80/ws", "eu", 10)];
    let known = |seed, at| PeerAddresses { peer: peer(seed), addresses: vec![address(at)] };
    let strangers = [
        known(1, "/ip4/198.51.100.1/tcp/80/ws"),
        known(2, "/ip4/198.51.100.2/tcp/80/ws"),
        known(3, "/ip4/203.0.113.1/tcp/80/ws"),
    ];
    let chosen = with(&servers, |cx| super::strangers(cx, strangers.to_vec(), false, 5));
    assert_eq!(chosen.iter().map(|known| known.peer).collect::<Vec<_>>(), [peer(3), peer(2)], "nobody twice");
    let one = with(&servers, |cx| super::strangers(cx, strangers.to_vec(), false, 1));
    assert_eq!(one.len(), 1);
}
