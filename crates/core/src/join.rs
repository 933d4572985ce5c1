//! Joining: reaching the configured relays, and saying why one cannot be reached.
//!
//! Every configured relay has an *attempt* that lives as long as the node: dial, identify, check that it serves this
//! network's DHT, and after any failure try again with backoff and jitter, so that a relay that comes back is found again.
//! The attempts run side by side; joining is complete when one relay is identified and has answered a DHT request.
//!
//! Bounds: one attempt for each configured relay, at most [`MAX_RELAYS`].

use std::time::Duration;

use libp2p_identity::PeerId;

use crate::{
    address::RelayAddress,
    backoff::Backoff,
    boundary::{ConnectionId, DialFailure, DialId, Output},
    context::Context,
    event::{Event, JoinStage, JoinStep},
    links::Peer,
};

/// Configured relays that are tried; more bring no more safety and cost a dial each.
pub(crate) const MAX_RELAYS: usize = 32;

/// Delay before a relay of another network is asked again: only its operator can change that.
const WRONG_NETWORK_RETRY: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct Attempt {
    relay: RelayAddress,
    peer: Option<PeerId>,
    stage: Stage,
    backoff: Backoff,
    /// The last failure, kept for the reason that a failed join gives.
    failure: Option<(&'static str, String)>,
}

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    /// To be dialled at this time.
    Due(Duration),
    Dialling(DialId),
    /// Connected and waiting for its identification until then.
    Identifying(ConnectionId, Duration),
    Member,
    /// The address leads back to this node; nothing more to do.
    Myself,
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Join {
    attempts: Vec<Attempt>,
}

impl Join {
    pub(crate) fn new(relays: &[RelayAddress], backoff: (Duration, Duration)) -> Self {
        let attempts = relays
            .iter()
            .take(MAX_RELAYS)
            .map(|relay| Attempt {
                relay: relay.clone(),
                peer: relay.peer,
                stage: Stage::Due(Duration::ZERO),
                backoff: Backoff::new(backoff.0, backoff.1),
                failure: None,
            })
            .collect();
        Self { attempts }
    }

    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.attempts
            .iter()
            .filter_map(|attempt| match attempt.stage {
                Stage::Due(at) | Stage::Identifying(_, at) => Some(at),
                _ => None,
            })
            .min()
    }

    /// Starts what is due and gives up what has taken too long.
    pub(crate) fn advance(&mut self, cx: &mut Context<'_>) {
        for attempt in &mut self.attempts {
            match attempt.stage {
                Stage::Due(at) if at <= cx.now.elapsed => attempt.start(cx),
                Stage::Identifying(connection, until) if until <= cx.now.elapsed => {
                    cx.outputs.push_back(Output::Disconnect { connection });
                    let limit = cx.config.join_attempt.as_secs();
                    attempt.fail(cx, "NO_RELAY", format!("it connected but did not identify itself within {limit} s"));
                }
                _ => {}
            }
        }
    }

    pub(crate) fn connected(&mut self, cx: &mut Context<'_>, dial: DialId, peer: PeerId, connection: ConnectionId) {
        let until = cx.after(cx.config.join_attempt);
        if let Some(attempt) = self.attempts.iter_mut().find(|attempt| attempt.stage == Stage::Dialling(dial)) {
            attempt.peer = Some(peer);
            attempt.stage = Stage::Identifying(connection, until);
            attempt.tell(cx, JoinStage::Connected);
            if let Some(known) = cx.links.peer(&peer).filter(|known| known.identified).cloned() {
                self.identified(cx, peer, &known);
            }
        }
    }

    pub(crate) fn dial_failed(&mut self, cx: &mut Context<'_>, dial: DialId, failure: &DialFailure) {
        let Some(attempt) = self.attempts.iter_mut().find(|attempt| attempt.stage == Stage::Dialling(dial)) else {
            return;
        };
        match failure {
            DialFailure::Myself => attempt.stage = Stage::Myself,
            DialFailure::Unsupported => attempt.fail(cx, "UNSUPPORTED", failure.to_string()),
            DialFailure::WrongPeer { .. } => attempt.fail(cx, "INVALID_ADDRESS", failure.to_string()),
            DialFailure::Failed(_) => attempt.fail(cx, "NO_RELAY", failure.to_string()),
        }
    }

    /// A peer has identified itself; `known` says whether it serves this network's DHT.
    pub(crate) fn identified(&mut self, cx: &mut Context<'_>, peer: PeerId, known: &Peer) {
        let network = cx.config.network.to_string();
        for attempt in self.attempts.iter_mut().filter(|attempt| attempt.peer == Some(peer)) {
            let waiting = match attempt.stage {
                Stage::Identifying(connection, _) => Some(connection),
                Stage::Due(_) => None,
                _ => continue,
            };
            if known.server {
                attempt.stage = Stage::Member;
                attempt.failure = None;
                attempt.backoff.reset();
                attempt.tell(cx, JoinStage::Identified);
            } else if let Some(connection) = waiting {
                cx.outputs.push_back(Output::Disconnect { connection });
                let reason = match &known.network {
                    Some(other) => format!("it serves the network \"{other}\", not \"{network}\""),
                    None => format!("it is a libp2p node, but not a relay of the network \"{network}\""),
                };
                attempt.fail(cx, "WRONG_NETWORK", reason);
                attempt.stage = Stage::Due(cx.after(WRONG_NETWORK_RETRY));
            }
        }
    }

    /// A peer has lost its last link.
    pub(crate) fn disconnected(&mut self, cx: &mut Context<'_>, peer: PeerId) {
        for attempt in self.attempts.iter_mut().filter(|attempt| attempt.peer == Some(peer)) {
            match attempt.stage {
                Stage::Identifying(..) => {
                    attempt.fail(cx, "NO_RELAY", "it closed the connection before it identified itself".to_owned());
                }
                Stage::Member => attempt.fail(cx, "NO_RELAY", "the connection was lost".to_owned()),
                _ => {}
            }
        }
    }

    /// Tries every relay at once, whatever its backoff says: the network has come back.
    pub(crate) fn retry_now(&mut self, elapsed: Duration) {
        for attempt in &mut self.attempts {
            if matches!(attempt.stage, Stage::Due(_)) {
                attempt.stage = Stage::Due(elapsed);
            }
        }
    }

    /// Tells a step that happened behind identification, if `peer` is a configured relay.
    pub(crate) fn tell(&self, cx: &mut Context<'_>, peer: PeerId, stage: JoinStage) {
        if let Some(attempt) = self.attempts.iter().find(|attempt| attempt.peer == Some(peer)) {
            attempt.tell(cx, stage);
        }
    }

    /// The code that all attempts failed with, if it is the same.
    pub(crate) fn common_code(&self) -> Option<&'static str> {
        let mut codes = self.attempts.iter().map(|attempt| attempt.failure.as_ref().map(|(code, _)| *code));
        let first = codes.next()??;
        codes.all(|code| code == Some(first)).then_some(first)
    }

    /// Whether no attempt can succeed by trying again.
    pub(crate) fn hopeless(&self) -> bool {
        !self.attempts.is_empty()
            && self.attempts.iter().all(|attempt| {
                attempt
                    .failure
                    .as_ref()
                    .is_some_and(|(code, _)| matches!(*code, "WRONG_NETWORK" | "UNSUPPORTED" | "INVALID_ADDRESS"))
            })
    }

    /// One sentence that names every relay tried and why it failed.
    pub(crate) fn reasons(&self) -> String {
        if self.attempts.is_empty() {
            return "no relay is configured; name at least one as a URL, a multiaddr or host:port".to_owned();
        }
        let reasons: Vec<String> = self
            .attempts
            .iter()
            .map(|attempt| match (&attempt.failure, &attempt.stage) {
                (Some((_, reason)), _) => format!("{}: {reason}", attempt.relay),
                (None, Stage::Myself) => format!("{}: the address leads back to this node", attempt.relay),
                (None, Stage::Dialling(_)) => format!("{}: no answer yet", attempt.relay),
                (None, Stage::Identifying(..)) => format!("{}: connected, not identified yet", attempt.relay),
                (None, _) => format!("{}: not reached yet", attempt.relay),
            })
            .collect();
        reasons.join("; ")
    }
}

impl Attempt {
    fn start(&mut self, cx: &mut Context<'_>) {
        if let Some(peer) = self.peer
            && let Some((connection, _)) = cx.links.best(&peer)
        {
            // Connected for another reason, by its own dial perhaps; its identification decides.
            let known = cx.links.peer(&peer).cloned().unwrap_or_default();
            if known.identified && known.server {
                self.stage = Stage::Member;
                self.failure = None;
                self.tell(cx, JoinStage::Identified);
            } else {
                self.stage = Stage::Identifying(connection, cx.after(cx.config.join_attempt));
            }
            return;
        }
        self.tell(cx, JoinStage::Dialling);
        if !(cx.config.can_dial)(&self.relay.multiaddr) {
            return self.fail(cx, "UNSUPPORTED", DialFailure::Unsupported.to_string());
        }
        let Some(dial) = cx.links.dial(self.peer, cx.after(cx.config.join_attempt)) else {
            self.stage = Stage::Due(cx.after(cx.config.join_backoff.0));
            return;
        };
        self.stage = Stage::Dialling(dial);
        let addresses = vec![self.relay.multiaddr.clone()];
        cx.outputs.push_back(Output::Dial { dial, peer: self.relay.peer, addresses });
    }

    fn fail(&mut self, cx: &mut Context<'_>, code: &'static str, reason: String) {
        let delay = self.backoff.fail(cx.rng);
        self.stage = Stage::Due(cx.after(delay));
        self.failure = Some((code, reason.clone()));
        self.tell(cx, JoinStage::Failed { code, reason, retry_in_ms: delay.as_millis() as u64 });
    }

    fn tell(&self, cx: &mut Context<'_>, stage: JoinStage) {
        cx.emit(Event::Join(JoinStep { relay: self.relay.to_string(), peer: self.peer, stage }));
    }
}
