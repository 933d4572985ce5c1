//! What each half of a stream may still do, which flag is due, and when the data channel may be closed.
//!
//! A data channel cannot be half-closed, so libp2p says it with flags: `FIN` ends one's own half and is answered with
//! `FIN_ACK`, `STOP_SENDING` asks the other to end theirs, `RESET_STREAM` gives up both. Source:
//! [Closing an `RTCDataChannel`](https://github.com/libp2p/specs/blob/master/webrtc/README.md#closing-an-rtcdatachannel);
//! where it is silent we do as QUIC does (RFC 9000, section 3), except that a reset ends both halves, as every
//! implementation has it.
//!
//! # How to drive it
//!
//! [`State`] does no I/O and reads no clock. A `handle_*` is a fact: what the remote or the channel did. A verb is an
//! order of the stream's owner. After each, call [`State::poll_transmit`] until it gives nothing, and put what it gives
//! on the channel in that order; then ask [`State::ending`] whether the channel is to be closed. The bytes themselves
//! are the driver's: it keeps what arrives if [`State::accepts_data`] held before the message was handled, and throws
//! away what nobody can get any more ([`State::readable`], [`State::writable`]).
//!
//! # Promises
//!
//! - The first `FIN` is acknowledged, exactly once, whatever else happens, unless the channel is gone or the remote has
//!   reset the stream.
//! - Nothing is readable after a `RESET_STREAM`, nothing is accepted after a `FIN`.
//! - `FIN` is sent at most once, after all data; no data and no flag but acknowledgements follows it, and nothing follows
//!   `RESET_STREAM` but the acknowledgement of a `FIN` that came later.
//! - A channel that ends before `FIN` reads as a reset, never as an end: what is missing is not taken for complete.

#[cfg(test)]
mod tests;

use std::{mem, time::Duration};

use crate::framing::Flag;

/// How long a data channel stays open for the remote's sake, and how data is held back. Each second costs an open channel
/// per stream that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// After our `FIN`, once the owner is gone, for `FIN_ACK` and `FIN`. Remotes that never send `FIN_ACK` always cost
    /// it. Ten seconds, as go-libp2p and js-libp2p wait.
    pub fin_linger: Duration,
    /// Once nothing more is to be said, for the remote to close the channel, as go-libp2p and js-libp2p do at once. One
    /// who closes first cannot know what is lost: webrtc-rs forgets what it has received and nobody has read, so the
    /// last flag may be; and if both close at once, webrtc-rs may ask for a reset too many, which ends the next channel
    /// of the same number. One second, a guess: some round trips of a slow link.
    pub close_linger: Duration,
    /// Whether the remote is told how much data is taken when the owner lags; what it tells is heeded in any case. Off by
    /// default, as some implementations may take a message without flag and data for the end.
    pub windows: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { fin_linger: Duration::from_secs(10), close_linger: Duration::from_secs(1), windows: false }
    }
}

/// Both halves of a stream.
#[derive(Debug, Clone)]
pub struct State {
    config: Config,
    sending: Sending,
    /// The remote reads no more.
    stopped: bool,
    /// The remote's `FIN` is here.
    finished: bool,
    owes_fin_ack: bool,
    /// The owner reads no more.
    deaf: bool,
    owes_stop_sending: bool,
    /// The owner is gone.
    abandoned: bool,
    end: Option<End>,
    /// Whether the channel is closed, or about to be.
    closed: bool,
}

/// Our half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sending {
    Open,
    /// `FIN` is due once the data is out.
    Finishing,
    FinSent,
    FinAcked,
    /// `RESET_STREAM` is due.
    Resetting,
    ResetSent,
}

/// What ended both halves at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The remote sent `RESET_STREAM`.
    Reset,
    /// The remote sent what is no message.
    Violation,
}

/// What the owner's reading gives once the data that was kept is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readable {
    /// Data may follow.
    Open,
    /// The end: the remote has sent everything.
    End,
    /// The owner has stopped reading.
    Stopped,
    /// The remote gave the stream up. What was kept is not to be read.
    Reset,
    /// The remote broke the protocol. What was kept is not to be read.
    Violation,
    /// The channel ended before the stream did.
    Lost,
}

/// What the owner's writing gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writable {
    /// Data is taken.
    Open,
    /// The owner has finished.
    Finished,
    /// The remote reads no more: data is thrown away. The owner may still finish.
    Stopped,
    /// The stream was given up, by the remote or for a breach of the protocol, or its channel is gone.
    Reset,
}

/// What is to be put on the channel next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transmit {
    /// A message with this flag.
    Flag(Flag),
    /// A message with the data that is due.
    Data,
}

/// What is to become of the channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It stays open.
    Open,
    /// It stays open for the remote's sake, so long from when this was first answered, and is to be closed then.
    Linger(Duration),
    /// It is to be closed.
    Over,
}

impl State {
    /// A stream just opened.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            sending: Sending::Open,
            stopped: false,
            finished: false,
            owes_fin_ack: false,
            deaf: false,
            owes_stop_sending: false,
            abandoned: false,
            end: None,
            closed: false,
        }
    }

    /// Whether the data of the next message is for the owner; if not, it is to be thrown away.
    pub fn accepts_data(&self) -> bool {
        self.listens() && self.end.is_none() && !self.finished && !self.deaf && !self.abandoned
    }

    /// Whether the channel is to be read, if only for flags and for its end.
    pub fn listens(&self) -> bool {
        !self.closed && self.end != Some(End::Violation)
    }

    /// The owner's reading.
    pub fn readable(&self) -> Readable {
        match self.end {
            _ if self.deaf => Readable::Stopped,
            Some(End::Reset) => Readable::Reset,
            Some(End::Violation) => Readable::Violation,
            None if self.finished => Readable::End,
            None if self.closed => Readable::Lost,
            None => Readable::Open,
        }
    }

    /// The owner's writing.
    pub fn writable(&self) -> Writable {
        match self.sending {
            Sending::Finishing | Sending::FinSent | Sending::FinAcked => Writable::Finished,
            Sending::Resetting | Sending::ResetSent => Writable::Reset,
            Sending::Open if self.end.is_some() => Writable::Reset,
            Sending::Open if self.stopped => Writable::Stopped,
            Sending::Open if self.closed => Writable::Reset,
            Sending::Open => Writable::Open,
        }
    }

    /// Whether data that the owner has written is to be thrown away.
    pub fn discards_written(&self) -> bool {
        self.stopped || self.is_dead() || matches!(self.sending, Sending::Resetting | Sending::ResetSent)
    }

    /// Whether `FIN` was given out.
    pub fn fin_sent(&self) -> bool {
        matches!(self.sending, Sending::FinSent | Sending::FinAcked)
    }

    /// Whether nothing goes either way any more, finished or not.
    pub fn is_dead(&self) -> bool {
        self.closed || self.end.is_some()
    }

    /// A message with this flag came. Its data is to be dealt with before. Flags that make no sense are ignored.
    pub fn handle_flag(&mut self, flag: Flag) {
        if self.is_dead() {
            return;
        }
        match flag {
            Flag::Fin => {
                self.owes_fin_ack |= !self.finished;
                self.finished = true;
            }
            Flag::StopSending => self.stopped = true,
            Flag::ResetStream => self.end = Some(End::Reset),
            Flag::FinAck if self.sending == Sending::FinSent => self.sending = Sending::FinAcked,
            Flag::FinAck => {}
        }
    }

    /// What came is no message.
    pub fn handle_violation(&mut self) {
        if self.is_dead() {
            return;
        }
        self.end = Some(End::Violation);
        if self.sending != Sending::ResetSent {
            self.sending = Sending::Resetting;
        }
    }

    /// The channel is closed, by whomever, or broken.
    pub fn handle_channel_closed(&mut self) {
        self.closed = true;
    }

    /// The owner has written everything.
    pub fn finish(&mut self) {
        if self.sending == Sending::Open && !self.is_dead() {
            self.sending = Sending::Finishing;
        }
    }

    /// The owner reads no more.
    pub fn stop_reading(&mut self) {
        self.owes_stop_sending |= self.accepts_data();
        self.deaf = true;
    }

    /// The owner is gone: what was finished is completed, anything else is given up.
    pub fn abandon(&mut self) {
        self.abandoned = true;
        self.owes_stop_sending = false;
        if self.sending == Sending::Open && !self.is_dead() {
            self.sending = Sending::Resetting;
        }
    }

    /// What goes out next, `data_due` telling whether data of the owner is waiting that should go.
    pub fn poll_transmit(&mut self, data_due: bool) -> Option<Transmit> {
        if self.closed || self.end == Some(End::Reset) {
            return None;
        }
        if mem::take(&mut self.owes_fin_ack) {
            return Some(Transmit::Flag(Flag::FinAck));
        }
        if mem::take(&mut self.owes_stop_sending) {
            return Some(Transmit::Flag(Flag::StopSending));
        }
        match self.sending {
            Sending::Resetting => {
                self.sending = Sending::ResetSent;
                Some(Transmit::Flag(Flag::ResetStream))
            }
            Sending::Open | Sending::Finishing if data_due && !self.discards_written() => Some(Transmit::Data),
            Sending::Finishing => {
                self.sending = Sending::FinSent;
                Some(Transmit::Flag(Flag::Fin))
            }
            Sending::Open | Sending::FinSent | Sending::FinAcked | Sending::ResetSent => None,
        }
    }

    /// What is to become of the channel. Valid once [`State::poll_transmit`] gives nothing.
    pub fn ending(&self) -> Ending {
        if !self.listens() {
            return Ending::Over;
        }
        let reset = self.is_dead() || matches!(self.sending, Sending::Resetting | Sending::ResetSent);
        if reset || self.finished && self.settled() {
            Ending::Linger(self.config.close_linger)
        } else if self.abandoned {
            Ending::Linger(self.config.fin_linger)
        } else {
            Ending::Open
        }
    }

    /// Whether the remote has, or does not want, everything that we send. go-libp2p may leave a `FIN` without answer
    /// once it has asked us to stop.
    fn settled(&self) -> bool {
        self.sending == Sending::FinAcked || self.sending == Sending::FinSent && self.stopped
    }
}
