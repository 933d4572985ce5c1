mod fake;

use std::{io::ErrorKind, time::Duration};

use bytes::Bytes;
use futures::{AsyncReadExt, AsyncWriteExt, FutureExt, future::poll_fn};
use tokio::{task::JoinHandle, time::timeout};

use self::fake::FakeChannel;
use super::*;
use crate::{
    framing::{Decoder, Flag, MAX_DATA_LEN, MAX_MSG_LEN, Message, encode_data, encode_flag, encode_limit},
    window::AHEAD,
};

const SOON: Duration = Duration::from_secs(5);

/// Long enough that a test which waits for it fails.
const NEVER: Duration = Duration::from_secs(60);

/// Waits for the remote's flags.
const PATIENT: state::Config =
    state::Config { fin_linger: NEVER, close_linger: Duration::from_millis(50), windows: false };

/// Waits for the remote to close the channel too.
const POLITE: state::Config = state::Config { fin_linger: NEVER, close_linger: NEVER, windows: false };

type Listener = JoinHandle<io::Result<()>>;

fn end(channel: FakeChannel, config: state::Config) -> (Stream<FakeChannel>, Listener) {
    let (stream, listener) = Stream::with_config(channel, config);
    (stream, tokio::spawn(listener))
}

/// One of our streams, and somebody who writes frames by hand at the other end.
fn with_stranger(config: state::Config) -> (Stream<FakeChannel>, Listener, Stranger) {
    let (ours, theirs) = fake::pair();
    let (stream, listener) = end(ours, config);
    (stream, listener, Stranger { channel: theirs, decoder: Decoder::default() })
}

struct Stranger {
    channel: FakeChannel,
    decoder: Decoder,
}

impl Stranger {
    async fn say(&mut self, frame: impl AsRef<[u8]>) {
        soon(self.channel.write_all(frame.as_ref())).await.expect("the channel is open");
    }

    async fn flag(&mut self, flag: Flag) {
        self.say(encode_flag(flag)).await;
    }

    async fn data(&mut self, data: &'static str) {
        self.say(encode_data(Bytes::from_static(data.as_bytes()))).await;
    }

    /// The next message, or none once the channel is closed.
    async fn hear(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = self.decoder.poll_message().expect("we send what is right") {
                return Some(message);
            }
            let mut buffer = [0; MAX_MSG_LEN];
            match soon(self.channel.read(&mut buffer)).await.expect("reading does not fail") {
                0 => return None,
                length => self.decoder.feed(&buffer[..length]),
            }
        }
    }

    async fn expect(&mut self, flag: Flag) {
        assert_eq!(self.hear().await, Some(Message { flag: Some(flag), ..Message::default() }));
    }

    async fn expect_data(&mut self, data: &'static str) {
        assert_eq!(
            self.hear().await,
            Some(Message { data: Bytes::from_static(data.as_bytes()), ..Message::default() })
        );
    }

    async fn expect_closed(&mut self) {
        assert_eq!(self.hear().await, None);
    }
}

async fn soon<F: Future>(future: F) -> F::Output {
    timeout(SOON, future).await.expect("in time")
}

async fn finished(listener: Listener) {
    soon(listener).await.expect("no panic").expect("the channel closes");
}

async fn read_to_end(stream: &mut Stream<FakeChannel>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    soon(stream.read_to_end(&mut bytes)).await.map(|_| bytes)
}

#[tokio::test]
async fn a_remote_is_told_how_far_it_may_go_once_the_owner_lags() {
    let (mut stream, _listener, mut stranger) = with_stranger(state::Config { windows: true, ..PATIENT });
    let limit = |limit: usize| Some(Message { limit: Some(limit as u64), ..Message::default() });
    let frame = encode_data(vec![7; MAX_DATA_LEN].into());
    for _ in 0..3 {
        stranger.say(&frame).await;
    }
    assert_eq!(stranger.hear().await, limit(AHEAD));
    let reading = tokio::spawn(async move {
        stream.read_exact(&mut vec![0; AHEAD / 2]).await.unwrap();
        stream
    });
    for _ in 3..=AHEAD / 2 / MAX_DATA_LEN {
        stranger.say(&frame).await;
    }
    let _stream = soon(reading).await.unwrap();
    assert_eq!(stranger.hear().await, limit(AHEAD + AHEAD / 2));
}

#[tokio::test]
async fn a_writer_waits_where_the_remote_says_and_finishes_after_all_its_data() {
    let (mut stream, _listener, mut stranger) = with_stranger(PATIENT);
    stranger.say(encode_limit(10)).await;
    stream.write_all(b"hello").await.unwrap();
    soon(stream.flush()).await.unwrap();
    stranger.expect_data("hello").await;
    stream.write_all(b" world").await.unwrap();
    assert!(stream.close().now_or_never().is_none(), "closed with data that nobody may be sent");
    stranger.expect_data(" worl").await;
    stranger.say(encode_limit(11)).await;
    soon(stream.close()).await.unwrap();
    stranger.expect_data("d").await;
    stranger.expect(Flag::Fin).await;
}

#[tokio::test]
async fn the_word_that_a_writer_may_go_on_is_heard_behind_data_that_nobody_reads() {
    let (mut stream, _listener, mut stranger) = with_stranger(PATIENT);
    stranger.say(encode_limit(0)).await;
    let writing = tokio::spawn(async move {
        stream.write_all(b"at last").await.unwrap();
        stream.flush().await.unwrap();
        stream
    });
    let frame = encode_data(vec![7; MAX_DATA_LEN].into());
    for _ in 0..AHEAD / MAX_DATA_LEN {
        stranger.say(&frame).await;
    }
    stranger.say(encode_limit(100)).await;
    stranger.expect_data("at last").await;
    let _stream = soon(writing).await.unwrap();
}

#[tokio::test]
async fn a_megabyte_both_ways_and_each_half_ends_by_itself() {
    let (one, other) = fake::forgetful_pair();
    let ((mut client, client_listener), (mut server, server_listener)) = (end(one, PATIENT), end(other, PATIENT));
    let megabyte: Vec<u8> = (0..1_000_000_u32).map(|number| (number * 7 % 251) as u8).collect();
    let sent = megabyte.clone();
    let answering = tokio::spawn(async move {
        let received = read_to_end(&mut server).await.unwrap();
        server.write_all(&received).await.unwrap();
        server.close().await.unwrap();
        // The stream is dropped before the client has read anything.
    });
    soon(client.write_all(&sent)).await.unwrap();
    soon(client.close()).await.unwrap();
    assert_eq!(client.write(b"more").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    let received = read_to_end(&mut client).await.unwrap();
    assert!(received == megabyte, "what came back is not what was sent");
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "the end stays the end");
    soon(answering).await.unwrap();
    // The client still holds its stream.
    finished(client_listener).await;
    finished(server_listener).await;
}

#[tokio::test]
async fn a_fin_is_answered_though_nobody_reads() {
    let (mut stream, _listener, mut stranger) = with_stranger(PATIENT);
    stranger.data("request").await;
    stranger.flag(Flag::Fin).await;
    stranger.expect(Flag::FinAck).await;
    assert_eq!(read_to_end(&mut stream).await.unwrap(), b"request");
}

#[tokio::test]
async fn a_fin_is_answered_without_a_listener() {
    let (ours, theirs) = fake::pair();
    let (mut stream, _) = Stream::new(ours);
    let mut stranger = Stranger { channel: theirs, decoder: Decoder::default() };
    stranger.flag(Flag::Fin).await;
    assert_eq!(read_to_end(&mut stream).await.unwrap(), b"");
    stranger.expect(Flag::FinAck).await;
}

#[tokio::test]
async fn a_fin_that_comes_after_close_and_drop_is_answered() {
    let (mut stream, listener, mut stranger) = with_stranger(PATIENT);
    stream.write_all(b"answer").await.unwrap();
    soon(stream.close()).await.expect("without waiting for the remote");
    drop(stream);
    stranger.expect_data("answer").await;
    stranger.expect(Flag::Fin).await;
    stranger.flag(Flag::FinAck).await;
    stranger.data("nobody reads this").await;
    stranger.flag(Flag::Fin).await;
    stranger.expect(Flag::FinAck).await;
    finished(listener).await;
    stranger.expect_closed().await;
}

#[tokio::test]
async fn a_fin_is_answered_as_soon_as_the_channel_takes_it() {
    let (mut stream, _listener, mut stranger) = with_stranger(PATIENT);
    let mut written = 0;
    // Until nothing fits.
    while let Some(result) = stream.write(&[1; MAX_DATA_LEN]).now_or_never() {
        written += result.unwrap();
    }
    stranger.flag(Flag::Fin).await;
    assert_eq!(read_to_end(&mut stream).await.unwrap(), b"");
    let mut heard = 0;
    loop {
        let message = stranger.hear().await.expect("the channel is open");
        heard += message.data.len();
        if let Some(flag) = message.flag {
            break assert_eq!(flag, Flag::FinAck);
        }
    }
    assert!(heard <= written);
}

#[tokio::test]
async fn what_was_written_before_a_close_that_nobody_awaited_is_sent() {
    let (mut stream, _listener, mut stranger) = with_stranger(PATIENT);
    for _ in 0..fake::CAPACITY {
        stream.write_all(&[0; MAX_DATA_LEN]).await.unwrap();
    }
    stream.write_all(b"last").await.unwrap();
    assert!(stream.close().now_or_never().is_none(), "the channel is full");
    drop(stream);
    for _ in 0..fake::CAPACITY {
        assert_eq!(stranger.hear().await.unwrap().data.len(), MAX_DATA_LEN);
    }
    stranger.expect_data("last").await;
    stranger.expect(Flag::Fin).await;
}

#[tokio::test]
async fn a_remote_that_never_acknowledges_is_not_waited_for_long() {
    let (mut stream, listener, mut stranger) =
        with_stranger(state::Config { fin_linger: Duration::from_millis(50), ..POLITE });
    soon(stream.close()).await.unwrap();
    drop(stream);
    stranger.expect(Flag::Fin).await;
    finished(listener).await;
    stranger.expect_closed().await;
}

#[tokio::test]
async fn a_dropped_stream_is_reset_and_its_channel_closed() {
    let (mut stream, listener, mut stranger) = with_stranger(PATIENT);
    stream.write_all(b"half an ans").await.unwrap();
    drop(stream);
    stranger.expect(Flag::ResetStream).await;
    finished(listener).await;
    stranger.expect_closed().await;
}

#[tokio::test]
async fn a_reset_ends_both_halves_and_takes_back_what_was_not_read() {
    let (mut stream, listener, mut stranger) = with_stranger(PATIENT);
    stranger.data("half an ans").await;
    let mut first = [0];
    soon(stream.read_exact(&mut first)).await.unwrap();
    stranger.flag(Flag::ResetStream).await;
    finished(listener).await;
    assert_eq!(stream.read(&mut first).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(stream.write(b"more").await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(stream.close().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    stranger.expect_closed().await;
}

#[tokio::test]
async fn a_reset_is_heard_before_the_channel_closes() {
    let (one, other) = fake::forgetful_pair();
    let ((client, client_listener), (mut server, server_listener)) = (end(one, PATIENT), end(other, PATIENT));
    drop(client);
    assert_eq!(read_to_end(&mut server).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    finished(client_listener).await;
    finished(server_listener).await;
}

#[tokio::test]
async fn a_remote_that_closes_the_channel_is_not_waited_for() {
    let (mut stream, listener, mut stranger) = with_stranger(POLITE);
    soon(stream.close()).await.unwrap();
    stranger.flag(Flag::Fin).await;
    stranger.expect(Flag::Fin).await;
    stranger.expect(Flag::FinAck).await;
    stranger.flag(Flag::FinAck).await;
    stranger.channel.close_both().await.unwrap();
    finished(listener).await;
    assert_eq!(read_to_end(&mut stream).await.unwrap(), b"");

    let (mut stream, listener, mut stranger) = with_stranger(POLITE);
    stranger.flag(Flag::ResetStream).await;
    assert_eq!(read_to_end(&mut stream).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    stranger.channel.close_both().await.unwrap();
    finished(listener).await;
}

#[tokio::test]
async fn a_writer_that_waits_hears_stop_sending() {
    let (mut stream, _listener, mut stranger) = with_stranger(PATIENT);
    let writing = tokio::spawn(async move {
        let error = stream.write_all(&[0; 1_000_000]).await.unwrap_err();
        (stream, error.kind())
    });
    assert_eq!(stranger.hear().await.unwrap().data.len(), MAX_DATA_LEN);
    stranger.flag(Flag::StopSending).await;
    let (mut stream, kind) = soon(writing).await.unwrap();
    assert_eq!(kind, ErrorKind::BrokenPipe);
    assert_eq!(stream.flush().await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    let closing = tokio::spawn(async move { stream.close().await });
    while stranger.hear().await.unwrap().flag != Some(Flag::Fin) {}
    soon(closing).await.unwrap().expect("finishing works");
}

#[tokio::test]
async fn one_who_stops_reading_says_so() {
    let (mut stream, _listener, mut stranger) = with_stranger(PATIENT);
    stranger.data("unwanted").await;
    soon(poll_fn(|cx| Pin::new(&mut stream).poll_close_read(cx))).await.unwrap();
    stranger.expect(Flag::StopSending).await;
    assert_eq!(stream.read(&mut [0]).await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    stranger.data("still coming").await;
    stranger.flag(Flag::Fin).await;
    stranger.expect(Flag::FinAck).await;
    stream.write_all(b"bye").await.unwrap();
    soon(stream.close()).await.unwrap();
    stranger.expect_data("bye").await;
}

#[tokio::test]
async fn a_remote_that_does_not_read_is_felt() {
    let (one, other) = fake::pair();
    let ((mut client, _client_listener), (mut server, _server_listener)) = (end(one, PATIENT), end(other, PATIENT));
    let mut written = 0;
    loop {
        let length = match timeout(Duration::from_millis(100), client.write(&[5; 5_000])).await {
            Ok(result) => result.unwrap(),
            Err(_) => break,
        };
        written += length;
    }
    // Two messages at the writer, those under way, two at the reader.
    assert!(written <= (fake::CAPACITY + 2 + 3) * MAX_DATA_LEN, "{written} bytes were taken");
    let mut first = vec![0; written];
    let (read, more) = soon(futures::future::join(server.read_exact(&mut first), client.write(b"more"))).await;
    read.unwrap();
    assert_eq!(more.unwrap(), 4, "and goes on when it reads");
    assert!(first.iter().all(|&byte| byte == 5));
}

#[tokio::test]
async fn a_message_that_is_too_long_is_an_error_and_resets() {
    let (mut stream, listener, mut stranger) = with_stranger(PATIENT);
    stranger.data("good").await;
    // The length of 16 385 bytes.
    stranger.say([0x81, 0x80, 0x01]).await;
    finished(listener).await;
    let error = read_to_end(&mut stream).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert!(error.to_string().contains("16385"), "{error}");
    assert_eq!(stream.write(b"more").await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_channel_that_ends_too_early_is_no_end_of_the_data() {
    let (mut stream, listener, stranger) = with_stranger(PATIENT);
    stranger.channel.close_both().await.unwrap();
    finished(listener).await;
    assert_eq!(read_to_end(&mut stream).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(stream.write(b"more").await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(stream.close().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert!(stranger.channel.is_closed());
}

#[tokio::test]
async fn writes_wait_for_a_flush_and_go_together() {
    let (mut stream, _listener, mut stranger) = with_stranger(PATIENT);
    stream.write_all(b"to").await.unwrap();
    stream.write_all(b"gether").await.unwrap();
    soon(stream.flush()).await.unwrap();
    stranger.expect_data("together").await;
}

#[tokio::test]
async fn a_length_in_a_message_of_its_own_is_understood() {
    let (mut stream, _listener, mut stranger) = with_stranger(PATIENT);
    stranger.say([4]).await;
    stranger.say([0x12, 2, b'h', b'i']).await;
    stranger.say([2]).await;
    stranger.say([0x08, 0]).await;
    assert_eq!(read_to_end(&mut stream).await.unwrap(), b"hi");
}
