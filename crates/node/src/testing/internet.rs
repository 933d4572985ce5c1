//! A small Internet inside the process, for tests with hundreds of real nodes.
//!
//! [`Host`] is a machine with an address of its own, such as `/ip4/10.0.3.7/tcp/4001`, and a transport of byte streams to the
//! other hosts; noise, yamux and everything above them are the real ones. What it has that libp2p's `MemoryTransport` lacks
//! is what makes a network hard:
//!
//! - *delay* by pair of hosts: each chunk arrives one way later, and a connection costs a round trip;
//! - *loss*, as TCP shows it: a lost chunk comes a retransmission later and holds up those behind it;
//! - *silence*: a silent host refuses nothing and answers nothing. Dials to it and from it wait, what is on the way is held,
//!   and nobody is told. When it speaks again, everything held goes on.
//!
//! A direction of a stream holds [`WINDOW`] bytes at most; then writing waits. It does not model bandwidth.

use std::{
    collections::{BTreeMap, VecDeque},
    future::poll_fn,
    io,
    net::Ipv4Addr,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures::{
    AsyncRead, AsyncWrite, FutureExt, StreamExt,
    channel::mpsc,
    future::{BoxFuture, Ready, ready},
};
use libp2p::{
    Multiaddr,
    core::transport::{self, DialOpts, ListenerId, TransportError, TransportEvent},
    multiaddr::Protocol,
};
use tokio::{
    sync::Notify,
    time::{Instant, Sleep, sleep, sleep_until},
};

/// Bytes on the way in one direction of a stream: TCP's usual receive buffer.
const WINDOW: usize = 128 * 1024;

/// How much later a lost chunk arrives at least: the shortest retransmission timeout of Linux.
const RETRANSMISSION: Duration = Duration::from_millis(200);

/// The port that every host listens on.
const PORT: u16 = 4001;

/// The one-way delay between two hosts.
pub(crate) type Delay = fn(Ipv4Addr, Ipv4Addr) -> Duration;

/// All hosts. Clones are the same Internet.
#[derive(Clone, Debug)]
pub(crate) struct Internet(Arc<World>);

#[derive(Debug)]
struct World {
    delay: Delay,
    /// Of a thousand chunks, how many are lost.
    loss: u32,
    hosts: Mutex<BTreeMap<Ipv4Addr, Arc<Machine>>>,
}

/// A host as the Internet knows it.
#[derive(Debug, Default)]
struct Machine {
    silent: AtomicBool,
    /// Tells dials that a host speaks again.
    speaks: Notify,
    listener: Mutex<Option<mpsc::UnboundedSender<(Stream, Multiaddr)>>>,
    /// What leads to this host or away from it.
    pipes: Mutex<Vec<Weak<Mutex<Pipe>>>>,
}

/// One host's place in the Internet; see the module's documentation.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    internet: Internet,
    address: Ipv4Addr,
    machine: Arc<Machine>,
}

impl Internet {
    pub(crate) fn new(delay: Delay, loss_per_mille: u32) -> Self {
        Self(Arc::new(World { delay, loss: loss_per_mille, hosts: Mutex::default() }))
    }

    pub(crate) fn host(&self, address: Ipv4Addr) -> Host {
        let machine = Arc::<Machine>::default();
        lock(&self.0.hosts).insert(address, Arc::clone(&machine));
        Host { internet: self.clone(), address, machine }
    }

    /// From here on nothing reaches the host or leaves it, and nobody is told.
    pub(crate) fn silence(&self, address: Ipv4Addr) {
        self.machine(address).expect("a host").silent.store(true, Ordering::SeqCst);
    }

    /// Ends a silence.
    pub(crate) fn restore(&self, address: Ipv4Addr) {
        let machine = self.machine(address).expect("a host");
        machine.silent.store(false, Ordering::SeqCst);
        machine.speaks.notify_waiters();
        for pipe in lock(&machine.pipes).iter().filter_map(Weak::upgrade) {
            lock(&pipe).wake();
        }
    }

    fn machine(&self, address: Ipv4Addr) -> Option<Arc<Machine>> {
        lock(&self.0.hosts).get(&address).cloned()
    }
}

impl Host {
    /// Where others reach this host.
    pub(crate) fn multiaddr(&self) -> Multiaddr {
        Multiaddr::from(self.address).with(Protocol::Tcp(PORT))
    }

    pub(crate) fn transport(&self) -> Transport {
        Transport { host: self.clone(), listening: None, news: VecDeque::new(), waker: None }
    }

    /// Waits as long as either host is silent.
    async fn path_to(&self, remote: &Machine) {
        for machine in [&*self.machine, remote].into_iter().cycle() {
            let speaks = machine.speaks.notified();
            if machine.silent.load(Ordering::SeqCst) {
                speaks.await;
            } else if !self.machine.silent.load(Ordering::SeqCst) && !remote.silent.load(Ordering::SeqCst) {
                return;
            }
        }
    }

    async fn connect(self, address: Ipv4Addr) -> io::Result<Stream> {
        let delay = (self.internet.0.delay)(self.address, address);
        sleep(delay * 2).await;
        let Some(remote) = self.internet.machine(address) else {
            // Nobody has this address; packets to it vanish.
            return std::future::pending().await;
        };
        self.path_to(&remote).await;
        let pipe = || {
            let pipe = Pipe::new(delay, self.internet.0.loss, [Arc::clone(&self.machine), Arc::clone(&remote)]);
            let pipe = Arc::new(Mutex::new(pipe));
            for machine in [&self.machine, &remote] {
                let mut pipes = lock(&machine.pipes);
                if pipes.len() == pipes.capacity() {
                    pipes.retain(|pipe| pipe.strong_count() > 0);
                }
                pipes.push(Arc::downgrade(&pipe));
            }
            pipe
        };
        let (there, back) = (pipe(), pipe());
        let far = Stream::new(Arc::clone(&there), Arc::clone(&back));
        let listener = lock(&remote.listener).clone();
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        listener.ok_or_else(refused)?.unbounded_send((far, self.multiaddr())).map_err(|_| refused())?;
        Ok(Stream::new(back, there))
    }
}

/// The transport of a host.
pub(crate) struct Transport {
    host: Host,
    listening: Option<(ListenerId, mpsc::UnboundedReceiver<(Stream, Multiaddr)>)>,
    news: VecDeque<TransportEvent<Ready<io::Result<Stream>>, io::Error>>,
    waker: Option<Waker>,
}

impl transport::Transport for Transport {
    type Output = Stream;
    type Error = io::Error;
    type ListenerUpgrade = Ready<io::Result<Stream>>;
    type Dial = BoxFuture<'static, io::Result<Stream>>;

    fn listen_on(&mut self, listener_id: ListenerId, address: Multiaddr) -> Result<(), TransportError<io::Error>> {
        if address != self.host.multiaddr() {
            return Err(TransportError::MultiaddrNotSupported(address));
        }
        let (sender, arrivals) = mpsc::unbounded();
        *lock(&self.host.machine.listener) = Some(sender);
        self.listening = Some((listener_id, arrivals));
        self.news.push_back(TransportEvent::NewAddress { listener_id, listen_addr: address });
        wake(&mut self.waker);
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        let known = self.listening.take_if(|(known, _)| *known == id).is_some();
        if known {
            *lock(&self.host.machine.listener) = None;
            self.news.push_back(TransportEvent::ListenerClosed { listener_id: id, reason: Ok(()) });
        }
        known
    }

    fn dial(&mut self, address: Multiaddr, _: DialOpts) -> Result<Self::Dial, TransportError<io::Error>> {
        let mut parts = address.iter();
        match (parts.next(), parts.next()) {
            (Some(Protocol::Ip4(ip)), Some(Protocol::Tcp(PORT))) => Ok(self.host.clone().connect(ip).boxed()),
            _ => Err(TransportError::MultiaddrNotSupported(address)),
        }
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        if let Some(news) = self.news.pop_front() {
            return Poll::Ready(news);
        }
        self.waker = Some(cx.waker().clone());
        let local_addr = self.host.multiaddr();
        let Some((listener_id, arrivals)) = &mut self.listening else { return Poll::Pending };
        match arrivals.poll_next_unpin(cx) {
            Poll::Ready(Some((stream, send_back_addr))) => Poll::Ready(TransportEvent::Incoming {
                listener_id: *listener_id,
                upgrade: ready(Ok(stream)),
                local_addr,
                send_back_addr,
            }),
            _ => Poll::Pending,
        }
    }
}

/// One direction of a stream.
#[derive(Debug)]
struct Pipe {
    delay: Duration,
    loss: u32,
    machines: [Arc<Machine>; 2],
    /// What is on the way, with the moment of its arrival; an empty chunk is the end.
    chunks: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
    last: Instant,
    ended: bool,
    /// The reader is gone: there is no use in writing.
    abandoned: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Pipe {
    fn new(delay: Duration, loss: u32, machines: [Arc<Machine>; 2]) -> Self {
        let (chunks, last) = (VecDeque::new(), Instant::now());
        Self {
            delay,
            loss,
            machines,
            chunks,
            bytes: 0,
            last,
            ended: false,
            abandoned: false,
            reader: None,
            writer: None,
        }
    }

    fn push(&mut self, chunk: Vec<u8>) {
        let lost = self.loss > 0 && rand::random_range(0..1000) < self.loss;
        let late = if lost { RETRANSMISSION.max(self.delay * 4) } else { Duration::ZERO };
        self.last = (Instant::now() + self.delay + late).max(self.last);
        self.bytes += chunk.len();
        self.chunks.push_back((self.last, chunk));
        wake(&mut self.reader);
    }

    fn end(&mut self) {
        if !std::mem::replace(&mut self.ended, true) {
            self.push(Vec::new());
        }
    }

    fn is_silent(&self) -> bool {
        self.machines.iter().any(|machine| machine.silent.load(Ordering::SeqCst))
    }

    fn wake(&mut self) {
        wake(&mut self.reader);
        wake(&mut self.writer);
    }
}

/// One end of a connection between two hosts.
#[derive(Debug)]
pub(crate) struct Stream {
    read: Arc<Mutex<Pipe>>,
    write: Arc<Mutex<Pipe>>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Stream {
    fn new(read: Arc<Mutex<Pipe>>, write: Arc<Mutex<Pipe>>) -> Self {
        Self { read, write, timer: None }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        lock(&self.write).end();
        let mut read = lock(&self.read);
        read.abandoned = true;
        // A silent host's end is not heard; its peer goes on writing until the window is full.
        if !read.is_silent() {
            wake(&mut read.writer);
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        loop {
            let mut pipe = lock(&this.read);
            let arrival = match pipe.chunks.front() {
                Some((arrival, _)) if !pipe.is_silent() => *arrival,
                _ => {
                    pipe.reader = Some(cx.waker().clone());
                    return Poll::Pending;
                }
            };
            if arrival <= Instant::now() {
                let (_, chunk) = pipe.chunks.front_mut().expect("seen above");
                let bytes = chunk.len().min(buf.len());
                buf[..bytes].copy_from_slice(&chunk[..bytes]);
                chunk.drain(..bytes);
                // The end stays, so that reading on gives it again.
                if bytes > 0 && chunk.is_empty() {
                    pipe.chunks.pop_front();
                }
                pipe.bytes -= bytes;
                wake(&mut pipe.writer);
                return Poll::Ready(Ok(bytes));
            }
            drop(pipe);
            let timer = this.timer.get_or_insert_with(|| Box::pin(sleep_until(arrival)));
            if timer.deadline() != arrival {
                timer.as_mut().reset(arrival);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut pipe = lock(&self.write);
        if pipe.ended || (pipe.abandoned && !pipe.is_silent()) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = WINDOW.saturating_sub(pipe.bytes);
        if room == 0 {
            pipe.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let bytes = room.min(buf.len());
        if bytes > 0 {
            pipe.push(buf[..bytes].to_vec());
        }
        Poll::Ready(Ok(bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        lock(&self.write).end();
        Poll::Ready(Ok(()))
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures::{AsyncReadExt, AsyncWriteExt};
    use libp2p::core::Transport as _;

    use super::*;

    const ALICE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const BOB: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

    /// A connection from Alice to Bob: 50 ms each way. Time is tokio's and stands still while there is work.
    async fn connection(loss: u32) -> (Internet, Stream, Stream) {
        let internet = Internet::new(|_, _| Duration::from_millis(50), loss);
        let (alice, bob) = (internet.host(ALICE), internet.host(BOB));
        let mut listener = bob.transport();
        listener.listen_on(ListenerId::next(), bob.multiaddr()).unwrap();
        let near = alice.connect(BOB).await.unwrap();
        let far = poll_fn(|cx| {
            loop {
                match Pin::new(&mut listener).poll(cx) {
                    Poll::Ready(TransportEvent::Incoming { upgrade, .. }) => {
                        return upgrade.map(|far| Poll::Ready(far.unwrap())).now_or_never().unwrap();
                    }
                    Poll::Ready(_) => {}
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await;
        (internet, near, far)
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_take_their_time_and_arrive_in_order() {
        let begun = Instant::now();
        let (_internet, mut near, mut far) = connection(100).await;
        assert_eq!(begun.elapsed(), Duration::from_millis(100), "connecting is a round trip");
        for number in 0..200_u8 {
            near.write_all(&[number; 10]).await.unwrap();
        }
        near.close().await.unwrap();
        let mut read = Vec::new();
        far.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, (0..200_u8).flat_map(|number| [number; 10]).collect::<Vec<_>>());
        assert!(begun.elapsed() >= Duration::from_millis(350), "one in ten is lost and comes later");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_holds_everything_and_tells_nobody() {
        let (internet, mut near, mut far) = connection(0).await;
        near.write_all(b"on the way").await.unwrap();
        internet.silence(BOB);
        let mut buffer = [0; 10];
        let patience = Duration::from_secs(3600);
        assert!(tokio::time::timeout(patience, far.read(&mut buffer)).await.is_err());
        assert!(tokio::time::timeout(patience, internet.host(Ipv4Addr::new(10, 0, 0, 3)).connect(BOB)).await.is_err());
        let full = tokio::time::timeout(patience, async { while near.write(&[0; 1024]).await.is_ok() {} });
        assert!(full.await.is_err(), "writing waits when the window is full");

        internet.restore(BOB);
        far.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"on the way");
        drop(far);
        let broken = async { while near.write(&[0; 1024]).await.is_ok() {} };
        tokio::time::timeout(patience, broken).await.expect("a host that speaks tells that a stream is gone");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_listening_refuses() {
        let internet = Internet::new(|_, _| Duration::from_millis(50), 0);
        let (alice, _bob) = (internet.host(ALICE), internet.host(BOB));
        assert_eq!(alice.connect(BOB).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }
}
