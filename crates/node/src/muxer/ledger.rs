//! What is known of the streams of one connection, beyond what yamux keeps.

use std::{
    collections::VecDeque,
    io,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use openred_core::map::Map;

use super::{YAMUX_STREAMS, frames::Frame};

/// Streams that either side may have open on a connection. rust-libp2p closes a connection with more
/// than 512 streams, so with this many from either side no connection is ever lost to its streams.
pub(super) const MAX_STREAMS: usize = 256;

/// The ledger of a connection, shared by the connection and its streams.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// At most [`YAMUX_STREAMS`].
    streams: Map<u32, Entry>,
    /// Streams to reset, in order. Each is one that yamux has not forgotten.
    resets: VecDeque<u32>,
    /// Waits for room for another outbound stream.
    opener: Option<Waker>,
    /// The connection is closed, by whichever side.
    ended: bool,
}

#[derive(Debug, Default)]
struct Entry {
    /// Opened on this side.
    outbound: bool,
    /// The peer has ended its direction, and had not reset the stream before.
    finished: bool,
    /// The peer has reset the stream.
    reset: bool,
    /// The end of this side's direction is on the wire.
    end_sent: bool,
    /// Closed and dropped on this side while the peer could go on: it is to be reset if it does.
    lingering: bool,
    /// The peer went on before the end of this side's direction was on the wire.
    reset_due: bool,
    /// Given up on this side after the peer had finished. What yamux has left of it ends with a FIN,
    /// which is to be a reset.
    given_up: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Entry {
    fn is_dropped(&self) -> bool {
        self.lingering || self.given_up
    }
}

impl Ledger {
    /// An outbound stream exists.
    pub(super) fn opened(&self, id: u32) {
        self.lock().streams.insert(id, Entry { outbound: true, ..Entry::default() });
    }

    /// Whether an inbound stream may stay.
    pub(super) fn accept(&self, id: u32) -> bool {
        let state = self.lock();
        state.streams.contains_key(&id) && state.open(false) <= MAX_STREAMS
    }

    /// Whether there is room for another outbound stream. If there is none, wakes once there is.
    pub(super) fn poll_room(&self, cx: &Context<'_>) -> bool {
        let mut state = self.lock();
        let room = state.open(true) < MAX_STREAMS;
        if !room {
            state.opener = Some(cx.waker().clone());
        }
        room
    }

    /// A stream has been dropped on this side, `closed` or not, because it was given up or not.
    pub(super) fn dropped(&self, id: u32, closed: bool, given_up: bool) {
        let mut state = self.lock();
        let Some(mut entry) = state.streams.remove(&id) else { return };
        if let Some(opener) = state.opener.take() {
            opener.wake();
        }
        if state.ended || entry.reset {
            return;
        }
        match (entry.finished, closed) {
            // What has been written goes out first, so the reset takes the place of yamux's own end.
            (true, false) if given_up && state.kept() < MAX_STREAMS => {
                entry.given_up = true;
                state.streams.insert(id, entry);
            }
            (false, true) if state.kept() < MAX_STREAMS => {
                entry.lingering = true;
                state.streams.insert(id, entry);
            }
            // Both directions have ended, or yamux sends what is right.
            _ => {}
        }
    }

    /// A frame of a stream has been read from the connection.
    pub(super) fn received(&self, frame: &Frame) -> io::Result<()> {
        let mut state = self.lock();
        if frame.syn() {
            if state.streams.len() >= YAMUX_STREAMS {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the peer opens too many streams"));
            }
            state.streams.insert(frame.stream, Entry::default());
        }
        let Some(entry) = state.streams.get_mut(&frame.stream) else { return Ok(()) };
        entry.finished |= frame.fin() && !entry.reset;
        entry.reset |= frame.rst();
        if !entry.lingering {
            return Ok(());
        }
        if entry.finished || entry.reset {
            state.streams.remove(&frame.stream);
        } else if frame.body() > 0 {
            entry.reset_due = true;
            state.reset_if_due(frame.stream);
        }
        Ok(())
    }

    /// A frame of a stream has been written to the connection.
    pub(super) fn sent(&self, frame: &Frame) {
        if !(frame.fin() || frame.rst()) {
            return;
        }
        let mut state = self.lock();
        match state.streams.get_mut(&frame.stream) {
            Some(entry) if entry.given_up => drop(state.streams.remove(&frame.stream)),
            Some(entry) => {
                entry.end_sent = true;
                state.reset_if_due(frame.stream);
            }
            None => {}
        }
    }

    /// Whether this side has given a stream up.
    pub(super) fn is_reset_here(&self, id: u32) -> bool {
        self.lock().streams.get(&id).is_some_and(|entry| entry.given_up)
    }

    /// The next stream to reset.
    pub(super) fn next_reset(&self) -> Option<u32> {
        self.lock().resets.pop_front()
    }

    /// The connection is closed. Everybody who waits is told.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        state.resets.clear();
        let streams = state.streams.values_mut();
        let mut wakers: Vec<Waker> =
            streams.flat_map(|entry| [entry.reader.take(), entry.writer.take()]).flatten().collect();
        wakers.extend(state.opener.take());
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// What it means that there is nothing more to read.
    pub(super) fn end_of(&self, id: u32) -> io::Result<()> {
        match self.lock().streams.get(&id) {
            Some(Entry { finished: true, .. }) => Ok(()),
            Some(Entry { reset: true, .. }) => Err(reset()),
            _ => Err(aborted()),
        }
    }

    /// Why a stream has failed, if it has.
    pub(super) fn reason(&self, id: u32) -> Option<io::Error> {
        let state = self.lock();
        match state.streams.get(&id) {
            Some(Entry { reset: true, .. }) => Some(reset()),
            _ => state.ended.then(aborted),
        }
    }

    /// Wakes the reader when the connection closes, which yamux does not always do.
    pub(super) fn poll_read(&self, id: u32, cx: &Context<'_>) -> Poll<io::Error> {
        self.poll(id, cx, |entry| &mut entry.reader)
    }

    /// Wakes the writer when the connection closes.
    pub(super) fn poll_write(&self, id: u32, cx: &Context<'_>) -> Poll<io::Error> {
        self.poll(id, cx, |entry| &mut entry.writer)
    }

    fn poll(&self, id: u32, cx: &Context<'_>, waker: fn(&mut Entry) -> &mut Option<Waker>) -> Poll<io::Error> {
        let mut state = self.lock();
        if state.ended {
            return Poll::Ready(aborted());
        }
        if let Some(entry) = state.streams.get_mut(&id) {
            waker(entry).get_or_insert_with(|| cx.waker().clone()).clone_from(cx.waker());
        }
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Streams in use that were opened on this side, or on the other.
    fn open(&self, outbound: bool) -> usize {
        self.streams.values().filter(|entry| entry.outbound == outbound && !entry.is_dropped()).count()
    }

    /// Streams that have been dropped and are remembered.
    fn kept(&self) -> usize {
        self.streams.values().filter(|entry| entry.is_dropped()).count()
    }

    /// Resets a lingering stream, after the end of its own direction, so that nothing is cut off
    /// that was still on its way to the peer.
    fn reset_if_due(&mut self, id: u32) {
        if self.streams.get(&id).is_some_and(|entry| entry.reset_due && entry.end_sent) {
            self.streams.remove(&id);
            self.resets.push_back(id);
        }
    }
}

fn reset() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "the peer has reset the stream")
}

fn aborted() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the connection was closed before the stream ended")
}
