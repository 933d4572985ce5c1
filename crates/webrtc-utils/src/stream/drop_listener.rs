//! What remains of a stream when its owner is gone.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_timer::Delay;

use super::Shared;
use crate::{
    channel::{Closing, DataChannel},
    state::Ending,
};

/// Answers the remote when the owner of the stream does not, and closes the data channel in the end.
///
/// Resolves once the channel is closed: by the remote, or by us when the remote, after everything was said, does not do
/// it, or does not do its part after the owner has dropped the stream ([`state::Config`]).
///
/// [`state::Config`]: crate::state::Config
#[must_use = "a stream whose listener is not polled does not close its data channel"]
pub struct DropListener<T> {
    shared: Arc<Shared<T>>,
    /// For how long, and until when.
    linger: Option<(Duration, Delay)>,
    closing: Option<Closing>,
}

impl<T> DropListener<T> {
    pub(super) fn new(shared: Arc<Shared<T>>) -> Self {
        Self { shared, linger: None, closing: None }
    }
}

impl<T: DataChannel> Future for DropListener<T> {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.shared.waiting.listener.register(cx.waker());
        loop {
            if let Some(closing) = &mut self.closing {
                return closing.as_mut().poll(cx);
            }
            let shared = self.shared.clone();
            let mut pipe = shared.lock();
            pipe.work(&mut Context::from_waker(&shared.waker));
            match pipe.ending() {
                Ending::Open => return Poll::Pending,
                Ending::Over | Ending::Linger(Duration::ZERO) => {}
                Ending::Linger(time) => {
                    let (_, delay) = match &mut self.linger {
                        Some(linger) if linger.0 == time => linger,
                        linger => linger.insert((time, Delay::new(time))),
                    };
                    ready!(Pin::new(delay).poll(cx));
                }
            }
            self.closing = pipe.close();
            // The owner may be waiting for what is not going to happen.
            shared.waiting.reader.wake();
            shared.waiting.writer.wake();
            if self.closing.is_none() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}
