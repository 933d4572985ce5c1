//! WebSocket peers: the upgrade, and the byte stream that libp2p runs over it.
//!
//! libp2p's WebSocket is a plain byte stream cut into binary messages of any size; where one message ends means nothing.
//! [`ByteStream`] gives that stream. Back-pressure is the socket's own: at most one message waits to be written, and
//! nothing is read before it is asked for. A message above [`LARGEST_MESSAGE`] or a text message ends the connection.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::{
    RequestExt,
    body::Bytes,
    extract::{
        ConnectInfo, FromRequestParts, Request, WebSocketUpgrade,
        ws::{Message, WebSocket},
    },
    http::{HeaderMap, StatusCode, header::UPGRADE},
    response::{IntoResponse, Response},
};
use futures::{AsyncRead, AsyncWrite, Sink, Stream};

use super::{
    Shared,
    client_address::{as_multiaddr, client_address},
    problem::Problem,
};

/// Bytes of one message, to read or to write. libp2p implementations send at most some 64 KiB (one Noise message) at a
/// time; the rest is room for others.
const LARGEST_MESSAGE: usize = 1024 * 1024;

/// Bytes of one message that we write: one Noise message with its length.
const LARGEST_WRITTEN: usize = 65_537;

/// Bytes read from the socket at a time. The default of 128 KiB would cost 128 MB at a thousand browsers.
const READ_BUFFER: usize = 16 * 1024;

/// Bytes that may wait before they are written out.
const WRITE_BUFFER: usize = 16 * 1024;

/// An upgraded connection.
pub(crate) type PeerSocket = ByteStream<WebSocket>;

/// Whether the client asks for a WebSocket.
pub(crate) fn is_upgrade(headers: &HeaderMap) -> bool {
    let values = headers.get_all(UPGRADE).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case("websocket"))
}

/// Answers a request for which [`is_upgrade`] holds, and hands the connection to the network.
pub(crate) async fn upgrade(shared: Arc<Shared>, mut request: Request) -> Response {
    if !shared.phase.is_ready() {
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "this relay takes no new peers").into_response();
    }
    let connected = request.extract_parts::<ConnectInfo<SocketAddr>>().await.map(|ConnectInfo(address)| address);
    let Ok(connected) = connected else {
        return Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the client's address is not known").into_response();
    };
    let client = client_address(connected, request.headers(), &shared.trusted_proxies);
    let (mut parts, _) = request.into_parts();
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => upgrade,
        Err(rejection) => return Problem::new(rejection.status(), rejection.body_text()).into_response(),
    };
    upgrade
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(WRITE_BUFFER + 2 * LARGEST_WRITTEN)
        .max_message_size(LARGEST_MESSAGE)
        .max_frame_size(LARGEST_MESSAGE)
        .on_failed_upgrade(|error| tracing::debug!(%error, "WebSocket upgrade failed"))
        .on_upgrade(move |socket| async move {
            shared.metrics.websocket();
            shared.peering.accept(ByteStream::new(socket), as_multiaddr(client));
        })
}

/// The bytes of the binary messages of a WebSocket, as one stream.
#[derive(Debug)]
pub(crate) struct ByteStream<S> {
    socket: S,
    /// What is left of the last message.
    unread: Bytes,
    ended: bool,
}

impl<S> ByteStream<S> {
    /// Reads and writes `socket` from here on.
    pub(crate) fn new(socket: S) -> Self {
        Self { socket, unread: Bytes::new(), ended: false }
    }
}

impl<S: Stream<Item = Result<Message, axum::Error>> + Unpin> AsyncRead for ByteStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        while self.unread.is_empty() && !self.ended {
            match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
                Some(Ok(Message::Binary(bytes))) => self.unread = bytes,
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_))) | None => self.ended = true,
                Some(Ok(Message::Text(_))) => {
                    self.ended = true;
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "a text message")));
                }
                Some(Err(error)) => {
                    self.ended = true;
                    return Poll::Ready(Err(io::Error::other(error)));
                }
            }
        }
        let taken = buffer.len().min(self.unread.len());
        buffer[..taken].copy_from_slice(&self.unread.split_to(taken));
        Poll::Ready(Ok(taken))
    }
}

impl<S: Sink<Message, Error = axum::Error> + Unpin> AsyncWrite for ByteStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(Pin::new(&mut self.socket).poll_ready(cx)).map_err(io::Error::other)?;
        let taken = &bytes[..bytes.len().min(LARGEST_WRITTEN)];
        let message = Message::Binary(Bytes::copy_from_slice(taken));
        Pin::new(&mut self.socket).start_send(message).map_err(io::Error::other)?;
        Poll::Ready(Ok(taken.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx).map_err(io::Error::other)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_close(cx).map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use futures::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A socket whose incoming messages are given, and which takes one outgoing message at a time.
    #[derive(Default)]
    struct Script {
        incoming: VecDeque<Result<Message, axum::Error>>,
        outgoing: Vec<Message>,
        full: bool,
    }

    impl Stream for Script {
        type Item = Result<Message, axum::Error>;

        fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            Poll::Ready(self.incoming.pop_front())
        }
    }

    impl Sink<Message> for Script {
        type Error = axum::Error;

        fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
            if self.full { Poll::Pending } else { Poll::Ready(Ok(())) }
        }

        fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Self::Error> {
            self.outgoing.push(message);
            self.full = true;
            Ok(())
        }

        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
            self.full = false;
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
            Poll::Ready(Ok(()))
        }
    }

    fn reading(messages: impl IntoIterator<Item = Message>) -> ByteStream<Script> {
        ByteStream::new(Script { incoming: messages.into_iter().map(Ok).collect(), ..Script::default() })
    }

    fn binary(bytes: &'static [u8]) -> Message {
        Message::Binary(Bytes::from_static(bytes))
    }

    #[tokio::test]
    async fn messages_are_read_as_one_stream_across_their_borders() {
        let mut stream = reading([
            binary(b"hel"),
            binary(b""),
            Message::Ping(Bytes::new()),
            binary(b"lo"),
            Message::Close(None),
            binary(b"!"),
        ]);
        let mut two = [0; 2];
        assert_eq!(stream.read(&mut two).await.unwrap(), 2);
        assert_eq!(&two, b"he");
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"llo");
        assert_eq!(stream.read(&mut two).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_text_message_ends_the_stream_with_an_error() {
        let mut stream = reading([Message::text("hello"), binary(b"x")]);
        let mut buffer = [0; 8];
        assert_eq!(stream.read(&mut buffer).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(stream.read(&mut buffer).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn writing_waits_while_a_message_is_under_way_and_cuts_large_ones() {
        let mut stream = ByteStream::new(Script::default());
        let large = vec![7; LARGEST_WRITTEN + 1];
        assert_eq!(stream.write(&large).await.unwrap(), LARGEST_WRITTEN);
        assert!(futures::poll!(stream.write(&large)).is_pending());
        stream.flush().await.unwrap();
        assert_eq!(stream.write(&large[..1]).await.unwrap(), 1);
        let lengths: Vec<_> = stream.socket.outgoing.into_iter().map(|message| message.into_data().len()).collect();
        assert_eq!(lengths, [LARGEST_WRITTEN, 1]);
    }

    #[test]
    fn the_upgrade_header_is_a_list_of_any_case() {
        let headers = |value: &str| HeaderMap::from_iter([(UPGRADE, value.parse().unwrap())]);
        assert!(is_upgrade(&headers("WebSocket")));
        assert!(is_upgrade(&headers("h2c, websocket")));
        assert!(!is_upgrade(&headers("h2c")));
        assert!(!is_upgrade(&HeaderMap::new()));
    }
}
