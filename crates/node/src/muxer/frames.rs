//! Watches the yamux frames of a connection, and adds resets between them.
//!
//! A frame is a header of twelve bytes (version, type, flags, stream, length, all big-endian), and
//! for data `length` bytes after it: <https://github.com/hashicorp/yamux/blob/master/spec.md>.
//! Whether a frame is valid is left to yamux.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{AsyncRead, AsyncWrite, ready};

use super::ledger::Ledger;

const HEADER: usize = 12;
const SYN: u16 = 1;
const FIN: u16 = 4;
const RST: u16 = 8;

/// What matters of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    pub(super) stream: u32,
    pub(super) syn: bool,
    pub(super) fin: bool,
    pub(super) rst: bool,
    /// Bytes that follow the header.
    pub(super) body: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Data,
    /// A window update.
    Window,
    /// A ping or a farewell, which belong to no stream, and whose flags mean something else.
    Session,
}

impl Frame {
    fn parse(header: [u8; HEADER]) -> Self {
        let [_, kind, flags @ .., s0, s1, s2, s3, l0, l1, l2, l3] = header;
        let kind = match kind {
            0 => Kind::Data,
            1 => Kind::Window,
            _ => Kind::Session,
        };
        let flags = u16::from_be_bytes(flags);
        Self {
            kind,
            stream: u32::from_be_bytes([s0, s1, s2, s3]),
            syn: flags & SYN != 0,
            fin: flags & FIN != 0,
            rst: flags & RST != 0,
            body: if kind == Kind::Data { u32::from_be_bytes([l0, l1, l2, l3]) } else { 0 },
        }
    }

    /// The header of the frame that resets a stream.
    fn reset(stream: u32) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[2..4].copy_from_slice(&RST.to_be_bytes());
        header[4..8].copy_from_slice(&stream.to_be_bytes());
        header
    }
}

/// Finds the frames in one direction of a connection.
#[derive(Debug, Default)]
struct Cursor {
    header: [u8; HEADER],
    /// Bytes of the header that are there.
    filled: usize,
    /// Bytes of the body that are not.
    body: usize,
}

impl Cursor {
    /// Whether the next byte begins a frame.
    fn at_boundary(&self) -> bool {
        self.filled == 0 && self.body == 0
    }

    /// Moves over `bytes` and returns the first frame whose header is complete in them, with the
    /// bytes that come after the header.
    fn next<'a>(&mut self, mut bytes: &'a [u8]) -> Option<(Frame, &'a [u8])> {
        let skipped = self.body.min(bytes.len());
        self.body -= skipped;
        bytes = &bytes[skipped..];

        let taken = (HEADER - self.filled).min(bytes.len());
        self.header[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
        self.filled += taken;
        if self.filled < HEADER {
            return None;
        }
        self.filled = 0;
        let frame = Frame::parse(self.header);
        self.body = frame.body as usize;
        Some((frame, &bytes[taken..]))
    }
}

/// The connection that yamux is given.
#[derive(Debug)]
pub(super) struct Frames<C> {
    socket: C,
    ledger: Arc<Ledger>,
    incoming: Cursor,
    outgoing: Cursor,
    /// A reset that is being written, and how much of it has been.
    reset: Option<([u8; HEADER], usize)>,
}

impl<C: AsyncRead + AsyncWrite + Unpin> Frames<C> {
    pub(super) fn new(socket: C, ledger: Arc<Ledger>) -> Self {
        Self { socket, ledger, incoming: Cursor::default(), outgoing: Cursor::default(), reset: None }
    }

    /// Writes the resets that are due, unless yamux is in the middle of a frame.
    fn poll_resets(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.outgoing.at_boundary() {
            let (header, written) = match &mut self.reset {
                Some(reset) => reset,
                none => match self.ledger.next_reset() {
                    Some(stream) => none.insert((Frame::reset(stream), 0)),
                    None => break,
                },
            };
            match ready!(Pin::new(&mut self.socket).poll_write(cx, &header[*written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                more => *written += more,
            }
            if *written == HEADER {
                self.reset = None;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Frames<C> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let length = ready!(Pin::new(&mut this.socket).poll_read(cx, buf))?;
        let mut rest = &buf[..length];
        while let Some((frame, after)) = this.incoming.next(rest) {
            if frame.kind != Kind::Session {
                this.ledger.received(&frame)?;
            }
            rest = after;
        }
        Poll::Ready(Ok(length))
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Frames<C> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        ready!(this.poll_resets(cx))?;
        let length = ready!(Pin::new(&mut this.socket).poll_write(cx, buf))?;
        let mut rest = &buf[..length];
        while let Some((frame, after)) = this.outgoing.next(rest) {
            if frame.kind != Kind::Session {
                this.ledger.sent(&frame);
            }
            rest = after;
        }
        Poll::Ready(Ok(length))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_resets(cx))?;
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_resets(cx))?;
        Pin::new(&mut self.socket).poll_close(cx)
    }
}
