//! A libp2p stream over a data channel.
//!
//! [`Stream`] is what a protocol reads and writes, [`DropListener`] what the connection polls. Both work on one
//! [`Pipe`] behind a lock: whoever is polled moves what can be moved, and what the data channel wakes wakes all who
//! wait. So a `FIN` is answered although the protocol reads nothing just then, and a protocol does not wait for the
//! connection's task.

mod drop_listener;
mod pipe;
#[cfg(test)]
mod tests;

use std::{
    fmt, io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use futures::{AsyncRead, AsyncWrite, task::AtomicWaker};

pub use self::drop_listener::DropListener;
use self::pipe::Pipe;
use crate::{
    DataChannel,
    state::{self, Ending},
};

/// A stream with two halves that close one by one.
///
/// Reading gives data, then the end; after a reset by the remote, or if the data channel ends before the remote has
/// finished, it fails with `ConnectionReset`, and with `InvalidData` if the remote broke the protocol. Writing takes at
/// most two messages ahead, so a remote that does not read is felt. Closing ends our half and resolves as soon as that
/// is on its way, without waiting for the remote; what happens then is the [`DropListener`]'s. A stream that is dropped
/// and was not closed is reset.
pub struct Stream<T: DataChannel> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    pipe: Mutex<Pipe<T>>,
    waiting: Arc<Waiting>,
    /// What the data channel is given to wake.
    waker: Waker,
}

/// Those who wait for something to happen to the stream.
#[derive(Default)]
struct Waiting {
    reader: AtomicWaker,
    writer: AtomicWaker,
    listener: AtomicWaker,
}

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.listener.wake();
        self.reader.wake();
        self.writer.wake();
    }
}

impl<T: DataChannel> Stream<T> {
    /// A stream over `channel`, which has just been opened, and what is to be polled until it resolves, for the remote's
    /// sake and to close the channel. A stream whose listener is dropped works, but its channel is never closed.
    pub fn new(channel: T) -> (Self, DropListener<T>) {
        Self::with_config(channel, state::Config::default())
    }

    /// The same with other times than the default.
    pub fn with_config(channel: T, config: state::Config) -> (Self, DropListener<T>) {
        let waiting = Arc::<Waiting>::default();
        let shared =
            Arc::new(Shared { pipe: Mutex::new(Pipe::new(channel, config)), waker: waiting.clone().into(), waiting });
        (Self { shared: shared.clone() }, DropListener::new(shared))
    }

    /// Ends reading: the remote is asked to stop, and what it still sends is thrown away. Resolves once that is on its
    /// way; reading then fails with `BrokenPipe`.
    ///
    /// # Errors
    ///
    /// `ConnectionReset` if the stream is reset or its data channel gone.
    pub fn poll_close_read(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.waiting.writer.register(cx.waker());
        self.shared.work(Pipe::poll_stop_reading)
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, Pipe<T>> {
        self.pipe.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: DataChannel> Shared<T> {
    /// Does `work` on the stream and tells the listener if the data channel is to be closed after it.
    fn work<R>(&self, work: impl FnOnce(&mut Pipe<T>, &mut Context<'_>) -> R) -> R {
        let mut pipe = self.lock();
        let result = work(&mut pipe, &mut Context::from_waker(&self.waker));
        if pipe.ending() != Ending::Open {
            self.waiting.listener.wake();
        }
        result
    }
}

impl<T: DataChannel> AsyncRead for Stream<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.shared.waiting.reader.register(cx.waker());
        self.shared.work(|pipe, cx| pipe.poll_read(cx, buffer))
    }
}

impl<T: DataChannel> AsyncWrite for Stream<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.shared.waiting.writer.register(cx.waker());
        self.shared.work(|pipe, cx| pipe.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.waiting.writer.register(cx.waker());
        self.shared.work(Pipe::poll_flush)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.waiting.writer.register(cx.waker());
        self.shared.work(Pipe::poll_finish)
    }
}

impl<T: DataChannel> Drop for Stream<T> {
    fn drop(&mut self) {
        self.shared.lock().abandon();
        self.shared.waiting.listener.wake();
    }
}

impl<T: DataChannel> fmt::Debug for Stream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stream").field(self.shared.lock().state()).finish()
    }
}

static OPEN: AtomicUsize = AtomicUsize::new(0);

/// How many data channels of this process carry a stream or wait to be closed after one. For metrics, and to prove that
/// none are left behind.
pub fn open_channels() -> usize {
    OPEN.load(Ordering::Relaxed)
}

/// Counts one data channel while it lives.
struct Open;

impl Open {
    fn count() -> Self {
        OPEN.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::Relaxed);
    }
}
