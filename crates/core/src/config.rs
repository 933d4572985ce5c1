//! What a machine is told once, at its start.

use std::time::Duration;

use multiaddr::Multiaddr;

use crate::{
    address::{RelayAddress, is_private},
    bootstrap::BootstrapList,
    cache::CacheConfig,
    dht::{query::QueryConfig, store::StoreConfig},
    find::LayerConfig,
    name::NetworkName,
};

/// The settings of one node.
#[derive(Clone, Debug)]
pub struct Config {
    /// The network; nodes of different networks never mix.
    pub network: NetworkName,
    /// Whether this node serves others.
    pub role: Role,
    /// First contacts, in the order of the application's preference. They are kept connected.
    pub relays: Vec<RelayAddress>,
    /// Further first contacts, tried while connections lack.
    pub bootstrap: BootstrapList,
    /// URLs of bootstrap lists, fetched while connections lack.
    pub lists: Vec<String>,
    /// Where this node stands, for records and lists; may be empty.
    pub region: String,
    /// Whether a transport of the platform can dial an address.
    pub can_dial: fn(&Multiaddr) -> bool,
    /// Whether private and loopback addresses learned from others are dialled. A page of the public web must not: the
    /// browser would ask its user for permission.
    pub dial_private: bool,
    /// Reservations to hold at different relays. With two, the loss of one relay leaves the node reachable; a third costs
    /// relays more than it adds.
    pub reservations: usize,
    /// DHT servers to stay connected to. A client: one more than the reservations, so that a replacement is already at hand.
    /// A relay: 16, which makes a small network a full mesh and costs a ping each in seconds; a guess.
    pub relay_links: usize,
    /// Links to DHT servers that are kept although nobody uses them, and how many are too many in any case. Lookups make
    /// links, and links make lookups fast; each costs a ping in seconds. A relay: a lookup's twenty neighbours and two in each
    /// of a large network's ten far buckets, up to three times that (Kubo's marks are 32 and 96). A client: as many as
    /// a lookup asks at once, and twice that while it looks around.
    pub links: (usize, usize),
    /// Time for one attempt to reach a relay, from dial to identification. A WAN handshake takes five round trips.
    pub join_attempt: Duration,
    /// First and longest delay between two attempts to reach the same relay.
    pub join_backoff: (Duration, Duration),
    /// Time for one dial of a peer.
    pub dial_timeout: Duration,
    /// Hard limit of one DHT request; a slow peer is overtaken long before.
    pub request_timeout: Duration,
    /// Time for opening a stream on one link before another path is tried.
    pub open_attempt: Duration,
    /// A link whose pings come back no more is closed after this time. It must be longer than the shell's ping interval;
    /// a client's 8 s let streams through a silent relay end within the 10 s that users are promised; a relay's 20 s are
    /// almost three intervals, and leave ten seconds of the thirty in which churn is to be mended.
    pub link_silence: Duration,
    /// Whether the platform makes direct paths between pages (WebRTC): endpoints that say so are announced, and direct paths
    /// are sought to peers that speak its signalling.
    pub webrtc: bool,
    /// Whether the application wants relayed paths only, so that peers do not learn this node's address; relays and DHT servers
    /// do.
    pub relayed_only: bool,
    /// Time for one direct attempt. It must be longer than the shell's own limit, which tells the reason; ICE needs a second
    /// or two where it works, and browsers give it up after some fifteen.
    pub direct_attempt: Duration,
    /// First and longest delay between two direct attempts at the same peer. What failed once, by a firewall as a rule, fails
    /// again, and each attempt costs one of [`Config::peer_connections`]; guesses.
    pub direct_backoff: (Duration, Duration),
    /// What the platform's WebRTC connections are spent on.
    pub peer_connections: PeerConnections,
    /// How often the neighbourhood of the own position is looked up again when nothing changes.
    pub refresh: Duration,
    /// How often a server asks one of its twenty neighbours, in turn, whether it is there: some 3 kB each. A second shows
    /// the loss of most of them within two.
    pub watch: Duration,
    /// Values a second that a server gives to those that should hold them too when its neighbourhood is another. Most
    /// are below 1 KiB, so this is some 200 kB/s for at most a few minutes, and a tenth of a full store in a minute; a guess. Zero gives nothing.
    pub repair_rate: u32,
    /// How often holders of an offer of this node are asked whether they still hold it, the offers taking turns. Each time
    /// costs three requests. Three offers are looked at within the minute in which a broken network must be mended.
    pub check: Duration,
    /// Offers of this node. Each is stored again at half its ttl, which costs some forty messages; a guess.
    pub max_registrations: usize,
    /// Lookups and stream attempts of the application at once.
    pub max_orders: usize,
    /// What an earlier life of this node remembered: the last [`Output::Remember`](crate::Output). What cannot be read is
    /// set aside with a warning.
    pub memory: Option<Vec<u8>>,
    /// Time budgets of a find's layers.
    pub layers: LayerConfig,
    /// Limits of what is remembered.
    pub cache: CacheConfig,
    /// Limits of one lookup.
    pub query: QueryConfig,
    /// Limits of what is stored for others.
    pub store: StoreConfig,
}

/// What a page's WebRTC connections are spent on. Chromium gives a page 500, and counts those that have ended or failed until
/// it collects them, which may be never; so each counts for the page's life here. Each mark is a number of connections made so far, whatever they were made for, since several nodes
/// of one page spend from the same number; a use ends at its mark, so what lies above it is kept for the uses that end later.
#[derive(Clone, Debug)]
pub struct PeerConnections {
    /// Up to here whoever names a WebRTC-direct address is dialled at it. From here on only configured relays are, and peers
    /// that were reached so before; and of these only those that are not reached by other means. WebSockets cost nothing, and
    /// others may name as many addresses as they like; a guess.
    pub spare_relays: u32,
    /// Up to here every peer in use is worth a direct attempt: half of what a page has.
    pub upgrades: u32,
    /// Up to here the most valuable ones are: those whose streams have run for a while.
    pub valuable: u32,
    /// Up to here the shell answers the offers of others, so that they cannot use up what the page needs itself. The rest, a
    /// fifth, is for relays that are reached by WebRTC-direct alone.
    pub offers: u32,
    /// So many of them the shell makes for offers of others, which cost the others less than this page: well below `upgrades`,
    /// so that nobody can end the page's own attempts; a guess.
    pub for_others: u32,
}

impl Default for PeerConnections {
    fn default() -> Self {
        Self { spare_relays: 50, upgrades: 250, valuable: 350, offers: 400, for_others: 150 }
    }
}

/// What a node is to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Takes part as a DHT client and is reached through relays.
    Client,
    /// Serves the DHT and needs no reservation: it has public addresses of its own. Needs the crate's feature `server`.
    Relay,
}

impl Role {
    /// Whether this is a relay. The compiler drops what only relays do from a build without the feature `server`.
    pub(crate) fn is_relay(self) -> bool {
        cfg!(feature = "server") && self == Role::Relay
    }
}

impl Config {
    /// A configuration with every limit at its default.
    pub fn new(network: NetworkName, role: Role, relays: Vec<RelayAddress>) -> Self {
        let relay = role == Role::Relay;
        Self {
            network,
            role,
            relays,
            bootstrap: BootstrapList::default(),
            lists: Vec::new(),
            region: String::new(),
            can_dial: |_| true,
            dial_private: true,
            reservations: 2,
            relay_links: if relay { 16 } else { 3 },
            links: if relay { (40, 128) } else { (10, 20) },
            join_attempt: Duration::from_secs(5),
            join_backoff: (Duration::from_millis(500), Duration::from_secs(30)),
            dial_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(10),
            open_attempt: Duration::from_millis(2500),
            link_silence: Duration::from_secs(if relay { 20 } else { 8 }),
            webrtc: false,
            relayed_only: false,
            direct_attempt: Duration::from_secs(25),
            direct_backoff: (Duration::from_secs(15), Duration::from_secs(600)),
            peer_connections: PeerConnections::default(),
            refresh: Duration::from_secs(300),
            watch: Duration::from_secs(1),
            repair_rate: 200,
            check: Duration::from_secs(20),
            max_registrations: 1024,
            max_orders: 1024,
            memory: None,
            layers: LayerConfig::default(),
            cache: CacheConfig::default(),
            query: QueryConfig::default(),
            store: StoreConfig::default(),
        }
    }

    /// Whether this node makes direct paths through its relays, and lets others make them: the platform can, and the
    /// application has not chosen [`Config::relayed_only`]. The shell listens for offers if so.
    pub fn goes_direct(&self) -> bool {
        self.webrtc && !self.relayed_only && self.role == Role::Client
    }

    /// Whether this node dials an address that it learned from another peer.
    pub(crate) fn may_dial(&self, address: &Multiaddr) -> bool {
        (self.dial_private || !is_private(address)) && (self.can_dial)(address)
    }
}
