//! Yamux that tells an end from a loss.
//!
//! In the `yamux` crate a stream that the peer has finished, one that it has reset and one whose
//! connection is gone all read as a clean end; a stream that is dropped after the peer has finished
//! looks finished too; and reads of a connection that is closed on this side never return. A
//! service could not tell a complete answer from half of one. So this module watches the frames
//! that yamux reads and writes ([`frames`]), remembers how each stream ended ([`ledger`]), and adds
//! the resets that yamux leaves out. The wire protocol is yamux's own.
//!
//! What it makes true:
//! - Reading ends with `Ok(0)` only if the peer has finished. A reset reads as `ConnectionReset`, a
//!   lost or closed connection as `ConnectionAborted`, after whatever has arrived before it.
//! - A stream that is dropped without having been closed is reset, behind everything written to it,
//!   unless the peer has finished; with [`give_up`], then too.
//! - A peer that goes on sending on a stream that has been closed and dropped is told to stop.
//!
//! Bounds: [`ledger::MAX_STREAMS`] streams in each direction on a connection, and
//! [`RECEIVE_WINDOWS`] of received bytes that nobody reads.

mod frames;
mod ledger;
#[cfg(test)]
mod tests;

use std::{
    cell::Cell,
    collections::VecDeque,
    io, iter,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use futures::{
    AsyncRead, AsyncWrite,
    future::{Ready, ready},
};
use libp2p::core::{
    StreamMuxer,
    muxing::StreamMuxerEvent,
    upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo},
};

use self::{frames::Frames, ledger::Ledger};

/// Streams that yamux itself allows, both directions together. Twice what the ledger allows, since
/// yamux forgets a dropped stream later than the ledger does, and closes the connection when its
/// own limit is exceeded.
const YAMUX_STREAMS: usize = 4 * ledger::MAX_STREAMS;

/// Bytes that a peer may have on the way or unread, all streams of a connection together.
///
/// Every stream has yamux's initial 256 KiB. On top of those there are 16 MiB into which the
/// windows of busy streams grow, doubled by yamux for as long as a stream uses up half of its window
/// within two round trips. A window that no longer limits holds two round trips of a transfer: 16 MiB
/// are 100 MB/s at 80 ms, more than a relay gives to a circuit. yamux would allow 1 GiB, which one
/// peer could fill.
const RECEIVE_WINDOWS: usize = YAMUX_STREAMS * yamux::DEFAULT_CREDIT as usize + 16 * 1024 * 1024;

thread_local! {
    /// Whether the stream that is being dropped is being given up. It is known only to whoever drops
    /// it, and several layers of libp2p lie between there and the stream of this module.
    static GIVING_UP: Cell<bool> = const { Cell::new(false) };
}

/// Drops a stream so that the peer takes it for cut off, whatever the peer has said before.
///
/// A stream that is just dropped is reset too, but not if the peer has finished: many of libp2p's
/// protocols answer, flush and drop, and mean the end.
pub(crate) fn give_up<S>(stream: S) {
    GIVING_UP.set(true);
    drop(stream);
    GIVING_UP.set(false);
}

/// The upgrade that makes a [`Muxer`] of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Config;

impl UpgradeInfo for Config {
    type Info = &'static str;
    type InfoIter = iter::Once<&'static str>;

    fn protocol_info(&self) -> Self::InfoIter {
        iter::once("/yamux/1.0.0")
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> InboundConnectionUpgrade<C> for Config {
    type Output = Muxer<C>;
    type Error = io::Error;
    type Future = Ready<io::Result<Muxer<C>>>;

    fn upgrade_inbound(self, socket: C, _: &'static str) -> Self::Future {
        ready(Ok(Muxer::new(socket, yamux::Mode::Server)))
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> OutboundConnectionUpgrade<C> for Config {
    type Output = Muxer<C>;
    type Error = io::Error;
    type Future = Ready<io::Result<Muxer<C>>>;

    fn upgrade_outbound(self, socket: C, _: &'static str) -> Self::Future {
        ready(Ok(Muxer::new(socket, yamux::Mode::Client)))
    }
}

/// A multiplexed connection.
pub(crate) struct Muxer<C> {
    connection: yamux::Connection<Frames<C>>,
    ledger: Arc<Ledger>,
    /// Streams that came up while something else was polled. At most [`ledger::MAX_STREAMS`].
    inbound: VecDeque<Stream>,
    inbound_waker: Option<Waker>,
}

impl<C: AsyncRead + AsyncWrite + Unpin> Muxer<C> {
    fn new(socket: C, mode: yamux::Mode) -> Self {
        let mut config = yamux::Config::default();
        // Each of the two setters checks against the other's value, so the order matters.
        config.set_max_connection_receive_window(None);
        config.set_max_num_streams(YAMUX_STREAMS);
        config.set_max_connection_receive_window(Some(RECEIVE_WINDOWS));
        let ledger = Arc::new(Ledger::default());
        Self {
            connection: yamux::Connection::new(Frames::new(socket, ledger.clone()), config, mode),
            ledger,
            inbound: VecDeque::new(),
            inbound_waker: None,
        }
    }

    /// Drives the connection until a stream comes up.
    fn poll_connection(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        loop {
            match futures::ready!(self.connection.poll_next_inbound(cx)) {
                Some(Ok(stream)) => {
                    let stream = Stream::new(stream, &self.ledger);
                    // A peer that opens too many loses those, not the connection.
                    if self.ledger.accept(stream.id) {
                        return Poll::Ready(Ok(stream));
                    }
                }
                Some(Err(error)) => {
                    self.ledger.end();
                    return Poll::Ready(Err(into_io(error)));
                }
                None => {
                    self.ledger.end();
                    return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
                }
            }
        }
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> StreamMuxer for Muxer<C> {
    type Substream = Stream;
    type Error = io::Error;

    fn poll_inbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        if let Some(stream) = self.inbound.pop_front() {
            return Poll::Ready(Ok(stream));
        }
        let polled = self.poll_connection(cx);
        if polled.is_pending() {
            self.inbound_waker = Some(cx.waker().clone());
        }
        polled
    }

    fn poll_outbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        if !self.ledger.poll_room(cx) {
            return Poll::Pending;
        }
        let stream = futures::ready!(self.connection.poll_new_outbound(cx)).map_err(into_io)?;
        let stream = Stream::new(stream, &self.ledger);
        self.ledger.opened(stream.id);
        Poll::Ready(Ok(stream))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.ledger.end();
        self.connection.poll_close(cx).map_err(into_io)
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
        while let Poll::Ready(stream) = self.poll_connection(cx)? {
            self.inbound.push_back(stream);
            if let Some(waker) = self.inbound_waker.take() {
                waker.wake();
            }
        }
        Poll::Pending
    }
}

impl<C> Drop for Muxer<C> {
    fn drop(&mut self) {
        self.ledger.end();
    }
}

/// A stream of a [`Muxer`].
#[derive(Debug)]
pub(crate) struct Stream {
    inner: yamux::Stream,
    id: u32,
    ledger: Arc<Ledger>,
    closed: bool,
}

impl Stream {
    fn new(inner: yamux::Stream, ledger: &Arc<Ledger>) -> Self {
        let id = inner.id().val();
        Self { inner, id, ledger: ledger.clone(), closed: false }
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.inner).poll_read(cx, buf) {
            Poll::Ready(Ok(0)) if !buf.is_empty() => Poll::Ready(self.ledger.end_of(self.id).map(|()| 0)),
            Poll::Ready(Err(error)) => Poll::Ready(Err(self.ledger.reason(self.id).unwrap_or(error))),
            Poll::Pending => self.ledger.poll_read(self.id, cx).map(Err),
            read => read,
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.inner).poll_write(cx, buf) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(self.ledger.reason(self.id).unwrap_or(error))),
            Poll::Pending => self.ledger.poll_write(self.id, cx).map(Err),
            written => written,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.closed {
            return Poll::Ready(Ok(()));
        }
        // yamux closes a stream that is reset, or whose connection is gone, without a word.
        if let Some(reason) = self.ledger.reason(self.id) {
            return Poll::Ready(Err(reason));
        }
        futures::ready!(Pin::new(&mut self.inner).poll_close(cx))?;
        self.closed = true;
        Poll::Ready(Ok(()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.ledger.dropped(self.id, self.closed, GIVING_UP.get());
    }
}

fn into_io(error: yamux::ConnectionError) -> io::Error {
    match error {
        yamux::ConnectionError::Io(error) => error,
        error => io::Error::other(error),
    }
}
