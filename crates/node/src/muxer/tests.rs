use futures::{AsyncReadExt, AsyncWriteExt, future::poll_fn};
use tokio::{
    io::DuplexStream,
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

use super::*;

/// One end of a connection, with a task that drives it.
struct End {
    orders: mpsc::UnboundedSender<Order>,
    inbound: mpsc::UnboundedReceiver<Stream>,
    task: JoinHandle<()>,
}

enum Order {
    Open(oneshot::Sender<Stream>),
    Close,
}

impl End {
    fn new(socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, mode: yamux::Mode) -> Self {
        let (orders, mut ordered) = mpsc::unbounded_channel();
        let (accepted, inbound) = mpsc::unbounded_channel();
        let mut muxer = Muxer::new(socket, mode);
        let mut openers = VecDeque::new();
        let mut closing = false;
        let task = tokio::spawn(poll_fn(move |cx| {
            while let Poll::Ready(Some(order)) = ordered.poll_recv(cx) {
                match order {
                    Order::Open(opener) => openers.push_back(opener),
                    Order::Close => closing = true,
                }
            }
            let mut muxer = Pin::new(&mut muxer);
            if closing {
                return muxer.poll_close(cx).map(drop);
            }
            if muxer.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            while !openers.is_empty() {
                match muxer.as_mut().poll_outbound(cx) {
                    Poll::Ready(Ok(stream)) => drop(openers.pop_front().unwrap().send(stream)),
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Pending => break,
                }
            }
            loop {
                match muxer.as_mut().poll_inbound(cx) {
                    Poll::Ready(Ok(stream)) => drop(accepted.send(stream)),
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                }
            }
        }));
        Self { orders, inbound, task }
    }

    fn order_open(&self) -> oneshot::Receiver<Stream> {
        let (opener, opened) = oneshot::channel();
        assert!(self.orders.send(Order::Open(opener)).is_ok());
        opened
    }

    async fn open(&self) -> Stream {
        self.order_open().await.unwrap()
    }

    async fn accept(&mut self) -> Stream {
        self.inbound.recv().await.unwrap()
    }

    fn close(&self) {
        assert!(self.orders.send(Order::Close).is_ok());
    }
}

fn pair() -> (End, End) {
    let (near, far) = sockets();
    (End::new(near, yamux::Mode::Client), End::new(far, yamux::Mode::Server))
}

fn sockets() -> (Compat<DuplexStream>, Compat<DuplexStream>) {
    let (near, far) = tokio::io::duplex(64 * 1024);
    (near.compat(), far.compat())
}

/// Opens a stream on which `request` has been sent and not closed.
async fn ask(client: &End, server: &mut End, request: &[u8]) -> (Stream, Stream) {
    let mut asking = client.open().await;
    asking.write_all(request).await.unwrap();
    asking.flush().await.unwrap();
    let mut asked = server.accept().await;
    let mut received = vec![0; request.len()];
    asked.read_exact(&mut received).await.unwrap();
    assert_eq!(received, request);
    (asking, asked)
}

/// Everything that is left, and how it ends.
async fn read_rest(stream: &mut Stream) -> (Vec<u8>, Option<io::ErrorKind>) {
    let mut rest = Vec::new();
    let end = stream.read_to_end(&mut rest).await.err().map(|error| error.kind());
    (rest, end)
}

/// Writes until it fails.
async fn write_until_error(stream: &mut Stream) -> io::ErrorKind {
    loop {
        if let Err(error) = stream.write_all(&[7; 64 * 1024]).await {
            return error.kind();
        }
    }
}

#[tokio::test]
async fn a_closed_stream_ends() {
    let (client, mut server) = pair();
    let (mut asking, mut asked) = ask(&client, &mut server, b"?").await;
    asked.write_all(b"answer").await.unwrap();
    asked.close().await.unwrap();
    drop(asked);
    assert_eq!(read_rest(&mut asking).await, (b"answer".to_vec(), None));
}

#[tokio::test]
async fn half_a_stream_goes_on_after_the_other_half_has_ended() {
    let (client, mut server) = pair();
    let (mut asking, mut asked) = ask(&client, &mut server, b"?").await;
    asking.close().await.unwrap();
    assert_eq!(read_rest(&mut asked).await, (vec![], None));
    asked.write_all(b"answer").await.unwrap();
    asked.close().await.unwrap();
    assert_eq!(read_rest(&mut asking).await, (b"answer".to_vec(), None));
}

#[tokio::test]
async fn a_dropped_stream_is_reset() {
    let (client, mut server) = pair();
    let (mut asking, mut asked) = ask(&client, &mut server, b"?").await;
    asked.write_all(b"ans").await.unwrap();
    drop(asked);
    assert_eq!(read_rest(&mut asking).await, (b"ans".to_vec(), Some(io::ErrorKind::ConnectionReset)));
    assert_eq!(asking.write(b"more").await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(asking.close().await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_stream_given_up_is_reset_behind_what_was_written() {
    // More than yamux puts on the wire at once.
    const ANSWER: usize = 100_000;
    for closed in [false, true] {
        let (client, mut server) = pair();
        let (mut asking, mut asked) = ask(&client, &mut server, b"?").await;
        if closed {
            asking.close().await.unwrap();
            assert_eq!(read_rest(&mut asked).await, (vec![], None));
        }
        asked.write_all(&[3; ANSWER]).await.unwrap();
        asked.flush().await.unwrap();
        give_up(asked);
        assert_eq!(read_rest(&mut asking).await, (vec![3; ANSWER], Some(io::ErrorKind::ConnectionReset)));
    }
}

#[tokio::test]
async fn a_stream_dropped_after_the_peer_has_ended_ends() {
    let (client, mut server) = pair();
    let (mut asking, mut asked) = ask(&client, &mut server, b"?").await;
    asking.close().await.unwrap();
    assert_eq!(read_rest(&mut asked).await, (vec![], None));
    // As libp2p's ping answers.
    asked.write_all(&[3; 100_000]).await.unwrap();
    asked.flush().await.unwrap();
    drop(asked);
    assert_eq!(read_rest(&mut asking).await, (vec![3; 100_000], None));
}

#[tokio::test]
async fn a_peer_that_goes_on_after_the_stream_was_dropped_is_stopped() {
    let (client, mut server) = pair();
    let (mut asking, mut asked) = ask(&client, &mut server, b"?").await;
    asking.close().await.unwrap();
    drop(asking);
    assert_eq!(read_rest(&mut asked).await, (vec![], None));
    assert_eq!(write_until_error(&mut asked).await, io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_message_without_an_answer_arrives_whole() {
    let (client, mut server) = pair();
    let message = vec![5; 200_000];
    for _ in 0..20 {
        let mut telling = client.open().await;
        telling.write_all(&message).await.unwrap();
        telling.close().await.unwrap();
        drop(telling);
        let mut told = server.accept().await;
        // An answer that nobody wants may not cost the message.
        told.write_all(b"unwanted").await.unwrap();
        assert_eq!(read_rest(&mut told).await, (message.clone(), None));
    }
}

#[tokio::test]
async fn a_lost_connection_is_no_end() {
    let (client, mut server) = pair();
    let (mut asking, mut asked) = ask(&client, &mut server, b"?").await;
    asked.write_all(b"ans").await.unwrap();
    asked.flush().await.unwrap();
    let mut begin = [0; 2];
    asking.read_exact(&mut begin).await.unwrap();
    server.task.abort();
    assert_eq!(read_rest(&mut asking).await, (b"s".to_vec(), Some(io::ErrorKind::ConnectionAborted)));
    assert_eq!(asking.write(b"more").await.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
    assert_eq!(asking.close().await.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
}

#[tokio::test]
async fn what_had_ended_stays_ended_when_the_connection_is_lost() {
    let (client, mut server) = pair();
    let (mut asking, mut asked) = ask(&client, &mut server, b"?").await;
    asked.write_all(b"answer").await.unwrap();
    asked.close().await.unwrap();
    let mut begin = [0; 6];
    asking.read_exact(&mut begin).await.unwrap();
    // The end is on the wire before whatever comes after it.
    let _later = ask(&server, &mut { client }, b"!").await;
    server.task.abort();
    assert_eq!(read_rest(&mut asking).await, (vec![], None));
}

#[tokio::test]
async fn closing_the_connection_wakes_who_reads_and_who_writes() {
    let (client, mut server) = pair();
    let (mut reading, _far) = ask(&client, &mut server, b"r").await;
    let (mut writing, _full) = ask(&client, &mut server, b"w").await;
    let read = tokio::spawn(async move { read_rest(&mut reading).await });
    let (tell, window_full) = oneshot::channel();
    let write = tokio::spawn(async move {
        // One byte of the window has been used for the request.
        writing.write_all(&vec![0; yamux::DEFAULT_CREDIT as usize - 1]).await.unwrap();
        tell.send(()).unwrap();
        write_until_error(&mut writing).await
    });
    window_full.await.unwrap();
    tokio::task::yield_now().await;
    assert!(!read.is_finished() && !write.is_finished());
    client.close();
    assert_eq!(read.await.unwrap(), (vec![], Some(io::ErrorKind::ConnectionAborted)));
    assert_eq!(write.await.unwrap(), io::ErrorKind::ConnectionAborted);
}

#[tokio::test]
async fn too_many_streams_wait_for_room() {
    let (client, mut server) = pair();
    let mut streams = Vec::new();
    for _ in 0..ledger::MAX_STREAMS {
        streams.push(ask(&client, &mut server, b"?").await);
    }
    let mut waiting = client.order_open();
    // The order has been dealt with once one that came after it has been.
    let (mut asking, mut asked) = streams.pop().unwrap();
    asking.write_all(b"still alive").await.unwrap();
    let mut received = [0; 11];
    asked.read_exact(&mut received).await.unwrap();
    assert!(waiting.try_recv().is_err());
    drop(asking);
    waiting.await.unwrap();
}

/// A peer with yamux as it is.
fn plain_peer(socket: Compat<DuplexStream>, mode: yamux::Mode) -> yamux::Connection<Compat<DuplexStream>> {
    yamux::Connection::new(socket, yamux::Config::default(), mode)
}

#[tokio::test]
async fn a_peer_that_opens_too_many_streams_loses_only_those() {
    let (near, far) = sockets();
    let mut server = End::new(far, yamux::Mode::Server);
    let mut client = plain_peer(near, yamux::Mode::Client);
    let count = ledger::MAX_STREAMS + 10;
    let mut sent = Vec::new();
    for _ in 0..ledger::MAX_STREAMS {
        sent.push(poll_fn(|cx| client.poll_new_outbound(cx)).await.unwrap());
    }
    let (opener, mut opened) = mpsc::unbounded_channel();
    let driver = tokio::spawn(async move {
        // The last ones are opened once the first are acknowledged: yamux has a limit on that too.
        let mut left = count - ledger::MAX_STREAMS;
        poll_fn(move |cx| {
            while left > 0 {
                match client.poll_new_outbound(cx) {
                    Poll::Ready(stream) => drop(opener.send(stream.unwrap())),
                    Poll::Pending => break,
                }
                left -= 1;
            }
            client.poll_next_inbound(cx)
        })
        .await
    });
    let mut accepted = Vec::new();
    for stream in &mut sent {
        stream.write_all(b"?").await.unwrap();
        let mut asked = server.accept().await;
        asked.write_all(b"!").await.unwrap();
        accepted.push(asked);
    }
    for _ in ledger::MAX_STREAMS..count {
        let mut stream = opened.recv().await.unwrap();
        let _ = stream.write_all(b"?").await;
        // Plain yamux reads a reset as an end.
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    }
    let (mut first, mut asked) = (sent.remove(0), accepted.remove(0));
    first.write_all(b"x").await.unwrap();
    let mut received = [0; 2];
    asked.read_exact(&mut received).await.unwrap();
    assert_eq!(&received, b"?x");
    assert!(!driver.is_finished());
}

/// A socket that moves at most three bytes at a time, so that every frame arrives in pieces.
struct Trickle<C>(C);

impl<C: AsyncRead + Unpin> AsyncRead for Trickle<C> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let length = buf.len().min(3);
        Pin::new(&mut self.0).poll_read(cx, &mut buf[..length])
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Trickle<C> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, &buf[..buf.len().min(3)])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }
}

#[tokio::test]
async fn frames_may_arrive_in_pieces() {
    let (near, far) = sockets();
    let client = End::new(Trickle(near), yamux::Mode::Client);
    let mut server = End::new(Trickle(far), yamux::Mode::Server);
    for round in 0..50_u8 {
        let (mut asking, mut asked) = ask(&client, &mut server, &[round; 100]).await;
        let (mut other, mut other_asked) = ask(&client, &mut server, b"other").await;
        asking.close().await.unwrap();
        other.write_all(&[round; 1000]).await.unwrap();
        assert_eq!(read_rest(&mut asked).await, (vec![], None));
        asked.write_all(&[round; 300]).await.unwrap();
        // The reset goes between the frames of the other streams.
        give_up(asked);
        other_asked.write_all(&[round; 1000]).await.unwrap();
        other_asked.close().await.unwrap();
        other.close().await.unwrap();
        assert_eq!(read_rest(&mut asking).await.1, Some(io::ErrorKind::ConnectionReset));
        assert_eq!(read_rest(&mut other).await, (vec![round; 1000], None));
        assert_eq!(read_rest(&mut other_asked).await, (vec![round; 1000], None));
    }
}

/// A frame of the wire.
fn frame(flags: u8, length: u32, body: &[u8]) -> Vec<u8> {
    [&[0, 0, 0, flags, 0, 0, 0, 1][..], &length.to_be_bytes(), body].concat()
}

#[tokio::test]
async fn frames_longer_than_yamux_takes_come_in_parts() {
    const MIB: u32 = 1024 * 1024;
    let body: Vec<u8> = (0..2 * MIB + 5).map(|place| (place / 251) as u8).collect();
    let wire = [frame(1 | 4, 2 * MIB + 5, &body), frame(8, 0, b"")].concat();
    let ledger = Arc::new(Ledger::default());
    let mut frames = Frames::new(futures::io::Cursor::new(wire), ledger.clone());
    let (middle, rest) = (MIB as usize, 2 * MIB as usize);
    for expected in [
        frame(1, MIB, &body[..middle]),
        frame(0, MIB, &body[middle..rest]),
        frame(4, 5, &body[rest..]),
        frame(8, 0, b""),
    ] {
        let mut header = [0; 12];
        frames.read_exact(&mut header).await.unwrap();
        assert_eq!(header, expected[..12]);
        let mut part = vec![0; expected.len() - 12];
        frames.read_exact(&mut part).await.unwrap();
        assert!(part == expected[12..]);
    }
    assert_eq!(frames.read(&mut [0]).await.unwrap(), 0);
    assert!(ledger.end_of(1).is_ok());
}

#[tokio::test]
async fn an_end_whose_frame_is_cut_off_is_no_end() {
    let (mut near, far) = tokio::io::duplex(1024);
    let mut server = End::new(far.compat(), yamux::Mode::Server);
    // It begins (1) and ends (4) within one frame, of which two bytes of three come.
    tokio::io::AsyncWriteExt::write_all(&mut near, &frame(1, 1, b"a")).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut near, &frame(4, 3, b"bc")).await.unwrap();
    let mut stream = server.accept().await;
    drop(near);
    assert_eq!(read_rest(&mut stream).await, (b"a".to_vec(), Some(io::ErrorKind::ConnectionAborted)));
}

#[tokio::test]
async fn it_is_yamux_to_others() {
    const LENGTH: usize = 3_000_000;
    let (near, far) = sockets();
    let client = End::new(near, yamux::Mode::Client);
    let mut server = plain_peer(far, yamux::Mode::Server);
    let (accepted, mut inbound) = mpsc::unbounded_channel();
    tokio::spawn(poll_fn(move |cx| {
        while let Some(Ok(stream)) = futures::ready!(server.poll_next_inbound(cx)) {
            let _ = accepted.send(stream);
        }
        Poll::Ready(())
    }));
    let sent: Vec<u8> = (0..LENGTH).map(|place| (place / 251) as u8).collect();
    let (mut reading, mut writing) = client.open().await.split();
    let write = async {
        writing.write_all(&sent).await.unwrap();
        writing.close().await.unwrap();
    };
    let echo = async {
        let mut stream = inbound.recv().await.unwrap();
        let mut buffer = vec![0; 10_000];
        loop {
            let length = stream.read(&mut buffer).await.unwrap();
            if length == 0 {
                break;
            }
            stream.write_all(&buffer[..length]).await.unwrap();
        }
        stream.close().await.unwrap();
    };
    let mut received = Vec::new();
    let (_, _, end) = futures::join!(write, echo, reading.read_to_end(&mut received));
    end.unwrap();
    assert!(received == sent);
}
