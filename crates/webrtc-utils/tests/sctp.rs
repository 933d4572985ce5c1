//! Streams over real data channels of webrtc-rs, without ICE and DTLS below them. SCTP opens a stream number again only
//! when the channel that had it is closed, which is how these tests know.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p_webrtc_utils::{DropListener, MAX_MSG_LEN, Stream};
use tokio::{net::UdpSocket, task::JoinHandle, time::timeout};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};
use webrtc_data::data_channel::{Config, DataChannel, PollDataChannel};
use webrtc_sctp::{association::Association, chunk::chunk_payload_data::PayloadProtocolIdentifier};
use webrtc_util::Conn;

type Channel = Compat<PollDataChannel>;
type Listener = JoinHandle<io::Result<()>>;

const SOON: Duration = Duration::from_secs(20);

async fn soon<F: Future>(future: F) -> F::Output {
    timeout(SOON, future).await.expect("in time")
}

/// Two ends of an SCTP association over loopback.
struct Line {
    client: Arc<Association>,
    server: Arc<Association>,
}

impl Line {
    async fn connect() -> Self {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let [one, other] = [UdpSocket::bind(any).await.unwrap(), UdpSocket::bind(any).await.unwrap()];
        one.connect(other.local_addr().unwrap()).await.unwrap();
        other.connect(one.local_addr().unwrap()).await.unwrap();
        let config = |socket: UdpSocket| webrtc_sctp::association::Config {
            net_conn: Arc::new(socket) as Arc<dyn Conn + Send + Sync>,
            max_receive_buffer_size: 0,
            max_message_size: MAX_MSG_LEN as u32,
            name: String::new(),
            mtu: 0,
            local_port: 5000,
            remote_port: 5000,
        };
        let (client, server) =
            soon(futures::future::join(Association::client(config(one)), Association::server(config(other)))).await;
        Self { client: Arc::new(client.unwrap()), server: Arc::new(server.unwrap()) }
    }

    /// A new channel with this number.
    async fn channel(&self, number: u16) -> [Arc<DataChannel>; 2] {
        let stream = self.client.open_stream(number, PayloadProtocolIdentifier::Binary).await.expect("a free number");
        let client = DataChannel::client(stream, Config::default()).await.unwrap();
        let accepting = DataChannel::accept(&self.server, Config::default(), &[] as &[DataChannel]);
        [Arc::new(client), Arc::new(soon(accepting).await.unwrap())]
    }

    /// Resolves once the channel with this number is closed at both ends.
    async fn expect_free(&self, number: u16) {
        for end in [&self.client, &self.server] {
            // The last packets are under way, and nothing tells when they have arrived.
            soon(async {
                while end.open_stream(number, PayloadProtocolIdentifier::Binary).await.is_err() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            })
            .await;
        }
    }
}

fn streams(channels: &[Arc<DataChannel>; 2]) -> [(Stream<Channel>, Listener); 2] {
    channels.each_ref().map(|channel| {
        let mut channel = PollDataChannel::new(channel.clone());
        channel.set_read_buf_capacity(MAX_MSG_LEN);
        let (stream, listener): (_, DropListener<_>) = Stream::new(channel.compat());
        (stream, tokio::spawn(listener))
    })
}

async fn finished(listeners: [Listener; 2]) {
    for listener in listeners {
        soon(listener).await.unwrap().expect("the channel closes");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_channels_are_closed_at_both_ends() {
    let line = Line::connect().await;
    let mut listeners = Vec::new();
    for number in 0..500_u16 {
        let [(mut client, client_listener), (mut server, server_listener)] = streams(&line.channel(number).await);
        let serving = tokio::spawn(async move {
            let mut request = Vec::new();
            server.read_to_end(&mut request).await.unwrap();
            request.reverse();
            server.write_all(&request).await.unwrap();
            server.close().await.unwrap();
        });
        client.write_all(&number.to_be_bytes()).await.unwrap();
        client.close().await.unwrap();
        let mut answer = Vec::new();
        soon(client.read_to_end(&mut answer)).await.unwrap();
        assert_eq!(answer, number.to_le_bytes());
        serving.await.unwrap();
        listeners.push([client_listener, server_listener]);
    }
    for (number, listeners) in (0..).zip(listeners) {
        finished(listeners).await;
        line.expect_free(number).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_megabyte_both_ways_at_once() {
    let line = Line::connect().await;
    let [(client, client_listener), (server, server_listener)] = streams(&line.channel(0).await);
    let megabyte: Vec<u8> = (0..1_000_000_u32).map(|number| (number * 7 % 251) as u8).collect();
    let exchange = |stream: Stream<Channel>| {
        let sent = megabyte.clone();
        async move {
            let (mut reader, mut writer) = stream.split();
            let mut received = Vec::new();
            let writing = async {
                writer.write_all(&sent).await?;
                writer.close().await
            };
            let (read, written) = futures::future::join(reader.read_to_end(&mut received), writing).await;
            read.and(written.map(|()| received))
        }
    };
    let (at_client, at_server) = soon(futures::future::join(exchange(client), exchange(server))).await;
    assert!(at_client.unwrap() == megabyte && at_server.unwrap() == megabyte, "what came is not what was sent");
    finished([client_listener, server_listener]).await;
    line.expect_free(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_stream_is_a_reset_and_its_channel_closed() {
    let line = Line::connect().await;
    let mut listeners = Vec::new();
    for number in 0..20 {
        let [(mut client, client_listener), (mut server, server_listener)] = streams(&line.channel(number).await);
        client.write_all(b"half an ans").await.unwrap();
        client.flush().await.unwrap();
        drop(client);
        let error = soon(server.read_to_end(&mut Vec::new())).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        listeners.push((number, [client_listener, server_listener]));
    }
    for (number, listeners) in listeners {
        finished(listeners).await;
        line.expect_free(number).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_longest_message_of_others_is_read_and_a_longer_one_is_an_error() {
    let line = Line::connect().await;
    // A frame of 16 384 bytes: two of length, one and two before the data.
    let mut frame = vec![0xfe, 0x7f, 0x12, 0xfb, 0x7f];
    frame.resize(MAX_MSG_LEN, 7);

    let [stranger, ours] = line.channel(0).await;
    let mut ours = PollDataChannel::new(ours);
    ours.set_read_buf_capacity(MAX_MSG_LEN);
    let (mut stream, listener) = Stream::new(ours.compat());
    let listener = tokio::spawn(listener);
    stranger.write(&frame.clone().into()).await.unwrap();
    let mut data = vec![0; MAX_MSG_LEN - 5];
    soon(stream.read_exact(&mut data)).await.unwrap();
    assert!(data.iter().all(|&byte| byte == 7));

    stranger.write(&vec![0x80, 0x80, 0x02].into()).await.unwrap();
    let error = soon(stream.read(&mut data)).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    soon(listener).await.unwrap().expect("the channel closes");
}
