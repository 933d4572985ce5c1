//! A connection whose streams are data channels.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures::{StreamExt, stream::FuturesUnordered};
use futures_timer::Delay;
use libp2p::core::{StreamMuxer, muxing::StreamMuxerEvent};
use libp2p_webrtc_utils::{DropListener, Stream, state};

pub use crate::peer_connection::MAX_CHANNELS;
use crate::{
    Error,
    channel::Channel,
    peer_connection::{PeerConnection, State},
};

/// How long a connection may be without answer before it is given up. Browsers say so after a few seconds and give up by
/// themselves after about thirty; a change of network often passes within these.
const DISCONNECTED_GRACE: Duration = Duration::from_secs(8);

/// How streams end here. A browser hands over what it has received before it says that a channel is closed, and sends
/// what it has taken before it closes one: who has everything need not leave the channel to the other.
const STREAM: state::Config =
    state::Config { fin_linger: Duration::from_secs(10), close_linger: Duration::ZERO, windows: false };

/// An established connection. Dropping it closes it and resets its streams.
pub struct Muxer {
    connection: PeerConnection,
    streams: state::Config,
    /// Never polled, so its channel stays open: the browser would give its number to the next one, which webrtc-rs takes
    /// for the one that it is closing.
    handshake: Option<DropListener<Channel>>,
    /// One for each stream whose channel is open.
    listeners: FuturesUnordered<DropListener<Channel>>,
    grace: Option<Delay>,
    /// Who waits for a channel to end, because there are as many as there may be.
    opener: Option<Waker>,
}

impl Muxer {
    /// A connection to a server.
    pub(crate) fn to_server(connection: PeerConnection) -> Self {
        Self::new(connection, STREAM)
    }

    /// A connection to another browser, which may lag behind as this one may.
    pub(crate) fn to_browser(connection: PeerConnection) -> Self {
        Self::new(connection, state::Config { windows: true, ..STREAM })
    }

    fn new(connection: PeerConnection, streams: state::Config) -> Self {
        Self { connection, streams, handshake: None, listeners: FuturesUnordered::new(), grace: None, opener: None }
    }

    /// Opens a stream on `channel` and sees to its end.
    pub(crate) fn stream(&mut self, channel: Channel) -> Stream<Channel> {
        let (stream, listener) = Stream::with_config(channel, self.streams);
        self.listeners.push(listener);
        stream
    }

    /// The same on the channel of a handshake, which stays open as long as the connection.
    pub(crate) fn handshake(&mut self, channel: Channel) -> Stream<Channel> {
        let (stream, listener) = Stream::with_config(channel, self.streams);
        self.handshake = Some(listener);
        stream
    }

    pub(crate) fn connection(&self) -> &PeerConnection {
        &self.connection
    }

    /// Works on what streams leave behind.
    fn poll_listeners(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(_)) = self.listeners.poll_next_unpin(cx) {
            if let Some(opener) = self.opener.take() {
                opener.wake();
            }
        }
    }

    fn poll_state(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        self.connection.wait(cx);
        match self.connection.state() {
            State::Failed => return Poll::Ready(Error::NoPath),
            State::Closed => return Poll::Ready(Error::Lost("closed")),
            State::Disconnected => {
                let grace = self.grace.get_or_insert_with(|| Delay::new(DISCONNECTED_GRACE));
                return Pin::new(grace).poll(cx).map(|()| Error::Lost("no answer"));
            }
            State::Connecting | State::Connected => self.grace = None,
        }
        Poll::Pending
    }
}

impl StreamMuxer for Muxer {
    type Substream = Stream<Channel>;
    type Error = Error;

    fn poll_inbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Self::Substream, Error>> {
        self.connection.wait(cx);
        match self.connection.next_inbound() {
            Some(channel) => Poll::Ready(Ok(self.stream(channel))),
            None => Poll::Pending,
        }
    }

    fn poll_outbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Self::Substream, Error>> {
        if !self.connection.has_room() {
            self.opener = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let channel = self.connection.open("")?;
        Poll::Ready(Ok(self.stream(channel)))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.connection.close();
        Poll::Ready(Ok(()))
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, Error>> {
        self.poll_listeners(cx);
        self.poll_state(cx).map(Err)
    }
}

impl fmt::Debug for Muxer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Muxer").field(&self.connection.state()).finish()
    }
}
