//! The stream between the user and the provider of a service.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{AsyncRead, AsyncWrite};
use libp2p::{PeerId, Stream};
use openred_core::event::Path;

/// A stream of bytes in both directions, each of which ends on its own.
///
/// Closing ends the own direction; the peer reads an end and can go on writing. Reading returns an
/// end of its own (`Ok(0)`) only after the peer has closed: if the peer gave up, or the connection
/// broke, it is `ConnectionReset` or `ConnectionAborted`, so that what was cut off does not look
/// complete.
///
/// Dropping a stream that is not closed resets it: the peer reads an error. To give up on a stream
/// is therefore to drop it.
#[derive(Debug)]
pub struct ServiceStream {
    stream: Stream,
    path: Path,
    remote_peer: PeerId,
    name: String,
}

impl ServiceStream {
    /// Wraps a stream on which the service has been agreed.
    pub fn new(stream: Stream, path: Path, remote_peer: PeerId, name: String) -> Self {
        Self { stream, path, remote_peer, name }
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
}

impl AsyncRead for ServiceStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for ServiceStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}
