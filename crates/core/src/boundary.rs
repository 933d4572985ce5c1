//! The boundary of the machine: what comes in, what goes out, and why it wants to be woken.
//!
//! A shell translates between these enums and the world and decides nothing. Facts come in as [`Input`]; orders of the
//! application are methods of [`Machine`](crate::Machine); everything the machine wants done leaves as [`Output`]. An
//! order that takes time carries an [`OpId`] chosen by the shell and ends with exactly one [`Output::Done`].

use std::time::Duration;

use libp2p_identity::PeerId;
use multiaddr::Multiaddr;

use crate::{error::Error, event::Event, find::Found, name::ServiceName, wire::stream::Status as StreamStatus};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);
    };
}

id!(
    /// One order of the application; chosen by the shell, unique for the life of the machine.
    OpId
);
id!(
    /// One offered service of this node; chosen by the machine.
    RegistrationId
);
id!(
    /// One connection; chosen by the shell, never used again.
    ConnectionId
);
id!(
    /// One attempt to connect; chosen by the machine.
    DialId
);
id!(
    /// One DHT request of ours; chosen by the machine.
    RequestId
);
id!(
    /// One HTTP request of ours; chosen by the machine.
    FetchId
);
id!(
    /// One DHT request of another peer, waiting for our answer; chosen by the shell.
    InboundId
);
id!(
    /// One attempt to open a service stream; chosen by the machine.
    OpenId
);

/// A fact from the world.
#[derive(Clone, Debug)]
pub enum Input {
    /// A connection is established and its remote peer authenticated.
    Connected {
        /// The authenticated remote.
        peer: PeerId,
        /// The new connection.
        connection: ConnectionId,
        /// The remote's address as this node sees it.
        address: Multiaddr,
        /// Whether the connection runs through a relay.
        relayed: bool,
        /// The dial that led to it, if this node dialled.
        dial: Option<DialId>,
    },
    /// A connection is gone.
    Disconnected {
        /// The remote.
        peer: PeerId,
        /// The connection that ended.
        connection: ConnectionId,
    },
    /// A dial of ours came to nothing.
    DialFailed {
        /// Which dial.
        dial: DialId,
        /// Why, in words a person can act on.
        failure: DialFailure,
    },
    /// The remote told its protocols and addresses (libp2p identify).
    Identified {
        /// Who.
        peer: PeerId,
        /// Every protocol id it supports.
        protocols: Vec<String>,
        /// Its listen addresses, unverified.
        addresses: Vec<Multiaddr>,
    },
    /// A ping came back.
    Ponged {
        /// Who answered.
        peer: PeerId,
        /// On which connection.
        connection: ConnectionId,
        /// How long it took.
        rtt: Duration,
    },
    /// A peer has said that it answers no pings.
    PingRefused {
        /// Who said so.
        peer: PeerId,
        /// On which connection.
        connection: ConnectionId,
        /// How long it took.
        rtt: Duration,
    },
    /// A ping was not answered in time.
    PingFailed {
        /// Who was silent.
        peer: PeerId,
        /// On which connection.
        connection: ConnectionId,
    },
    /// What runs on a connection changed, or the connection is new and carries nothing yet.
    ///
    /// A connection of which this was never said is not closed for being superfluous.
    Carries {
        /// The connection.
        connection: ConnectionId,
        /// Service streams on it, of either side, and circuits that this node relays over it for its remote.
        streams: usize,
    },
    /// A relay holds a reservation for this node.
    Reserved {
        /// The relay.
        relay: PeerId,
    },
    /// A direct path that another peer asked for, by signalling on a relayed connection, did not come about.
    OfferFailed {
        /// Who asked.
        peer: PeerId,
        /// What went wrong.
        why: DirectFailure,
        /// The same in words.
        reason: String,
    },
    /// How many WebRTC connections the platform has made in its life, for this node or others; told whenever it changed.
    PeerConnections {
        /// The number.
        made: u32,
    },
    /// The platform says that it has no network. When it has one again, [`Machine::wake`](crate::Machine::wake) is called.
    NetworkGone,
    /// A reservation was refused, could not be asked for, or ended.
    ReservationLost {
        /// The relay.
        relay: PeerId,
        /// Why.
        reason: String,
    },
    /// An address at which this node can be reached is known for sure.
    Reachable {
        /// The address, without `/p2p`.
        address: Multiaddr,
    },
    /// The answer to a DHT request of ours.
    Answered {
        /// Which request.
        request: RequestId,
        /// The message as received; not yet parsed.
        message: Vec<u8>,
    },
    /// A DHT request without an answer was written whole.
    Sent {
        /// Which request.
        request: RequestId,
    },
    /// A DHT request of ours failed.
    RequestFailed {
        /// Which request.
        request: RequestId,
        /// Why.
        reason: String,
    },
    /// Another peer asks this node as a DHT server.
    Asked {
        /// To be named in [`Output::Respond`].
        inbound: InboundId,
        /// Who asks.
        peer: PeerId,
        /// The message as received; not yet parsed.
        message: Vec<u8>,
    },
    /// An HTTP request of ours was answered with status 200.
    Fetched {
        /// Which request.
        fetch: FetchId,
        /// The answer's body, within the limit asked for; not yet parsed.
        body: Vec<u8>,
    },
    /// An HTTP request of ours failed.
    FetchFailed {
        /// Which request.
        fetch: FetchId,
        /// Why, in words a person can act on.
        reason: String,
    },
    /// A service stream was opened and the provider accepted it.
    Opened {
        /// Which attempt.
        open: OpenId,
    },
    /// A service stream was opened and the provider said no.
    OpenRefused {
        /// Which attempt.
        open: OpenId,
        /// The provider's answer.
        status: StreamStatus,
        /// The provider's words, bounded by the wire format.
        message: String,
    },
    /// A service stream could not be opened.
    OpenFailed {
        /// Which attempt.
        open: OpenId,
        /// Why.
        reason: String,
    },
}

/// Why a dial failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DialFailure {
    /// The address leads back to this very node.
    Myself,
    /// Somebody else answered than the address named.
    WrongPeer {
        /// Who answered.
        obtained: PeerId,
    },
    /// No transport of this platform can dial any of the addresses.
    Unsupported,
    /// The dial of a `/webrtc` address did not lead to a direct path.
    NotDirect {
        /// What went wrong.
        why: DirectFailure,
        /// The same in words.
        reason: String,
    },
    /// The attempt failed on the way.
    Failed(String),
}

impl std::fmt::Display for DialFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            DialFailure::Myself => f.write_str("the address leads back to this node"),
            DialFailure::WrongPeer { obtained } => {
                write!(f, "{obtained} answered in place of the peer that the address names")
            }
            DialFailure::Unsupported => f.write_str("no transport of this platform can dial the address"),
            DialFailure::NotDirect { reason, .. } | DialFailure::Failed(reason) => f.write_str(reason),
        }
    }
}

/// Why there is no direct path to a peer that is reached through a relay, as far as the shell can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectFailure {
    /// Both sides named their addresses, and no pair of them worked.
    Ice,
    /// The same, and no STUN server that was asked has answered: UDP does not leave this place.
    UdpBlocked,
    /// The platform cannot, or may not.
    Unsupported,
    /// The page has made all the connections that it may, or that the browser allows it.
    Quota,
    /// The peer does not speak the signalling protocol, broke it, or said no.
    Refused,
    /// The relayed connection ended before everything was said.
    Gone,
    /// Too many attempts are under way here.
    Busy,
    /// It took too long, and nothing is known of the reason.
    Timeout,
    /// The platform would not do its part.
    Failed,
}

impl DirectFailure {
    /// The stable code by which an [`Explanation`](crate::Explanation) names it.
    pub fn code(self) -> &'static str {
        match self {
            DirectFailure::Ice => "ICE_FAILED",
            DirectFailure::UdpBlocked => "UDP_BLOCKED",
            DirectFailure::Unsupported => "WEBRTC_OFF",
            DirectFailure::Quota => "QUOTA",
            DirectFailure::Refused => "REFUSED",
            DirectFailure::Gone => "GONE",
            DirectFailure::Busy => "BUSY",
            DirectFailure::Timeout => "TIMEOUT",
            DirectFailure::Failed => "FAILED",
        }
    }
}

/// What the machine wants done.
#[derive(Debug)]
pub enum Output {
    /// Connect to a peer, or to whoever answers if `peer` is none, trying the addresses side by side.
    Dial {
        /// Named again in [`Input::Connected`] or [`Input::DialFailed`]; one of them always follows.
        dial: DialId,
        /// The peer that must answer.
        peer: Option<PeerId>,
        /// At least one address, without the final `/p2p` except behind `/p2p-circuit`. One that ends in
        /// `/p2p-circuit/webrtc/p2p/<peer>` is dialled alone, and only while a relayed connection to the peer stands.
        addresses: Vec<Multiaddr>,
    },
    /// Give up a dial; no input follows.
    CancelDial {
        /// Which dial.
        dial: DialId,
    },
    /// Close a connection.
    Disconnect {
        /// Which connection.
        connection: ConnectionId,
    },
    /// Ping a connection at once, beside the pings that the shell sends by itself; [`Input::Ponged`] or [`Input::PingRefused`]
    /// follows if it lives.
    Ping {
        /// The remote.
        peer: PeerId,
        /// Which connection.
        connection: ConnectionId,
    },
    /// Use these STUN servers for direct paths from here on, in the place of those named before.
    StunServers(
        /// URLs `stun:<host>:<port>`, at most [`MAX_STUN_SERVERS`](crate::MAX_STUN_SERVERS).
        Vec<String>,
    ),
    /// Ask a connected relay for a reservation; [`Input::Reserved`] or [`Input::ReservationLost`] follows.
    Reserve {
        /// The relay.
        relay: PeerId,
        /// The relay's address, without `/p2p`.
        address: Multiaddr,
    },
    /// Send a DHT message.
    Request {
        /// Named again in the answer.
        request: RequestId,
        /// To whom.
        peer: PeerId,
        /// Over which connection.
        connection: ConnectionId,
        /// The encoded message, without length prefix.
        message: Vec<u8>,
        /// Whether the protocol has an answer for it.
        answered: bool,
    },
    /// Give up a request; no input follows.
    CancelRequest {
        /// Which request.
        request: RequestId,
    },
    /// Fetch something over HTTP: a directory's answer, a list of relays.
    Fetch {
        /// Named again in the answer; [`Input::Fetched`] or [`Input::FetchFailed`] follows.
        fetch: FetchId,
        /// The whole URL, `http` or `https`.
        url: String,
        /// The most bytes of a body that are read; a longer one fails.
        limit: usize,
    },
    /// Give up an HTTP request; no input follows.
    CancelFetch {
        /// Which request.
        fetch: FetchId,
    },
    /// Keep this for the next life of the node, in the place of what was kept before; it is given back as
    /// [`Config::memory`](crate::Config).
    Remember(Vec<u8>),
    /// Answer another peer's request.
    Respond {
        /// Which request.
        inbound: InboundId,
        /// What to do on the stream that brought it.
        response: Response,
    },
    /// Open a service stream on a connection and send its header.
    OpenStream {
        /// Named again in the answer.
        open: OpenId,
        /// The order it belongs to; the stream is handed over when the order is done.
        op: OpId,
        /// The provider.
        peer: PeerId,
        /// Over which connection.
        connection: ConnectionId,
        /// The service asked for.
        name: ServiceName,
    },
    /// Give up a stream attempt, or reset its stream if it was opened since.
    CancelOpen {
        /// Which attempt.
        open: OpenId,
    },
    /// An order of the application has ended.
    Done {
        /// Which order.
        op: OpId,
        /// How.
        outcome: Result<Outcome, Error>,
    },
    /// Something the application may want to know.
    Event(Event),
}

/// What to do on the stream that brought another peer's request.
#[derive(Debug, PartialEq, Eq)]
pub enum Response {
    /// Write this message.
    Message(Vec<u8>),
    /// The protocol has no answer; wait for the next request.
    Nothing,
    /// Reset the stream: the request was refused.
    Reset,
}

/// How an order ended well.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The node has joined.
    Joined,
    /// The service is offered, reachable and held by a write quorum.
    Provided(RegistrationId),
    /// The registration was updated or withdrawn, and a write quorum knows.
    Stored,
    /// What a lookup found.
    Found(Found),
    /// The stream of this attempt is accepted by the provider.
    Opened(OpenId),
    /// A link to the peer stands.
    Reached,
    /// Everything offered is withdrawn as far as the network could be told.
    Closed,
}

/// Why the machine wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// A relay is to be tried again, or an attempt has taken too long.
    Join,
    /// Links are to be made, looked at, or learned about.
    Company,
    /// A DHT request or query has waited long enough.
    Dht,
    /// A lookup's time budget or settling window ends.
    Find,
    /// An offered service is to be stored again.
    Publish,
    /// A reservation is to be asked for again.
    Reservation,
    /// A stream attempt has taken too long.
    Open,
    /// A link has not been heard for too long.
    Link,
    /// A direct path is to be tried, or relays are to be asked for what that takes.
    Ladder,
    /// Something stored for others expires.
    Store,
    /// What was learned is to be kept for the next life, or is out of date.
    Cache,
    /// An order's own time limit ends.
    Deadline,
}
