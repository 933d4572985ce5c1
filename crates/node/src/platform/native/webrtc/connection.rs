//! A connection as libp2p wants it: each stream is a data channel of the association.
//!
//! A task takes the channels that the remote opens, whether or not the swarm asks for streams just then, since SCTP loses
//! what nobody takes. Channels that this side opens have even numbers if it dialled, else odd ones, as the roles in DTLS
//! say (RFC 8832, section 6). A number is free again once its channel is closed; the next one up is taken first, so that
//! the remote has long heard of the end of a channel when its number comes again.
//!
//! Bounds: at most [`OPENING`] channels have not said what they are, and at most [`UNCLAIMED`] wait for the swarm; what
//! the remote opens beyond is closed. There are [`CHANNELS`] numbers.

use std::{
    collections::HashSet,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use libp2p::core::{StreamMuxer, muxing::StreamMuxerEvent};
use libp2p_webrtc_utils::{MAX_MSG_LEN, Stream};
use tokio::sync::mpsc;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};
use webrtc_data::data_channel::{Config, DataChannel, PollDataChannel};
use webrtc_sctp::{
    association::Association, chunk::chunk_payload_data::PayloadProtocolIdentifier, stream::Stream as SctpStream,
};

use super::{closing::Closing, error::Error};
use crate::platform::native::{Task, spawn};

/// Channels whose first message, the name of nothing, is under way. As many as SCTP keeps for who does not take them.
const OPENING: usize = 16;

/// Channels that the swarm has not asked for. A guess: a burst of streams while the swarm is busy.
const UNCLAIMED: usize = 64;

/// Numbers of channels, half of which are ours. As many as libwebrtc has.
const CHANNELS: u16 = 1024;

type Channel = Compat<PollDataChannel>;
type DropListener = libp2p_webrtc_utils::DropListener<Channel>;

/// A stream and what is to be polled for its remote's sake.
pub(super) fn stream(channel: DataChannel) -> (Stream<Channel>, DropListener) {
    let mut channel = PollDataChannel::new(Arc::new(channel));
    channel.set_read_buf_capacity(MAX_MSG_LEN);
    Stream::new(channel.compat())
}

/// A channel that both ends know of without a word.
pub(super) fn negotiated() -> Config {
    Config { negotiated: true, max_message_size: MAX_MSG_LEN as u32, ..Config::default() }
}

/// See the module's documentation. Dropping it closes the connection.
pub(super) struct Connection {
    association: Arc<Association>,
    /// Resolves when the remote has closed the connection.
    over: BoxFuture<'static, ()>,
    opened: mpsc::Receiver<DataChannel>,
    _acceptor: Task,
    numbers: Numbers,
    opening: Option<BoxFuture<'static, Result<DataChannel, Error>>>,
    /// What remains of streams; they tell the numbers of those channels that are closed.
    listeners: FuturesUnordered<BoxFuture<'static, u16>>,
    idle: Option<Waker>,
    closing: Option<BoxFuture<'static, ()>>,
    /// Held for its end.
    _session: Closing,
}

impl Connection {
    pub(super) fn new(session: Closing, association: Arc<Association>, is_client: bool) -> Self {
        let (sender, opened) = mpsc::channel(UNCLAIMED);
        let mut over = session.over();
        let over = async move { _ = over.wait_for(|over| *over).await }.boxed();
        Self {
            _acceptor: spawn(accept(association.clone(), sender)),
            association,
            over,
            opened,
            numbers: Numbers::new(is_client),
            opening: None,
            listeners: FuturesUnordered::new(),
            idle: None,
            closing: None,
            _session: session,
        }
    }

    fn add(&mut self, channel: DataChannel) -> Stream<Channel> {
        let number = channel.stream_identifier();
        let (stream, listener) = stream(channel);
        let ended = listener.map(move |ended| {
            if let Err(error) = ended {
                tracing::debug!(number, %error, "a channel could not be closed");
            }
            number
        });
        self.listeners.push(ended.boxed());
        if let Some(waker) = self.idle.take() {
            waker.wake();
        }
        stream
    }
}

async fn accept(association: Arc<Association>, opened: mpsc::Sender<DataChannel>) {
    let mut opening = FuturesUnordered::new();
    loop {
        tokio::select! {
            stream = association.accept_stream() => {
                let Some(stream) = stream else { return };
                let number = stream.stream_identifier();
                if opening.len() == OPENING {
                    tracing::debug!(number, "too many channels are being opened");
                    reset(&stream).await;
                } else {
                    stream.set_default_payload_type(PayloadProtocolIdentifier::Binary);
                    opening.push(DataChannel::server(stream, Config::default()));
                }
            }
            Some(channel) = opening.next() => match channel {
                Ok(channel) => if let Err(refused) = opened.try_send(channel) {
                    let channel = refused.into_inner();
                    tracing::debug!(number = channel.stream_identifier(), "too many streams wait to be taken");
                    _ = channel.close().await;
                },
                Err(error) => tracing::debug!(%error, "a channel was not opened"),
            },
        }
    }
}

async fn reset(stream: &SctpStream) {
    _ = stream.shutdown(std::net::Shutdown::Both).await;
}

async fn open(association: Arc<Association>, number: u16) -> Result<DataChannel, Error> {
    Ok(DataChannel::dial(&association, number, Config::default()).await?)
}

impl StreamMuxer for Connection {
    type Substream = Stream<Channel>;
    type Error = Error;

    fn poll_inbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Self::Substream, Error>> {
        match ready!(self.opened.poll_recv(cx)) {
            Some(channel) => Poll::Ready(Ok(self.add(channel))),
            None => Poll::Ready(Err(Error::Closed)),
        }
    }

    fn poll_outbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Self::Substream, Error>> {
        loop {
            if let Some(opening) = &mut self.opening {
                match ready!(opening.poll_unpin(cx)) {
                    // The remote uses a number that is not its own.
                    Err(Error::DataChannel(webrtc_data::Error::Sctp(webrtc_sctp::Error::ErrStreamAlreadyExist))) => {
                        self.opening = None;
                    }
                    opened => {
                        self.opening = None;
                        return Poll::Ready(opened.map(|channel| self.add(channel)));
                    }
                }
            }
            let Some(number) = self.numbers.take() else { return Poll::Ready(Err(Error::TooManyStreams)) };
            self.opening = Some(open(self.association.clone(), number).boxed());
        }
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, Error>> {
        while let Poll::Ready(Some(number)) = self.listeners.poll_next_unpin(cx) {
            self.numbers.give_back(number);
        }
        if self.listeners.is_empty() {
            self.idle = Some(cx.waker().clone());
        }
        self.over.poll_unpin(cx).map(|()| Err(Error::Closed))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let association = self.association.clone();
        let closing = self.closing.get_or_insert_with(|| {
            async move {
                if let Err(error) = association.close().await {
                    tracing::debug!(%error, "an association could not be closed");
                }
            }
            .boxed()
        });
        ready!(closing.poll_unpin(cx));
        self.closing = Some(futures::future::ready(()).boxed());
        Poll::Ready(Ok(()))
    }
}

/// The numbers of our channels.
struct Numbers {
    first: u16,
    next: u16,
    used: HashSet<u16>,
}

impl Numbers {
    fn new(is_client: bool) -> Self {
        // Zero is that of the handshake.
        let first = if is_client { 2 } else { 1 };
        Self { first, next: first, used: HashSet::new() }
    }

    fn take(&mut self) -> Option<u16> {
        for _ in 0..CHANNELS / 2 {
            let number = self.next;
            self.next = if number + 2 < CHANNELS { number + 2 } else { self.first };
            if self.used.insert(number) {
                return Some(number);
            }
        }
        None
    }

    /// Frees a number, if it is one of ours.
    fn give_back(&mut self, number: u16) {
        self.used.remove(&number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_has_its_own_numbers() {
        let all = |is_client| {
            let mut numbers = Numbers::new(is_client);
            std::iter::from_fn(|| numbers.take()).collect::<Vec<_>>()
        };
        let (client, server) = (all(true), all(false));
        assert_eq!((client.len(), server.len()), (511, 512));
        assert!(client.iter().all(|number| number % 2 == 0 && (1..CHANNELS).contains(number)));
        assert!(server.iter().all(|number| number % 2 == 1 && *number < CHANNELS));
    }

    #[test]
    fn a_number_rests_before_it_comes_again() {
        let mut numbers = Numbers::new(false);
        assert_eq!(numbers.take(), Some(1));
        numbers.give_back(1);
        assert_eq!(numbers.take(), Some(3));
        while numbers.take() != Some(1) {}
        assert_eq!(numbers.used.len(), 512);
        assert_eq!(numbers.take(), None);
        numbers.give_back(7);
        assert_eq!(numbers.take(), Some(7));
    }
}
