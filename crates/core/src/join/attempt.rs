//! One relay that is being reached: dial, identify, check that it serves this network's DHT, try again with backoff.

use std::time::Duration;

use libp2p_identity::PeerId;
use multiaddr::Multiaddr;

use crate::{
    address::{RelayAddress, is_signalled},
    backoff::Backoff,
    boundary::{ConnectionId, DialFailure, DialId, Output},
    context::Context,
    dht::diversity::Group,
    event::{Event, JoinStage, JoinStep},
};

/// Where a relay is known from. The order is that of trust, and so of trying.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// The application named it.
    Configured,
    /// It served well in an earlier life of this node.
    Remembered,
    /// A list names it for the own region.
    OwnRegion,
    /// A list names it for every region.
    Global,
    /// A list names it for another region.
    Elsewhere,
}

#[derive(Debug)]
pub(super) struct Attempt {
    /// As the application wrote it, or as it is written for people.
    pub(super) text: String,
    pub(super) source: Source,
    /// Where a list says that it stands.
    pub(super) region: String,
    pub(super) addresses: Vec<Multiaddr>,
    /// Who must answer, if that is known.
    pub(super) expected: Option<PeerId>,
    /// Who answered last.
    pub(super) peer: Option<PeerId>,
    pub(super) stage: Stage,
    pub(super) backoff: Backoff,
    /// Failures since the last success.
    pub(super) failures: u32,
    /// The last failure, kept for the reason that a failed join gives.
    pub(super) failure: Option<(&'static str, String)>,
    /// Place among those of the same source: strangers to each other first, then by lot.
    pub(super) rank: (usize, u32),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// To be dialled at this time, if it is needed then.
    Due(Duration),
    Dialling(DialId),
    /// Connected and waiting for its identification until then.
    Identifying(ConnectionId, Duration),
    Member,
    /// The address leads back to this node; nothing more to do.
    Myself,
    /// A list's entry that cannot become right by trying again.
    Refused,
}

impl Attempt {
    pub(super) fn configured(relay: &RelayAddress, at: Duration, backoff: (Duration, Duration)) -> Self {
        let addresses = vec![relay.multiaddr.clone()];
        Self::new(relay.to_string(), Source::Configured, relay.peer, addresses, at, backoff)
    }

    pub(super) fn new(
        text: String,
        source: Source,
        peer: Option<PeerId>,
        addresses: Vec<Multiaddr>,
        at: Duration,
        backoff: (Duration, Duration),
    ) -> Self {
        let backoff = Backoff::new(backoff.0, backoff.1);
        let stage = Stage::Due(at);
        Self {
            text,
            source,
            region: String::new(),
            addresses,
            expected: peer,
            peer,
            stage,
            backoff,
            failures: 0,
            failure: None,
            rank: (0, 0),
        }
    }

    pub(super) fn is_configured(&self) -> bool {
        self.source == Source::Configured
    }

    /// Whether it is on its way to an answer.
    pub(super) fn is_under_way(&self) -> bool {
        matches!(self.stage, Stage::Dialling(_) | Stage::Identifying(..))
    }

    /// The part of the world's addresses that its first address belongs to.
    pub(super) fn group(&self) -> Option<Group> {
        Group::of(&self.addresses)
    }

    /// Begins, or takes note of the link that stands already.
    pub(super) fn start(&mut self, cx: &mut Context<'_>) {
        if let Some(peer) = self.peer
            && let Some((connection, _)) = cx.links.best(&peer)
        {
            // Connected for another reason, by its own dial perhaps; its identification decides.
            let server = cx.links.peer(&peer).is_some_and(|known| known.identified && known.server);
            if server {
                self.joined(cx);
            } else {
                self.stage = Stage::Identifying(connection, cx.after(cx.config.join_attempt));
            }
            return;
        }
        self.tell(cx, JoinStage::Dialling);
        let listed = !self.is_configured();
        let mut addresses = self.addresses.clone();
        addresses.retain(|address| !is_signalled(address) && (cx.config.can_dial)(address));
        if addresses.is_empty() {
            return self.fail(cx, "UNSUPPORTED", DialFailure::Unsupported.to_string());
        }
        // What the application names is its own affair; what others name must not make a browser ask for permission.
        addresses.retain(|address| !listed || cx.config.may_dial(address));
        if addresses.is_empty() {
            let reason = "a page of the public web does not dial private addresses that others name";
            return self.fail(cx, "UNSUPPORTED", reason.to_owned());
        }
        cx.spare(self.peer, &mut addresses);
        if addresses.is_empty() {
            let reason = "this page keeps the WebRTC connections that it has left for relays that it knows";
            return self.fail(cx, "QUOTA", reason.to_owned());
        }
        let Some(dial) = cx.links.dial(self.expected, cx.now.elapsed, cx.config.join_attempt) else {
            self.stage = Stage::Due(cx.after(cx.config.join_backoff.0));
            return;
        };
        self.stage = Stage::Dialling(dial);
        cx.outputs.push_back(Output::Dial { dial, peer: self.expected, addresses });
    }

    /// It serves this network.
    pub(super) fn joined(&mut self, cx: &mut Context<'_>) {
        self.stage = Stage::Member;
        self.failure = None;
        self.failures = 0;
        self.backoff.reset();
        if let Some(peer) = self.peer.filter(|_| !self.region.is_empty()) {
            cx.cache.peers.stands_in(&peer, &self.region);
        }
        self.tell(cx, JoinStage::Identified);
    }

    pub(super) fn fail(&mut self, cx: &mut Context<'_>, code: &'static str, reason: String) {
        let delay = self.backoff.fail(cx.rng);
        self.fail_for(cx, code, reason, delay);
    }

    /// Fails, and is not tried again for `delay`; what a list names wrongly is not tried again at all.
    pub(super) fn fail_for(&mut self, cx: &mut Context<'_>, code: &'static str, reason: String, delay: Duration) {
        let hopeless = !self.is_configured() && is_hopeless(code);
        self.stage = if hopeless { Stage::Refused } else { Stage::Due(cx.after(delay)) };
        self.failures = self.failures.saturating_add(1);
        self.failure = Some((code, reason.clone()));
        self.tell(cx, JoinStage::Failed { code, reason, retry_in_ms: delay.as_millis() as u64 });
    }

    pub(super) fn tell(&self, cx: &mut Context<'_>, stage: JoinStage) {
        cx.emit(Event::Join(JoinStep { relay: self.text.clone(), peer: self.peer, stage }));
    }

    /// What has become of it, in words.
    pub(super) fn reason(&self) -> String {
        let state = match (&self.failure, &self.stage) {
            (Some((_, reason)), _) => reason,
            (None, Stage::Myself) => "the address leads back to this node",
            (None, Stage::Dialling(_)) => "no answer yet",
            (None, Stage::Identifying(..)) => "connected, not identified yet",
            (None, _) => "not reached yet",
        };
        format!("{}: {state}", self.text)
    }
}

/// Whether trying again cannot help.
pub(super) fn is_hopeless(code: &str) -> bool {
    matches!(code, "WRONG_NETWORK" | "UNSUPPORTED" | "INVALID_ADDRESS")
}
