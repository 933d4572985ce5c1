//! The stream between the user and the provider of a service.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{AsyncRead, AsyncWrite};
use libp2p::{PeerId, Stream};
use openred_core::event::Path;

use crate::{driver::Carried, muxer};

/// A stream of bytes in both directions, each of which ends on its own.
///
/// Closing ends the own direction; the peer reads an end and can go on writing. Reading returns an
/// end of its own (`Ok(0)`) only after the peer has closed: if the peer gave up, or the connection
/// broke, it is `ConnectionReset` or `ConnectionAborted`, so that what was cut off does not look
/// complete.
///
/// Dropping a stream that is not closed resets it: the peer reads an error. To give up on a stream
/// is therefore to drop it. (QUIC has no part in this: libp2p's transport ends such a stream.)
#[derive(Debug)]
pub struct ServiceStream {
    /// There until the drop.
    stream: Option<Stream>,
    path: Path,
    remote_peer: PeerId,
    name: String,
    /// Its mark on the connection, kept for its drop.
    _carried: Option<Carried>,
}

impl ServiceStream {
    /// Wraps a stream on which the service has been agreed.
    pub fn new(stream: Stream, path: Path, remote_peer: PeerId, name: String) -> Self {
        Self { stream: Some(stream), path, remote_peer, name, _carried: None }
    }

    /// The same stream, counted on its connection until it is dropped.
    pub(crate) fn carried(mut self, carried: Carried) -> Self {
        self._carried = Some(carried);
        self
    }

    /// How the peer is reached.
    pub fn path(&self) -> Path {
        self.path
    }

    /// The peer at the other end.
    pub fn remote_peer(&self) -> PeerId {
        self.remote_peer
    }

    /// The name of the service.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn stream(self: Pin<&mut Self>) -> Pin<&mut Stream> {
        Pin::new(self.get_mut().stream.as_mut().expect("it is there until the drop"))
    }
}

impl Drop for ServiceStream {
    fn drop(&mut self) {
        muxer::give_up(self.stream.take());
    }
}

impl AsyncRead for ServiceStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.stream().poll_read(cx, buf)
    }
}

impl AsyncWrite for ServiceStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.stream().poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_close(cx)
    }
}
