//! The conversation in which two peers agree on a WebRTC connection, `/webrtc-signaling/0.0.1`.
//!
//! The *caller* sends an offer, the *answerer* an answer; after that both send the ICE candidates that they find, one by
//! one, until they are connected. Source: [WebRTC](https://github.com/libp2p/specs/blob/master/webrtc/webrtc.md).
//!
//! # How to drive it
//!
//! [`Signalling`] does no I/O and reads no clock: how long the conversation may take is the driver's to decide. A
//! `handle_*` is a fact, a `local_*` what our own peer connection has made. After each, put on the stream what
//! [`Signalling::poll_transmit`] gives, and do what [`Signalling::poll_order`] says.
//!
//! # Bounds
//!
//! A message is at most [`MAX_MESSAGE`] bytes and is not kept before that is known; at most [`MAX_CANDIDATES`] candidates
//! of at most [`MAX_CANDIDATE`] bytes are taken. So a conversation costs at most one message that is not complete and
//! what one call of [`Signalling::handle_bytes`] brings. What does not fit, is out of order or cannot be read ends the
//! conversation with a [`SignalError`].
//!
//! # What it does not do
//!
//! It does not read candidates, and of descriptions only what they could make a browser do beside data channels: that
//! is the browser's own job, and it was written for hostile input. It does not know who the other is: the stream must
//! be one of an authenticated connection.

#[cfg(test)]
mod tests;
mod wire;

use std::collections::VecDeque;

use thiserror::Error;

use self::wire::Kind;

/// The name of the protocol.
pub const PROTOCOL: &str = "/webrtc-signaling/0.0.1";

/// The longest message, without its length prefix, in bytes. A description of Chromium or Firefox for data channels
/// has 500 to 1500 bytes, and one with all candidates of a host with many interfaces inside it some thousand.
pub const MAX_MESSAGE: usize = 16 * 1024;

/// The longest candidate, in bytes. Those of browsers have 150 to 350.
pub const MAX_CANDIDATE: usize = 2 * 1024;

/// Candidates in one direction. A guess: a host with eight interfaces, two IP versions, UDP and TCP, has 32.
pub const MAX_CANDIDATES: usize = 64;

/// Which side of the conversation this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Opened the stream; makes the offer.
    Caller,
    /// Accepted the stream; makes the answer.
    Answerer,
}

/// What the peer connection is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Apply the remote's offer and make an answer.
    ApplyOffer(String),
    /// Apply the remote's answer.
    ApplyAnswer(String),
    /// Add a candidate of the remote: the JSON form of an `RTCIceCandidate`, unread.
    AddCandidate(String),
    /// The remote has no more candidates.
    EndOfCandidates,
}

/// Why the conversation failed through a fault of the remote.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SignalError {
    /// A message is longer than [`MAX_MESSAGE`].
    #[error("a message of {0} bytes, at most {MAX_MESSAGE} are accepted")]
    TooLong(usize),
    /// A length, or a message, cannot be read.
    #[error("not a message: {0}")]
    Garbage(&'static str),
    /// A message came that has no place here.
    #[error("{0}")]
    OutOfOrder(&'static str),
    /// A description asks for something else than data channels, or is none.
    #[error("not a description of data channels: {0}")]
    Description(&'static str),
    /// A candidate is longer than [`MAX_CANDIDATE`].
    #[error("a candidate of {0} bytes, at most {MAX_CANDIDATE} are accepted")]
    CandidateTooLong(usize),
    /// There are more than [`MAX_CANDIDATES`].
    #[error("more than {MAX_CANDIDATES} candidates")]
    TooManyCandidates,
    /// The stream ended before the descriptions were exchanged.
    #[error("the peer ended the conversation")]
    Ended,
}

impl SignalError {
    /// A short stable name of the reason.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong(_) => "too-long",
            Self::Garbage(_) => "garbage",
            Self::OutOfOrder(_) => "out-of-order",
            Self::Description(_) => "description",
            Self::CandidateTooLong(_) => "candidate-too-long",
            Self::TooManyCandidates => "too-many-candidates",
            Self::Ended => "ended",
        }
    }
}

/// One side of the conversation.
#[derive(Debug)]
pub struct Signalling {
    role: Role,
    /// What has come and is not a whole message.
    unread: Vec<u8>,
    /// Whether the remote's description has come.
    remote_described: bool,
    /// Whether our own description was given.
    local_described: bool,
    remote_candidates: usize,
    local_candidates: usize,
    connected: bool,
    ended: bool,
    orders: VecDeque<Order>,
    outgoing: VecDeque<Vec<u8>>,
}

impl Signalling {
    /// A conversation that has just begun.
    pub fn new(role: Role) -> Self {
        Self {
            role,
            unread: Vec::new(),
            remote_described: false,
            local_described: false,
            remote_candidates: 0,
            local_candidates: 0,
            connected: false,
            ended: false,
            orders: VecDeque::new(),
            outgoing: VecDeque::new(),
        }
    }

    /// What to put on the stream next, length prefix included.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.outgoing.pop_front()
    }

    /// What to tell the peer connection next.
    pub fn poll_order(&mut self) -> Option<Order> {
        self.orders.pop_front()
    }

    /// Whether both descriptions are exchanged. From then on a lost stream costs candidates, not the connection.
    pub fn is_described(&self) -> bool {
        self.local_described && self.remote_described
    }

    /// Our own description: the offer of a caller, the answer of an answerer. Later calls are ignored.
    pub fn local_description(&mut self, sdp: &str) {
        if self.local_described {
            return;
        }
        self.local_described = true;
        let kind = match self.role {
            Role::Caller => Kind::Offer,
            Role::Answerer => Kind::Answer,
        };
        self.outgoing.push_back(wire::encode(kind, sdp));
    }

    /// A candidate of our own as JSON, `None` for the end of them. Those before our own description, after the end of
    /// the conversation and beyond [`MAX_CANDIDATES`] are not sent.
    pub fn local_candidate(&mut self, json: Option<&str>) {
        if !self.local_described || self.connected || self.ended || self.local_candidates == MAX_CANDIDATES {
            return;
        }
        let json = json.unwrap_or(wire::NO_MORE_CANDIDATES);
        if json.len() <= MAX_CANDIDATE {
            self.local_candidates += 1;
            self.outgoing.push_back(wire::encode(Kind::Candidate, json));
        }
    }

    /// The two peers are connected: the rest of the conversation does not matter.
    pub fn handle_connected(&mut self) {
        self.connected = true;
        self.unread = Vec::new();
        self.orders.clear();
        self.outgoing.clear();
    }

    /// The remote has ended its half of the stream, or the stream broke.
    ///
    /// # Errors
    ///
    /// [`SignalError::Ended`] if the remote's description has not come.
    pub fn handle_end(&mut self) -> Result<(), SignalError> {
        self.ended = true;
        if self.remote_described || self.connected { Ok(()) } else { Err(SignalError::Ended) }
    }

    /// The next bytes of the stream, cut anywhere.
    ///
    /// # Errors
    ///
    /// The conversation is over after any.
    pub fn handle_bytes(&mut self, bytes: &[u8]) -> Result<(), SignalError> {
        if self.connected {
            return Ok(());
        }
        self.unread.extend_from_slice(bytes);
        let unread = std::mem::take(&mut self.unread);
        let mut rest = unread.as_slice();
        while let Some((message, after)) = wire::split(rest)? {
            let (kind, data) = wire::decode(message)?;
            self.handle_message(kind, data)?;
            rest = after;
        }
        self.unread = rest.to_vec();
        Ok(())
    }

    fn handle_message(&mut self, kind: Kind, data: &str) -> Result<(), SignalError> {
        match (kind, self.role) {
            (Kind::Offer, Role::Caller) => Err(SignalError::OutOfOrder("an offer to the one who makes the offer")),
            (Kind::Answer, Role::Answerer) => Err(SignalError::OutOfOrder("an answer to the one who answers")),
            (Kind::Answer, _) if !self.local_described => Err(SignalError::OutOfOrder("an answer before the offer")),
            (Kind::Offer | Kind::Answer, _) if self.remote_described => {
                Err(SignalError::OutOfOrder("a second description"))
            }
            (Kind::Offer | Kind::Answer, _) => {
                check_description(data)?;
                self.remote_described = true;
                let sdp = data.to_owned();
                self.orders.push_back(match kind {
                    Kind::Offer => Order::ApplyOffer(sdp),
                    _ => Order::ApplyAnswer(sdp),
                });
                Ok(())
            }
            (Kind::Candidate, _) if !self.remote_described => {
                Err(SignalError::OutOfOrder("a candidate before the description"))
            }
            (Kind::Candidate, _) => self.handle_candidate(data),
        }
    }

    fn handle_candidate(&mut self, json: &str) -> Result<(), SignalError> {
        if json.len() > MAX_CANDIDATE {
            return Err(SignalError::CandidateTooLong(json.len()));
        }
        // The end of candidates counts too, so that it cannot be repeated for ever.
        if self.remote_candidates == MAX_CANDIDATES + 1 {
            return Err(SignalError::TooManyCandidates);
        }
        self.remote_candidates += 1;
        self.orders.push_back(match wire::is_end_of_candidates(json) {
            true => Order::EndOfCandidates,
            false => Order::AddCandidate(json.to_owned()),
        });
        Ok(())
    }
}

/// A description has one section, and that is of data channels: anything more would have the browser set up audio or
/// video. It names a certificate, without which the connection would be nobody's.
fn check_description(sdp: &str) -> Result<(), SignalError> {
    if !sdp.starts_with("v=0") {
        return Err(SignalError::Description("it does not begin with a version"));
    }
    let mut sections = sdp.lines().filter(|line| line.starts_with("m="));
    match (sections.next(), sections.next()) {
        (Some(section), None) if section.starts_with("m=application ") => {}
        (Some(_), None) => return Err(SignalError::Description("its section is not of an application")),
        (Some(_), Some(_)) => return Err(SignalError::Description("it has several sections")),
        (None, _) => return Err(SignalError::Description("it has no section")),
    }
    if !sdp.lines().any(|line| line.starts_with("a=fingerprint:")) {
        return Err(SignalError::Description("it names no certificate"));
    }
    Ok(())
}
