//! Which STUN servers tell this node its public address: those of its own relays, so that nobody else learns that it is here.
//!
//! A relay lists them in `GET <origin>/bootstrap.json` as `"stun": ["stun:<host>:<port>", ...]`. It is asked when it holds a
//! reservation for this node, which is before anybody can ask for a direct path, and again whenever one is tried while none
//! is known. A server counts if its host is the one at which this node has reached the relay, or that by which the relay is
//! configured, so that no relay can aim its clients at others.
//!
//! Bounds: [`MAX_FETCHES`] requests at once, [`MAX_BODY`] bytes an answer, [`MAX_OF_RELAY`] servers of a relay, and
//! [`MAX_STUN_SERVERS`] in use. A relay without a WebSocket address is not asked.

use std::time::Duration;

use libp2p_identity::PeerId;
use multiaddr::Multiaddr;

use crate::{
    address::origin::{host, origin, same_host},
    boundary::{FetchId, Output},
    context::Context,
    event::Path,
    map::Map,
};

/// STUN servers in use: browsers ask all of them for each connection, and warn from five on.
pub const MAX_STUN_SERVERS: usize = 4;

/// Servers taken from one relay, so that two relays have their part.
const MAX_OF_RELAY: usize = 2;

/// Requests at once; a node holds reservations at two relays.
const MAX_FETCHES: usize = 4;

/// The longest answer: a thousand addresses would fit.
const MAX_BODY: usize = 64 * 1024;

/// Time for an answer; nobody waits for it.
const ANSWER: Duration = Duration::from_secs(10);

/// Pause before a relay that failed is asked again: as long as a restart takes, twice. A guess.
const AGAIN: Duration = Duration::from_secs(10);

#[derive(Debug)]
struct Fetch {
    relay: PeerId,
    hosts: Vec<String>,
    until: Duration,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Stun {
    fetches: Map<FetchId, Fetch>,
    /// Who answered with what, and who failed and may be asked again at a time.
    relays: Map<PeerId, Result<Vec<String>, Duration>>,
    told: Vec<String>,
}

impl Stun {
    /// Asks a relay, unless it has answered or is being asked.
    pub(super) fn ask(&mut self, cx: &mut Context<'_>, relay: PeerId) {
        let asked = match self.relays.get(&relay) {
            Some(Ok(_)) => true,
            Some(Err(again)) => *again > cx.now.elapsed,
            None => self.fetches.values().any(|fetch| fetch.relay == relay),
        };
        if asked || self.fetches.len() >= MAX_FETCHES {
            return;
        }
        let Some((origin, reached)) = reached_at(cx, &relay) else { return };
        let named = cx.config.relays.iter().filter(|configured| configured.peer == Some(relay));
        let configured = named.filter_map(|relay| host(&relay.multiaddr));
        let hosts = reached.into_iter().chain(configured).collect();
        let fetch = cx.links.next_fetch();
        self.relays.remove(&relay);
        self.fetches.insert(fetch, Fetch { relay, hosts, until: cx.after(ANSWER) });
        cx.outputs.push_back(Output::Fetch { fetch, url: format!("{origin}/bootstrap.json"), limit: MAX_BODY });
    }

    /// A direct path is tried: whoever has a place for this node is asked if no server is known.
    pub(super) fn needed(&mut self, cx: &mut Context<'_>) {
        if self.told.is_empty() {
            let relays = cx.links.peers().filter(|(_, about)| about.relay && about.server).map(|(peer, _)| *peer);
            let relays: Vec<_> = relays.take(MAX_FETCHES).collect();
            relays.into_iter().for_each(|relay| self.ask(cx, relay));
        }
    }

    /// A relay has answered; nothing happens if the request is not one of these.
    pub(super) fn fetched(&mut self, cx: &mut Context<'_>, fetch: FetchId, body: &[u8]) {
        let Some(Fetch { relay, hosts, .. }) = self.fetches.remove(&fetch) else { return };
        let mut servers = listed(body);
        servers.retain(|server| names_one_of(server, &hosts));
        servers.truncate(MAX_OF_RELAY);
        self.relays.insert(relay, Ok(servers));
        self.tell(cx);
    }

    /// A relay could not be asked.
    pub(super) fn fetch_failed(&mut self, cx: &Context<'_>, fetch: FetchId) {
        if let Some(Fetch { relay, .. }) = self.fetches.remove(&fetch) {
            self.relays.insert(relay, Err(cx.after(AGAIN)));
        }
    }

    /// The last link to a relay is gone: what it serves may be gone as well.
    pub(super) fn disconnected(&mut self, cx: &mut Context<'_>, relay: &PeerId) {
        let asked = self.fetches.iter().find(|(_, fetch)| fetch.relay == *relay).map(|(fetch, _)| *fetch);
        if let Some(fetch) = asked {
            self.fetches.remove(&fetch);
            cx.outputs.push_back(Output::CancelFetch { fetch });
        }
        if self.relays.remove(relay).is_some_and(|known| known.is_ok()) {
            self.tell(cx);
        }
    }

    /// Gives up requests without an answer.
    pub(super) fn advance(&mut self, cx: &mut Context<'_>) {
        let overdue = self.fetches.iter().filter(|(_, fetch)| fetch.until <= cx.now.elapsed);
        let overdue: Vec<_> = overdue.map(|(fetch, _)| *fetch).collect();
        for fetch in overdue {
            cx.outputs.push_back(Output::CancelFetch { fetch });
            self.fetch_failed(cx, fetch);
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Duration> {
        self.fetches.values().map(|fetch| fetch.until).min()
    }

    /// Says which servers are to be used, if they are others than before. None at all is not said: a server that is silent
    /// costs nothing, and its relay may only be restarting.
    fn tell(&mut self, cx: &mut Context<'_>) {
        let mut servers: Vec<String> = Vec::new();
        for server in self.relays.values().flatten().flatten() {
            if servers.len() < MAX_STUN_SERVERS && !servers.contains(server) {
                servers.push(server.clone());
            }
        }
        if !servers.is_empty() && servers != self.told {
            self.told.clone_from(&servers);
            cx.outputs.push_back(Output::StunServers(servers));
        }
    }
}

/// Where a relay that this node has dialled answers HTTP, and the host at which it was reached.
fn reached_at(cx: &Context<'_>, relay: &PeerId) -> Option<(String, Option<String>)> {
    let about = cx.links.peer(relay)?;
    let mut links = cx.links.links_to(relay).into_iter();
    let (_, link) = links.find(|(_, link)| link.outbound && link.path == Path::Direct)?;
    let usable = |address: &&Multiaddr| same_host(&link.address, address) && cx.config.may_dial(address);
    let origin = std::iter::once(&link.address).chain(about.addresses.iter().filter(usable)).find_map(origin)?;
    Some((origin, host(&link.address)))
}

/// The servers that a relay's `bootstrap.json` lists: the strings in the array behind the key `stun`. Inside of a string
/// that key would be written with backslashes, so it is found without reading the rest.
fn listed(body: &[u8]) -> Vec<String> {
    /// Servers that are looked at.
    const MAX_LISTED: usize = 16;
    let Ok(text) = std::str::from_utf8(body) else { return Vec::new() };
    // A relay's list of services has the same word in it; only a key has a colon behind it.
    let value = text.split("\"stun\"").skip(1).find_map(|rest| rest.trim_start().strip_prefix(':'));
    let array = value.and_then(|value| value.trim_start().strip_prefix('['));
    let mut servers = Vec::new();
    // What quotation marks divide is by turns between strings and a string; a bracket between strings ends the array.
    let mut parts = array.unwrap_or_default().split('"');
    while let (Some(between), Some(server)) = (parts.next(), parts.next()) {
        if between.contains(']') || servers.len() >= MAX_LISTED {
            break;
        }
        servers.push(server.to_owned());
    }
    servers
}

/// Whether a text is `stun:<host>:<port>` with one of these hosts, and nothing behind it.
fn names_one_of(server: &str, hosts: &[String]) -> bool {
    let Some((host, port)) = server.strip_prefix("stun:").and_then(|rest| rest.rsplit_once(':')) else { return false };
    let number = port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
    let host = host.to_ascii_lowercase();
    number && hosts.iter().any(|known| *known == host || (is_loopback(known) && is_loopback(&host)))
}

/// The names of the own machine lead to the same one.
fn is_loopback(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use fastrand::Rng;

    use super::*;
    use crate::{
        address::RelayAddress,
        boundary::ConnectionId,
        cache::Cache,
        config::{Config, Role},
        links::{Link, Links},
        orders::Orders,
        time::Now,
    };

    fn hosts() -> Vec<String> {
        ["relay.example", "192.0.2.1", "[2001:db8::1]"].map(str::to_owned).into()
    }

    fn key(seed: u8) -> PeerId {
        libp2p_identity::Keypair::ed25519_from_bytes([seed; 32]).expect("a key").public().to_peer_id()
    }

    /// A node that has dialled relays 1 and 2 at their own hosts; 2 is configured.
    fn with_two_relays(test: impl FnOnce(&mut Stun, &mut Context<'_>)) {
        let now = Now { elapsed: Duration::from_secs(1), unix_ms: 1_795_000_000_000 };
        let configured = format!("/ip4/192.0.2.2/tcp/80/ws/p2p/{}", key(2));
        let configured = vec![RelayAddress::parse(&configured, false).expect("an address")];
        let config = Config::new(Default::default(), Role::Client, configured);
        let mut links = Links::default();
        for relay in [1, 2] {
            let address = format!("/ip4/192.0.2.{relay}/tcp/80/ws").parse().expect("an address");
            let link = Link::new(key(relay), address, Path::Direct, true, now);
            links.connected(ConnectionId(relay.into()), link);
        }
        let mut cache = Cache::new(&config.cache, &config.network, key(0));
        let (mut rng, mut outputs, mut orders) = (Rng::with_seed(1), VecDeque::new(), Orders::new());
        let (links, cache, rng, outputs, orders) = (&mut links, &mut cache, &mut rng, &mut outputs, &mut orders);
        let mut cx = Context { now, config: &config, local: key(0), links, cache, rng, outputs, orders };
        test(&mut Stun::default(), &mut cx);
    }

    /// Asks a relay; the request.
    fn ask(stun: &mut Stun, cx: &mut Context<'_>, relay: u8) -> FetchId {
        stun.ask(cx, key(relay));
        match cx.outputs.pop_front() {
            Some(Output::Fetch { fetch, .. }) => fetch,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_relay_that_goes_while_it_is_asked_is_asked_again_when_it_is_back() {
        with_two_relays(|stun, cx| {
            let fetch = ask(stun, cx, 1);
            stun.disconnected(cx, &key(1));
            let cancelled = cx.outputs.pop_front();
            assert!(matches!(cancelled, Some(Output::CancelFetch { fetch: cancelled }) if cancelled == fetch));
            stun.fetched(cx, fetch, br#"{"stun":["stun:192.0.2.1:3478"]}"#);
            assert!(cx.outputs.is_empty(), "what it served is gone with it");
            ask(stun, cx, 1);
        });
    }

    #[test]
    fn a_relay_speaks_for_itself_and_not_for_one_that_is_configured() {
        with_two_relays(|stun, cx| {
            let body = br#"{"stun":["stun:192.0.2.2:9","stun:192.0.2.1:3478"]}"#;
            for (relay, expected) in [(1, "stun:192.0.2.1:3478"), (2, "stun:192.0.2.2:9")] {
                let fetch = ask(stun, cx, relay);
                stun.fetched(cx, fetch, body);
                assert_eq!(stun.relays.get(&key(relay)), Some(&Ok(vec![expected.to_owned()])));
                cx.outputs.clear();
            }
        });
    }

    #[test]
    fn the_list_is_found_wherever_it_stands() {
        let two = ["stun:relay.example:3478", "stun:[2001:db8::1]:3478"];
        for text in [
            r#"{"stun":["stun:relay.example:3478","stun:[2001:db8::1]:3478"]}"#,
            "{ \"peerId\": \"12D3\",\n  \"stun\" : [ \"stun:relay.example:3478\" ,\n \"stun:[2001:db8::1]:3478\" ]\n}",
            r#"{"services":["dht","stun"],"stun":["stun:relay.example:3478","stun:[2001:db8::1]:3478"]}"#,
            r#"{"region":"the key \"stun\":[\"stun:evil.example:1\"]","stun":["stun:relay.example:3478","stun:[2001:db8::1]:3478"],"x":["y"]}"#,
        ] {
            assert_eq!(listed(text.as_bytes()), two, "{text}");
        }
        for text in [
            "",
            "{}",
            r#"{"stun":null}"#,
            r#"{"stun":[]}"#,
            r#"{"stun":[],"other":["stun:relay.example:1"]}"#,
            r#"{"stun""#,
        ] {
            assert_eq!(listed(text.as_bytes()), [""; 0], "{text}");
        }
        assert_eq!(listed(b"\xff\"stun\":[\"a\"]"), [""; 0]);
        let long = format!(r#"{{"stun":[{}"x"]}}"#, r#""stun:relay.example:1","#.repeat(10_000));
        assert_eq!(listed(long.as_bytes()).len(), 16);
    }

    #[test]
    fn only_the_relay_itself_is_believed_to_be_a_server() {
        for good in
            ["stun:relay.example:3478", "stun:RELAY.example:1", "stun:192.0.2.1:3478", "stun:[2001:db8::1]:65535"]
        {
            assert!(names_one_of(good, &hosts()), "{good}");
        }
        for bad in [
            "stun:victim.example:53",
            "stun:192.0.2.2:3478",
            "stun:relay.example",
            "stun:relay.example:0",
            "stun:relay.example:65536",
            "stun:relay.example:+1",
            "stun:relay.example:3478?transport=tcp",
            "stuns:relay.example:3478",
            "turn:relay.example:3478",
            "stun:x@relay.example:3478",
            "stun:",
            "",
            "stun:127.0.0.1:3478",
        ] {
            assert!(!names_one_of(bad, &hosts()), "{bad}");
        }
        assert!(names_one_of("stun:127.0.0.1:3478", &["localhost".to_owned()]), "a relay on the own machine");
    }

    proptest::proptest! {
        #[test]
        fn no_body_is_too_strange(body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            listed(&body);
            listed(&[b"{\"stun\":[".as_slice(), &body].concat());
        }
    }
}
