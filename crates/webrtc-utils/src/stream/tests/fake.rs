//! A data channel without a network.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use bytes::{Buf, Bytes};
use futures::{AsyncRead, AsyncWrite};

use crate::channel::{Closing, DataChannel};

/// Messages under way before writing has to wait.
pub(super) const CAPACITY: usize = 4;

pub(super) struct FakeChannel {
    wire: Arc<Mutex<Wire>>,
    end: usize,
}

#[derive(Default)]
struct Wire {
    /// What comes to each end.
    messages: [VecDeque<Bytes>; 2],
    readers: [Option<Waker>; 2],
    writers: [Option<Waker>; 2],
    closed: bool,
    /// Whether what was not read is lost when the channel is closed.
    forgetful: bool,
}

impl Wire {
    fn wake(&mut self) {
        self.readers.iter_mut().chain(&mut self.writers).filter_map(Option::take).for_each(Waker::wake);
    }
}

/// Both ends of a channel that ends like those of browsers and of pion: what came before the end can be read.
pub(super) fn pair() -> (FakeChannel, FakeChannel) {
    ends(Wire::default())
}

/// Both ends of a channel that ends like those of webrtc-rs.
pub(super) fn forgetful_pair() -> (FakeChannel, FakeChannel) {
    ends(Wire { forgetful: true, ..Wire::default() })
}

fn ends(wire: Wire) -> (FakeChannel, FakeChannel) {
    let wire = Arc::new(Mutex::new(wire));
    (FakeChannel { wire: wire.clone(), end: 0 }, FakeChannel { wire, end: 1 })
}

impl FakeChannel {
    fn wire(&self) -> std::sync::MutexGuard<'_, Wire> {
        self.wire.lock().expect("no test panics inside")
    }

    pub(super) fn is_closed(&self) -> bool {
        self.wire().closed
    }
}

impl AsyncRead for FakeChannel {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let (mut wire, end) = (self.wire(), self.end);
        if wire.closed && (wire.forgetful || wire.messages[end].is_empty()) {
            return Poll::Ready(Ok(0));
        }
        let Some(message) = wire.messages[end].front_mut() else {
            wire.readers[end] = Some(cx.waker().clone());
            return Poll::Pending;
        };
        let length = message.len().min(buffer.len());
        message.copy_to_slice(&mut buffer[..length]);
        if message.is_empty() {
            wire.messages[end].pop_front();
        }
        wire.wake();
        Poll::Ready(Ok(length))
    }
}

impl AsyncWrite for FakeChannel {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let (mut wire, end) = (self.wire(), self.end);
        if wire.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if wire.messages[1 - end].len() == CAPACITY {
            wire.writers[end] = Some(cx.waker().clone());
            return Poll::Pending;
        }
        wire.messages[1 - end].push_back(Bytes::copy_from_slice(bytes));
        wire.wake();
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        unreachable!("a data channel is closed with close_both")
    }
}

impl DataChannel for FakeChannel {
    fn close_both(&self) -> Closing {
        let wire = self.wire.clone();
        Box::pin(async move {
            let mut wire = wire.lock().expect("no test panics inside");
            wire.closed = true;
            wire.wake();
            Ok(())
        })
    }
}
