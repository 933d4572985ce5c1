//! A connection that is closed when it is dropped.
//!
//! webrtc-rs frees nothing of a peer connection that is only dropped: its tasks go on, and the listener's socket keeps the
//! remote's address for it, so that a later connection from that port is never answered. The swarm drops a connection
//! whose handler gave it up, as all are whose remote has gone away without a word.
//!
//! Bounds: closing takes [`LIMIT`] at most.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use libp2p::core::{StreamMuxer, muxing::StreamMuxerEvent};
use tokio::{runtime::Handle, time::timeout};

/// How long a connection may take to close; a guess, in which every one that was seen did many times over.
const LIMIT: Duration = Duration::from_secs(10);

/// See the module's documentation. `None` once it is closed.
pub(super) struct Closing<M: StreamMuxer + Send + Unpin + 'static>(Option<M>);

impl<M: StreamMuxer + Send + Unpin> Closing<M> {
    pub(super) fn new(connection: M) -> Self {
        Self(Some(connection))
    }

    /// The swarm polls no connection that it has closed; if it did, nothing would come of it.
    fn poll_open<T>(&mut self, poll: impl FnOnce(Pin<&mut M>) -> Poll<T>) -> Poll<T> {
        self.0.as_mut().map_or(Poll::Pending, |connection| poll(Pin::new(connection)))
    }
}

impl<M: StreamMuxer + Send + Unpin> StreamMuxer for Closing<M> {
    type Substream = M::Substream;
    type Error = M::Error;

    fn poll_inbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<M::Substream, M::Error>> {
        self.poll_open(|connection| connection.poll_inbound(cx))
    }

    fn poll_outbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<M::Substream, M::Error>> {
        self.poll_open(|connection| connection.poll_outbound(cx))
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, M::Error>> {
        self.poll_open(|connection| connection.poll(cx))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), M::Error>> {
        let Some(connection) = &mut self.0 else { return Poll::Ready(Ok(())) };
        let closed = std::task::ready!(Pin::new(connection).poll_close(cx));
        self.0 = None;
        Poll::Ready(closed)
    }
}

impl<M: StreamMuxer + Send + Unpin> Drop for Closing<M> {
    fn drop(&mut self) {
        // Without a runtime the process is ending.
        let (Some(mut connection), Ok(runtime)) = (self.0.take(), Handle::try_current()) else { return };
        runtime.spawn(async move {
            let closed = timeout(LIMIT, poll_fn(|cx| Pin::new(&mut connection).poll_close(cx))).await;
            if !matches!(closed, Ok(Ok(()))) {
                tracing::debug!("a WebRTC connection was dropped and could not be closed");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::{StreamExt, channel::mpsc, io::Cursor};

    use super::*;

    /// Says when it is closed, which takes it a second look.
    struct Told {
        closed: mpsc::UnboundedSender<()>,
        looked: bool,
    }

    impl StreamMuxer for Told {
        type Substream = Cursor<Vec<u8>>;
        type Error = Infallible;

        fn poll_inbound(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<Self::Substream, Infallible>> {
            Poll::Pending
        }

        fn poll_outbound(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<Self::Substream, Infallible>> {
            Poll::Pending
        }

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, Infallible>> {
            Poll::Pending
        }

        fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            if !self.looked {
                self.looked = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            self.closed.unbounded_send(()).unwrap();
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn a_connection_that_is_dropped_is_closed() {
        let (closed, mut closings) = mpsc::unbounded();
        drop(Closing::new(Told { closed, looked: false }));
        assert_eq!(closings.next().await, Some(()));
    }

    #[tokio::test]
    async fn a_connection_that_was_closed_is_not_closed_again() {
        let (closed, closings) = mpsc::unbounded();
        let mut connection = Closing::new(Told { closed, looked: false });
        poll_fn(|cx| Pin::new(&mut connection).poll_close(cx)).await.unwrap();
        drop(connection);
        assert_eq!(closings.collect::<Vec<_>>().await.len(), 1);
    }
}
