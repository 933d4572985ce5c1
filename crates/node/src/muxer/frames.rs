//! Watches the yamux frames of a connection, and corrects what yamux does with them.
//!
//! A frame is a header of twelve bytes (version, type, flags, stream, length, all big-endian), and
//! for data `length` bytes after it: <https://github.com/hashicorp/yamux/blob/master/spec.md>.
//! Whether a frame is valid is left to yamux, with one exception: it refuses data frames of more
//! than 1 MiB, though it gives peers windows beyond that, and js-libp2p fills a window with one
//! frame. Such a frame reaches it in parts.

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
const ACK: u16 = 2;
const FIN: u16 = 4;
const RST: u16 = 8;

/// The longest data frame that yamux reads, in bytes.
const MAX_BODY: u32 = 1024 * 1024;

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    version: u8,
    kind: u8,
    flags: u16,
    pub(super) stream: u32,
    length: u32,
}

impl Frame {
    const DATA: u8 = 0;
    const WINDOW_UPDATE: u8 = 1;

    fn parse([version, kind, f0, f1, s0, s1, s2, s3, l0, l1, l2, l3]: [u8; HEADER]) -> Self {
        Self {
            version,
            kind,
            flags: u16::from_be_bytes([f0, f1]),
            stream: u32::from_be_bytes([s0, s1, s2, s3]),
            length: u32::from_be_bytes([l0, l1, l2, l3]),
        }
    }

    fn encode(self) -> [u8; HEADER] {
        let [f0, f1] = self.flags.to_be_bytes();
        let [s0, s1, s2, s3] = self.stream.to_be_bytes();
        let [l0, l1, l2, l3] = self.length.to_be_bytes();
        [self.version, self.kind, f0, f1, s0, s1, s2, s3, l0, l1, l2, l3]
    }

    /// The frame that resets a stream.
    fn reset(stream: u32) -> Self {
        Self { version: 0, kind: Self::DATA, flags: RST, stream, length: 0 }
    }

    /// Whether it belongs to a stream. The flags of pings and farewells mean something else.
    fn of_a_stream(&self) -> bool {
        matches!(self.kind, Self::DATA | Self::WINDOW_UPDATE)
    }

    pub(super) fn syn(&self) -> bool {
        self.flags & SYN != 0
    }

    pub(super) fn fin(&self) -> bool {
        self.flags & FIN != 0
    }

    pub(super) fn rst(&self) -> bool {
        self.flags & RST != 0
    }

    /// Bytes that follow the header.
    pub(super) fn body(&self) -> u32 {
        if self.kind == Self::DATA { self.length } else { 0 }
    }

    /// Cuts a frame that is too long in two. Beginnings go with the first part, ends with the second.
    fn split(self) -> (Self, Option<Self>) {
        if self.body() <= MAX_BODY {
            return (self, None);
        }
        let first = Self { flags: self.flags & (SYN | ACK), length: MAX_BODY, ..self };
        let second = Self { flags: self.flags & !(SYN | ACK), length: self.length - MAX_BODY, ..self };
        (first, Some(second))
    }
}

/// The connection that yamux is given.
#[derive(Debug)]
pub(super) struct Frames<C> {
    socket: C,
    ledger: Arc<Ledger>,
    incoming: Incoming,
    outgoing: Outgoing,
}

/// Where reading is.
#[derive(Debug, Default)]
struct Incoming {
    /// The header of the present frame, or of the present part of it.
    header: [u8; HEADER],
    /// Bytes of the header that have come.
    filled: usize,
    /// Bytes of the header that yamux has been given.
    given: usize,
    /// Bytes of the body that have not come.
    body: usize,
    /// The frame whose end has not been reported.
    frame: Option<Frame>,
    /// What follows the present part.
    rest: Option<Frame>,
}

/// Where writing is.
#[derive(Debug, Default)]
struct Outgoing {
    /// The header of the present frame. Yamux writes it on its own, before the body.
    header: [u8; HEADER],
    /// Bytes of the header that have been written.
    written: usize,
    /// Bytes of the body that have not been written.
    body: usize,
    /// A reset that is being written, and how much of it has been.
    reset: Option<([u8; HEADER], usize)>,
}

impl Outgoing {
    /// Whether the next byte that yamux writes begins a frame.
    fn at_boundary(&self) -> bool {
        self.written == 0 && self.body == 0
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> Frames<C> {
    pub(super) fn new(socket: C, ledger: Arc<Ledger>) -> Self {
        Self { socket, ledger, incoming: Incoming::default(), outgoing: Outgoing::default() }
    }

    /// Writes the resets that are due, unless yamux is in the middle of a frame.
    fn poll_resets(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.outgoing.at_boundary() {
            let (header, written) = match &mut self.outgoing.reset {
                Some(reset) => reset,
                none => match self.ledger.next_reset() {
                    Some(stream) => none.insert((Frame::reset(stream).encode(), 0)),
                    None => break,
                },
            };
            match ready!(Pin::new(&mut self.socket).poll_write(cx, &header[*written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                more => *written += more,
            }
            if *written == HEADER {
                self.outgoing.reset = None;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Writes a piece of a header.
    fn poll_write_header(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let out = &mut self.outgoing;
        if out.written == 0 {
            let Ok(header) = buf.try_into() else {
                return Poll::Ready(Err(io::Error::other("yamux does not write headers on their own")));
            };
            let mut frame = Frame::parse(header);
            if frame.of_a_stream() && frame.fin() && self.ledger.is_reset_here(frame.stream) {
                frame.flags = frame.flags & !FIN | RST;
            }
            out.header = frame.encode();
        }
        let written = ready!(Pin::new(&mut self.socket).poll_write(cx, &out.header[out.written..]))?;
        out.written += written;
        if out.written == HEADER {
            let frame = Frame::parse(out.header);
            out.written = 0;
            out.body = frame.body() as usize;
            if frame.of_a_stream() {
                self.ledger.sent(&frame);
            }
        }
        Poll::Ready(Ok(written))
    }

    /// Reads the next header, unless the socket ends before it.
    fn poll_header(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let incoming = &mut self.incoming;
        let frame = match incoming.rest.take() {
            Some(rest) => rest,
            None => {
                while incoming.filled < HEADER {
                    let place = &mut incoming.header[incoming.filled..];
                    match ready!(Pin::new(&mut self.socket).poll_read(cx, place))? {
                        0 if incoming.filled == 0 => return Poll::Ready(Ok(())),
                        0 => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                        more => incoming.filled += more,
                    }
                }
                let frame = Frame::parse(incoming.header);
                incoming.frame = frame.of_a_stream().then_some(frame);
                frame
            }
        };
        let (part, rest) = frame.split();
        incoming.rest = rest;
        incoming.header = part.encode();
        incoming.filled = HEADER;
        incoming.given = 0;
        incoming.body = part.body() as usize;
        Poll::Ready(self.report())
    }

    /// Reports a frame that has come to its end. Its effect is known before yamux sees the end.
    fn report(&mut self) -> io::Result<()> {
        if self.incoming.body == 0
            && self.incoming.rest.is_none()
            && let Some(frame) = self.incoming.frame.take()
        {
            self.ledger.received(&frame)?;
        }
        Ok(())
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> AsyncRead for Frames<C> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.incoming.filled < HEADER {
            ready!(this.poll_header(cx))?;
            if this.incoming.filled < HEADER {
                return Poll::Ready(Ok(0));
            }
        }
        let length = if this.incoming.given < HEADER {
            let header = &this.incoming.header[this.incoming.given..];
            let length = header.len().min(buf.len());
            buf[..length].copy_from_slice(&header[..length]);
            this.incoming.given += length;
            length
        } else {
            let length = this.incoming.body.min(buf.len());
            let length = ready!(Pin::new(&mut this.socket).poll_read(cx, &mut buf[..length]))?;
            this.incoming.body -= length;
            this.report()?;
            length
        };
        if this.incoming.given == HEADER && this.incoming.body == 0 {
            this.incoming.filled = 0;
        }
        Poll::Ready(Ok(length))
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Frames<C> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        ready!(this.poll_resets(cx))?;
        if this.outgoing.body == 0 {
            return this.poll_write_header(cx, buf);
        }
        let length = this.outgoing.body.min(buf.len());
        let written = ready!(Pin::new(&mut this.socket).poll_write(cx, &buf[..length]))?;
        this.outgoing.body -= written;
        Poll::Ready(Ok(written))
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
