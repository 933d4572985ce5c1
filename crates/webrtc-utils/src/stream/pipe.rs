//! Bytes between the owner of a stream and its data channel.

use std::{
    io, mem,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes, BytesMut};

use super::Open;
use crate::{
    channel::{Closing, DataChannel},
    framing::{Decoder, FrameError, MAX_DATA_LEN, MAX_MSG_LEN, encode_data, encode_flag, encode_limit},
    state::{Config, Ending, Readable, State, Transmit, Writable},
    window::{AHEAD, Window},
};

/// From so many bytes on that the owner has not read, the data channel is left alone: that is how the remote feels it.
/// Until then flags are seen although the owner does not read. One message; a second may come on top of it.
const READ_AHEAD: usize = MAX_MSG_LEN;

/// The same while the remote holds our data back: the word that it goes on comes behind what it has sent. It has heard by
/// then how much is taken here.
const READ_AHEAD_HELD: usize = 2 * AHEAD;

/// Reads of the data channel in one go, before other tasks get their turn. A guess: half a megabyte at most.
const READS_AT_ONCE: usize = 32;

/// One stream: its [`State`], its data channel and what is under way.
pub(super) struct Pipe<T> {
    state: State,
    window: Window,
    /// Whether the window is told.
    windows: bool,
    /// Gone once it is being closed.
    channel: Option<(T, Open)>,
    decoder: Decoder,
    violation: Option<FrameError>,
    /// Data that the owner has not read: at most [`READ_AHEAD`], or [`READ_AHEAD_HELD`], and one message.
    unread: BytesMut,
    /// Data that is not yet in a frame: at most [`MAX_DATA_LEN`] bytes.
    written: Vec<u8>,
    /// Whether `written` should go out before it is full.
    flush: bool,
    /// What the data channel has not yet taken of a frame.
    frame: Bytes,
    /// Whether the data channel has taken bytes that may not be on their way.
    unflushed: bool,
    /// Whether the owner has written what was not sent.
    discarded: bool,
}

impl<T> Pipe<T> {
    pub(super) fn new(channel: T, config: Config) -> Self {
        Self {
            state: State::new(config),
            window: Window::default(),
            windows: config.windows,
            channel: Some((channel, Open::count())),
            decoder: Decoder::default(),
            violation: None,
            unread: BytesMut::new(),
            written: Vec::new(),
            flush: false,
            frame: Bytes::new(),
            unflushed: false,
            discarded: false,
        }
    }

    pub(super) fn state(&self) -> &State {
        &self.state
    }

    /// What is to become of the data channel.
    pub(super) fn ending(&self) -> Ending {
        self.state.ending()
    }

    /// The owner is gone.
    pub(super) fn abandon(&mut self) {
        self.state.abandon();
        self.unread = BytesMut::new();
    }
}

// The owner's side.
impl<T: DataChannel> Pipe<T> {
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if self.unread.is_empty() {
            self.work(cx);
        }
        match self.state.readable() {
            Readable::Stopped => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Readable::Reset => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            Readable::Violation => return Poll::Ready(Err(self.violation())),
            _ if !self.unread.is_empty() => {}
            Readable::End => return Poll::Ready(Ok(0)),
            Readable::Lost => {
                let message = "the data channel was closed before the stream was finished";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionReset, message)));
            }
            Readable::Open => return Poll::Pending,
        }
        let was_full = !self.reads_ahead();
        let length = buffer.len().min(self.unread.len());
        self.unread.copy_to_slice(&mut buffer[..length]);
        self.window.read(length);
        if self.unread.is_empty() {
            // An idle stream keeps no memory.
            self.unread = BytesMut::new();
        }
        if was_full || self.window.is_due() {
            // Nobody has asked the data channel to wake us, or the remote is waiting for our word.
            self.work(cx);
        }
        Poll::Ready(Ok(length))
    }

    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.written.len() == MAX_DATA_LEN {
            self.work(cx);
        }
        self.check_writable()?;
        let length = bytes.len().min(MAX_DATA_LEN - self.written.len());
        if length == 0 && !bytes.is_empty() {
            return Poll::Pending;
        }
        self.written.extend_from_slice(&bytes[..length]);
        if self.written.len() == MAX_DATA_LEN {
            self.work(cx);
        }
        Poll::Ready(Ok(length))
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flush = !self.written.is_empty();
        self.work(cx);
        if self.is_flushed() && !self.discarded {
            return Poll::Ready(Ok(()));
        }
        if self.state.writable() != Writable::Finished {
            self.check_writable()?;
        }
        Poll::Pending
    }

    pub(super) fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.state.finish();
        self.work(cx);
        if self.state.fin_sent() && self.is_flushed() {
            return Poll::Ready(Ok(()));
        }
        match self.state.writable() {
            // The remote wants no more and has gone.
            Writable::Stopped => Poll::Ready(Ok(())),
            Writable::Reset => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            _ if self.state.is_dead() => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            _ => Poll::Pending,
        }
    }

    pub(super) fn poll_stop_reading(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.state.stop_reading();
        self.unread = BytesMut::new();
        self.work(cx);
        if self.frame.is_empty() && !self.unflushed {
            return Poll::Ready(Ok(()));
        }
        if self.state.is_dead() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Poll::Pending
    }

    fn check_writable(&self) -> io::Result<()> {
        match self.state.writable() {
            Writable::Open => Ok(()),
            Writable::Finished => Err(io::Error::new(io::ErrorKind::BrokenPipe, "written after it was closed")),
            Writable::Stopped => Err(io::Error::new(io::ErrorKind::BrokenPipe, "the remote has stopped reading")),
            Writable::Reset => Err(io::ErrorKind::ConnectionReset.into()),
        }
    }

    fn is_flushed(&self) -> bool {
        self.written.is_empty() && self.frame.is_empty() && !self.unflushed
    }

    fn violation(&self) -> io::Error {
        let kind = io::ErrorKind::InvalidData;
        self.violation.clone().map_or_else(|| kind.into(), |error| io::Error::new(kind, error))
    }
}

// The channel's side.
impl<T: DataChannel> Pipe<T> {
    /// Moves what can be moved. Whatever remains, the data channel wakes `cx` when it can go on.
    pub(super) fn work(&mut self, cx: &mut Context<'_>) {
        self.receive(cx);
        self.transmit(cx);
    }

    /// Begins to close the data channel, once.
    pub(super) fn close(&mut self) -> Option<Closing> {
        self.state.handle_channel_closed();
        self.channel.take().map(|(channel, _)| channel.close_both())
    }

    /// Whether the data channel is read although the owner has not read everything.
    fn reads_ahead(&self) -> bool {
        let held = self.window.room() == 0 && !self.written.is_empty();
        self.unread.len() < if held { READ_AHEAD_HELD } else { READ_AHEAD }
    }

    fn receive(&mut self, cx: &mut Context<'_>) {
        let mut reads = 0;
        while self.state.listens() && self.reads_ahead() {
            match self.decoder.poll_message() {
                Ok(Some(message)) => {
                    if let Some(limit) = message.limit {
                        self.window.handle_limit(limit);
                    }
                    if self.state.accepts_data() {
                        self.unread.extend_from_slice(&message.data);
                    }
                    if let Some(flag) = message.flag {
                        self.state.handle_flag(flag);
                    }
                    continue;
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(%error, "a stream broke the protocol");
                    self.violation = Some(error);
                    self.state.handle_violation();
                    break;
                }
            }
            if reads == READS_AT_ONCE {
                cx.waker().wake_by_ref();
                break;
            }
            reads += 1;
            let Some((channel, _)) = &mut self.channel else { break };
            let mut buffer = [0; MAX_MSG_LEN];
            match Pin::new(channel).poll_read(cx, &mut buffer) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => self.state.handle_channel_closed(),
                Poll::Ready(Ok(length)) => self.decoder.feed(&buffer[..length]),
                Poll::Ready(Err(error)) => {
                    tracing::debug!(%error, "a data channel cannot be read");
                    self.state.handle_channel_closed();
                }
            }
        }
        if self.state.discards_written() && !self.written.is_empty() {
            self.written = Vec::new();
            self.discarded = true;
        }
        if matches!(self.state.readable(), Readable::Reset | Readable::Violation) {
            self.unread = BytesMut::new();
        }
    }

    fn transmit(&mut self, cx: &mut Context<'_>) {
        let Some((channel, _)) = &mut self.channel else { return };
        let mut channel = Pin::new(channel);
        loop {
            while !self.frame.is_empty() {
                match channel.as_mut().poll_write(cx, &self.frame) {
                    Poll::Pending => return,
                    Poll::Ready(Ok(0)) => return self.state.handle_channel_closed(),
                    Poll::Ready(Ok(length)) => {
                        self.frame.advance(length);
                        self.unflushed = true;
                    }
                    Poll::Ready(Err(error)) => {
                        tracing::debug!(%error, "a data channel cannot be written");
                        return self.state.handle_channel_closed();
                    }
                }
            }
            if self.windows
                && self.state.accepts_data()
                && let Some(limit) = self.window.poll_limit(self.unread.len() >= READ_AHEAD)
            {
                self.frame = encode_limit(limit);
                continue;
            }
            let full = self.written.len() == MAX_DATA_LEN;
            let finishing = self.state.writable() == Writable::Finished;
            let due = !self.written.is_empty() && (full || self.flush || finishing);
            self.frame = match self.state.poll_transmit(due) {
                Some(Transmit::Flag(flag)) => encode_flag(flag),
                Some(Transmit::Data) => {
                    let room = self.window.room().min(self.written.len());
                    if room == 0 {
                        break;
                    }
                    let rest = self.written.split_off(room);
                    self.flush &= !rest.is_empty();
                    self.window.sent(room);
                    encode_data(mem::replace(&mut self.written, rest).into())
                }
                None => break,
            };
        }
        if self.unflushed {
            match channel.poll_flush(cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(error)) => {
                    tracing::debug!(%error, "a data channel cannot be flushed");
                    self.state.handle_channel_closed();
                }
            }
        }
    }
}
