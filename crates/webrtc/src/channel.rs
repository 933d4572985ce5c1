//! One data channel as bytes in and out.
//!
//! What comes is kept as the browser's own buffers until it is read. Writing stops while [`MAX_UNSENT`] bytes wait in
//! the browser and goes on when it says that half of them are gone.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fmt, future, io,
    pin::Pin,
    rc::{Rc, Weak},
    task::{Context, Poll, Waker},
};

use futures::{AsyncRead, AsyncWrite};
use js_sys::{ArrayBuffer, Uint8Array};
use libp2p_webrtc_utils::{Closing, DataChannel};
use send_wrapper::SendWrapper;
use wasm_bindgen::{JsCast, closure::Closure};

use crate::js;

/// Bytes that may wait in the browser for one channel before writing stops. A guess: enough that the sender is never
/// idle between two turns of the event loop, 10 ms apart at 25 MB/s.
pub const MAX_UNSENT: u32 = 256 * 1024;

/// Bytes of one channel that may wait to be read; a channel that brings more is closed. The same as js-libp2p's.
pub const MAX_UNREAD: usize = 4 * 1024 * 1024;

/// Messages of one channel that may wait to be read: each is two objects of the page, whatever its length. A guess: full frames
/// of 16 KiB are through at the 256th.
const MAX_UNREAD_MESSAGES: usize = 16_384;

/// Bytes of all channels of a connection that may wait to be read; the channel that brings more is closed. A guess: four
/// channels that nobody reads.
pub const MAX_UNREAD_OF_CONNECTION: usize = 16 * 1024 * 1024;

/// A data channel. Dropping it closes it.
///
/// It can be moved to any thread, since libp2p asks everything for that; in a browser there is no other.
pub struct Channel(SendWrapper<Inner>);

struct Inner {
    channel: js::DataChannel,
    shared: Rc<Shared>,
    /// Called by the channel for as long as this lives, and detached before it goes.
    _on_change: Closure<dyn Fn()>,
    _on_message: Closure<dyn Fn(js::Event)>,
}

/// What the events of a channel have brought.
pub(crate) struct Shared {
    phase: Cell<Phase>,
    unread: RefCell<VecDeque<Uint8Array>>,
    unread_bytes: Cell<usize>,
    /// The same of all channels of the connection.
    unread_of_connection: Rc<Cell<usize>>,
    waker: Cell<Option<Waker>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Opening,
    Open,
    Closed,
    /// The remote has sent what it may not send.
    Broken(&'static str),
}

impl Shared {
    fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// A channel that is closed or broken stays so.
    fn enter(&self, phase: Phase) {
        if matches!(self.phase(), Phase::Opening | Phase::Open) {
            self.phase.set(phase);
        }
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn wait(&self, cx: &Context<'_>) {
        self.waker.set(Some(cx.waker().clone()));
    }

    /// The connection is gone, for which browsers have no event here.
    pub(crate) fn handle_connection_closed(&self) {
        self.enter(Phase::Closed);
    }

    fn handle_message(&self, event: &js::Event) -> Result<(), &'static str> {
        let data = event.data();
        let message = data.dyn_ref::<ArrayBuffer>().map(|data| Uint8Array::new(data)).ok_or("the peer sent text")?;
        let length = message.length() as usize;
        if length == 0 || self.phase() == Phase::Closed {
            return Ok(());
        }
        let unread = (self.unread_bytes.get() + length, self.unread_of_connection.get() + length);
        let many = self.unread.borrow().len() >= MAX_UNREAD_MESSAGES;
        if many || unread.0 > MAX_UNREAD || unread.1 > MAX_UNREAD_OF_CONNECTION {
            return Err("the peer sent more than is read here");
        }
        self.unread_bytes.set(unread.0);
        self.unread_of_connection.set(unread.1);
        self.unread.borrow_mut().push_back(message);
        Ok(())
    }

    fn read(&self, buffer: &mut [u8]) -> usize {
        let mut unread = self.unread.borrow_mut();
        let Some(message) = unread.pop_front() else { return 0 };
        let length = buffer.len().min(message.length() as usize);
        // No view reaches beyond 32 bits.
        let cut = length as u32;
        message.subarray(0, cut).copy_to(&mut buffer[..length]);
        if cut < message.length() {
            unread.push_front(message.subarray(cut, message.length()));
        }
        self.consume(length);
        length
    }

    fn forget_unread(&self) {
        self.unread.borrow_mut().clear();
        self.consume(self.unread_bytes.get());
    }

    fn consume(&self, bytes: usize) {
        self.unread_bytes.set(self.unread_bytes.get() - bytes);
        self.unread_of_connection.set(self.unread_of_connection.get() - bytes);
    }
}

impl Channel {
    /// Takes over a channel just made or just announced: nothing that it brings is missed.
    pub(crate) fn new(channel: js::DataChannel, unread_of_connection: Rc<Cell<usize>>) -> Self {
        let shared = Rc::new(Shared {
            phase: Cell::new(Phase::Opening),
            unread: RefCell::default(),
            unread_bytes: Cell::new(0),
            unread_of_connection,
            waker: Cell::new(None),
        });
        let on_change = Closure::<dyn Fn()>::new({
            let (channel, shared) = (channel.clone(), shared.clone());
            move || shared.enter(phase_of(&channel))
        });
        let on_message = Closure::<dyn Fn(js::Event)>::new({
            let (channel, shared) = (channel.clone(), shared.clone());
            move |event: js::Event| {
                if let Err(reason) = shared.handle_message(&event) {
                    tracing::debug!(reason, "a data channel is given up");
                    shared.enter(Phase::Broken(reason));
                    shared.forget_unread();
                    channel.set_onmessage(None);
                    channel.close_channel();
                }
                shared.wake();
            }
        });
        channel.set_binary_type("arraybuffer");
        channel.set_buffered_amount_low_threshold(MAX_UNSENT / 2);
        let handler = Some(on_change.as_ref().unchecked_ref());
        channel.set_onopen(handler);
        channel.set_onclose(handler);
        channel.set_onerror(handler);
        channel.set_onbufferedamountlow(handler);
        channel.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        shared.enter(phase_of(&channel));
        Self(SendWrapper::new(Inner { channel, shared, _on_change: on_change, _on_message: on_message }))
    }

    pub(crate) fn shared(&self) -> Weak<Shared> {
        Rc::downgrade(&self.0.shared)
    }

    /// Resolves once the channel is open, or is closed already.
    pub(crate) async fn opened(&self) {
        future::poll_fn(|cx| match self.0.shared.phase() {
            Phase::Opening => {
                self.0.shared.wait(cx);
                Poll::Pending
            }
            Phase::Open | Phase::Closed | Phase::Broken(_) => Poll::Ready(()),
        })
        .await;
    }
}

fn phase_of(channel: &js::DataChannel) -> Phase {
    match channel.ready_state().as_str() {
        "connecting" => Phase::Opening,
        "open" => Phase::Open,
        _ => Phase::Closed,
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Channel").field(&self.0.shared.phase()).finish()
    }
}

impl AsyncRead for Channel {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let shared = &self.0.shared;
        let read = shared.read(buffer);
        if read > 0 || buffer.is_empty() {
            return Poll::Ready(Ok(read));
        }
        match shared.phase() {
            Phase::Opening | Phase::Open => {
                shared.wait(cx);
                Poll::Pending
            }
            Phase::Closed => Poll::Ready(Ok(0)),
            Phase::Broken(reason) => Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, reason))),
        }
    }
}

impl AsyncWrite for Channel {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Inner { channel, shared, .. } = &*self.0;
        match shared.phase() {
            Phase::Opening => {}
            Phase::Open if channel.buffered_amount() >= f64::from(MAX_UNSENT) => {}
            Phase::Open => {
                return Poll::Ready(match channel.send(bytes) {
                    Ok(()) => Ok(bytes.len()),
                    Err(_) => Err(io::ErrorKind::BrokenPipe.into()),
                });
            }
            Phase::Closed | Phase::Broken(_) => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
        shared.wait(cx);
        Poll::Pending
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The browser sends what it has taken, without being asked.
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.channel.close_channel();
        Poll::Ready(Ok(()))
    }
}

impl DataChannel for Channel {
    fn close_both(&self) -> Closing {
        // The browser sends what it has taken, then closes, and nobody has to wait for it.
        self.0.channel.close_channel();
        Box::pin(future::ready(Ok(())))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.channel.set_onopen(None);
        self.channel.set_onclose(None);
        self.channel.set_onerror(None);
        self.channel.set_onbufferedamountlow(None);
        self.channel.set_onmessage(None);
        self.channel.close_channel();
        self.shared.forget_unread();
    }
}
