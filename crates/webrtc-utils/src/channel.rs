//! The data channel below a stream.

use std::{future::Future, io, pin::Pin};

use futures::{AsyncRead, AsyncWrite};

/// What a [`Stream`](crate::Stream) needs of a data channel.
///
/// Each `poll_write` is one message of the channel. Bytes taken by it may wait for the next `poll_flush`. A `poll_read`
/// that gives no bytes is the end of the channel.
pub trait DataChannel: AsyncRead + AsyncWrite + Unpin {
    /// Closes the channel in both directions, after what was flushed before. What it has received and nobody has read
    /// is lost.
    ///
    /// # Errors
    ///
    /// If the connection is gone.
    fn close_both(&self) -> Closing;
}

/// A channel being closed.
pub type Closing = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

#[cfg(feature = "webrtc-rs")]
mod webrtc_rs {
    use tokio_util::compat::Compat;
    use webrtc_data::data_channel::PollDataChannel;

    use super::{Closing, DataChannel};

    impl DataChannel for Compat<PollDataChannel> {
        // `AsyncWrite::poll_close` would end our half for ourselves only and tell the remote nothing.
        fn close_both(&self) -> Closing {
            let channel = self.get_ref().clone_inner();
            Box::pin(async move { channel.close().await.map_err(Into::into) })
        }
    }
}
