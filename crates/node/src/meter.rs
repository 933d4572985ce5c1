//! Counts what the node sends and receives, and holds it under a limit.
//!
//! The meter sits above the multiplexer: it sees the payload of every stream, libp2p's own included,
//! and not what noise, yamux and the protocols below add to it (about 2 % of a bulk transfer).
//! The streams of a relayed connection pass unmeasured, since the same bytes are measured on the
//! stream that carries that connection to the relay.
//!
//! The limit counts both directions together and is kept by a token bucket, for which streams wait
//! in turn. In the long run no more than the limit passes; for a quarter of a second, or when many
//! idle streams begin at once, it may.

mod bucket;
#[cfg(test)]
mod tests;

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use futures::{AsyncRead, AsyncWrite, FutureExt, ready};
use libp2p::{
    Multiaddr, PeerId, Transport,
    core::{
        ConnectedPoint, StreamMuxer,
        muxing::{StreamMuxerBox, StreamMuxerEvent, SubstreamBox},
        transport::Boxed,
    },
};
use openred_core::address::is_relayed;

use self::bucket::Bucket;
use crate::platform::{self, Sleep};

/// The most that one stream moves at a time under a limit, in bytes. Streams take turns by this
/// much. It is the size of yamux's frames, so nothing is cut that was whole.
const TURN: usize = 16 * 1024;

/// The counters of a node. Clones share them.
#[derive(Clone, Debug)]
pub struct Meter(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    bucket: Option<Mutex<Bucket>>,
}

impl Meter {
    /// A meter that lets `max_bandwidth` bytes a second pass, both directions together, or all
    /// there is. Zero counts as one.
    pub fn new(max_bandwidth: Option<u64>) -> Self {
        Self(Arc::new(Shared {
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            bucket: max_bandwidth.map(|rate| Mutex::new(Bucket::new(rate))),
        }))
    }

    /// Bytes received since the start.
    pub fn bytes_in(&self) -> u64 {
        self.0.bytes_in.load(Ordering::Relaxed)
    }

    /// Bytes sent since the start.
    pub fn bytes_out(&self) -> u64 {
        self.0.bytes_out.load(Ordering::Relaxed)
    }

    /// The same transport, measured.
    pub(crate) fn measure(&self, transport: Boxed<(PeerId, StreamMuxerBox)>) -> Boxed<(PeerId, StreamMuxerBox)> {
        let meter = self.clone();
        transport
            .map(move |(peer, muxer), endpoint| match is_relayed(way(&endpoint)) {
                true => (peer, muxer),
                false => (peer, StreamMuxerBox::new(Measured { inner: muxer, meter })),
            })
            .boxed()
    }

    fn charge(&self, bytes: usize) {
        if let Some(bucket) = &self.0.bucket {
            let mut bucket = bucket.lock().unwrap_or_else(PoisonError::into_inner);
            bucket.charge(platform::elapsed(), bytes);
        }
    }
}

/// The address that tells whether a connection goes through a relay.
fn way(endpoint: &ConnectedPoint) -> &Multiaddr {
    match endpoint {
        ConnectedPoint::Dialer { address, .. } => address,
        ConnectedPoint::Listener { local_addr, .. } => local_addr,
    }
}

/// A connection whose streams are measured.
struct Measured {
    inner: StreamMuxerBox,
    meter: Meter,
}

impl Measured {
    fn stream(&self, inner: SubstreamBox) -> MeasuredStream {
        MeasuredStream { inner, meter: self.meter.clone(), reading: Gate::default(), writing: Gate::default() }
    }
}

impl StreamMuxer for Measured {
    type Substream = MeasuredStream;
    type Error = io::Error;

    fn poll_inbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<MeasuredStream>> {
        let stream = ready!(Pin::new(&mut self.inner).poll_inbound(cx))?;
        Poll::Ready(Ok(self.stream(stream)))
    }

    fn poll_outbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<MeasuredStream>> {
        let stream = ready!(Pin::new(&mut self.inner).poll_outbound(cx))?;
        Poll::Ready(Ok(self.stream(stream)))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
        Pin::new(&mut self.inner).poll(cx)
    }
}

/// A stream that is measured.
struct MeasuredStream {
    inner: SubstreamBox,
    meter: Meter,
    reading: Gate,
    writing: Gate,
}

impl AsyncRead for MeasuredStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let turn = ready!(this.reading.poll(&this.meter, cx)).min(buf.len());
        let bytes = ready!(Pin::new(&mut this.inner).poll_read(cx, &mut buf[..turn]))?;
        this.reading.leave();
        this.meter.0.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
        this.meter.charge(bytes);
        Poll::Ready(Ok(bytes))
    }
}

impl AsyncWrite for MeasuredStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let turn = ready!(this.writing.poll(&this.meter, cx)).min(buf.len());
        let bytes = ready!(Pin::new(&mut this.inner).poll_write(cx, &buf[..turn]))?;
        this.writing.leave();
        this.meter.0.bytes_out.fetch_add(bytes as u64, Ordering::Relaxed);
        this.meter.charge(bytes);
        Poll::Ready(Ok(bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }
}

/// Where one direction of a stream waits for its turn.
#[derive(Default)]
struct Gate {
    state: Turn,
}

#[derive(Default)]
enum Turn {
    /// It has to ask.
    #[default]
    None,
    /// Its turn comes when the timer fires.
    Waiting(Sleep),
    /// It may move up to [`TURN`] bytes, once there are any.
    Granted,
}

impl Gate {
    /// Resolves to the number of bytes that may move next.
    fn poll(&mut self, meter: &Meter, cx: &mut Context<'_>) -> Poll<usize> {
        let Some(bucket) = &meter.0.bucket else { return Poll::Ready(usize::MAX) };
        if let Turn::None = self.state {
            let wait = bucket.lock().unwrap_or_else(PoisonError::into_inner).wait(platform::elapsed());
            self.state = match wait {
                Some(wait) => Turn::Waiting(platform::sleep(wait)),
                None => Turn::Granted,
            };
        }
        if let Turn::Waiting(timer) = &mut self.state {
            ready!(timer.poll_unpin(cx));
            self.state = Turn::Granted;
        }
        Poll::Ready(TURN)
    }

    fn leave(&mut self) {
        self.state = Turn::None;
    }
}
