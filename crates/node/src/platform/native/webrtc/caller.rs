//! The socket of a connection that this side dials: one for each, which knows its remote.
//!
//! First it asks until the remote answers; then it carries DTLS. The remote's own STUN requests are answered, and a request
//! of ours follows at intervals, without which some agents give a connection up. It does not give up itself: whether the
//! remote is there is asked above.
//!
//! Bounds: what the socket has received and DTLS has not taken waits in the system.

use std::{any::Any, io, net::SocketAddr, time::Duration};

use async_trait::async_trait;
use libp2p_webrtc_utils::sdp::random_ufrag;
use stun::agent::TransactionId;
use tokio::{
    net::UdpSocket,
    sync::Mutex,
    time::{Interval, MissedTickBehavior, interval, sleep, timeout},
};
use webrtc_util::Conn;

use super::{
    error::Error,
    ice,
    udp_mux::{LONGEST, READ_PAUSE},
};

/// The first pause before asking again; each is twice the one before. RFC 8445, section 14.3, begins with 500 ms, for the
/// sake of many paths that are tried at once.
const ASK_AGAIN: Duration = Duration::from_millis(250);

/// How often to ask without an answer; with the pauses, for some eight seconds.
const ATTEMPTS: u32 = 5;

/// The pause between requests while the connection stands: less than the five seconds after which webrtc-rs calls a
/// silent path disconnected.
const KEEP_ALIVE: Duration = Duration::from_secs(4);

/// See the module's documentation. Like the listener's end it never fails: what does not arrive is lost.
pub(super) struct Caller {
    socket: UdpSocket,
    local: SocketAddr,
    remote: SocketAddr,
    ufrag: String,
    tie_breaker: u64,
    keep_alive: Mutex<Interval>,
}

impl Caller {
    /// Asks `remote` until it answers.
    ///
    /// # Errors
    ///
    /// [`Error::NoAnswer`] after a while, and [`Error::Socket`] at once if the system says that nobody is there.
    pub(super) async fn call(remote: SocketAddr) -> Result<Self, Error> {
        let any: SocketAddr = if remote.is_ipv4() { ([0; 4], 0).into() } else { ([0_u16; 8], 0).into() };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(remote).await?;
        let mut keep_alive = interval(KEEP_ALIVE);
        keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        keep_alive.reset();
        let caller = Self {
            local: socket.local_addr()?,
            socket,
            remote,
            ufrag: random_ufrag(),
            tie_breaker: rand::random(),
            keep_alive: Mutex::new(keep_alive),
        };
        let transaction = TransactionId::new();
        for attempt in 0..ATTEMPTS {
            caller.socket.send(&ice::request(&caller.ufrag, transaction, caller.tie_breaker)).await?;
            if let Ok(answered) = timeout(ASK_AGAIN * 2_u32.pow(attempt), caller.answered(transaction)).await {
                answered?;
                return Ok(caller);
            }
        }
        Err(Error::NoAnswer)
    }

    async fn answered(&self, transaction: TransactionId) -> io::Result<()> {
        let mut buffer = vec![0; LONGEST];
        loop {
            let length = self.socket.recv(&mut buffer).await?;
            if ice::is_answer(&buffer[..length], &self.ufrag, transaction) {
                return Ok(());
            }
            self.answer(&buffer[..length]);
        }
    }

    /// Answers a request of the remote.
    fn answer(&self, datagram: &[u8]) {
        // What does not fit into the socket's buffer is lost as it could be on the way.
        if let Some(answer) = ice::answer(datagram, self.remote).filter(|answer| answer.ufrag == self.ufrag)
            && let Err(error) = self.socket.try_send(&answer.datagram)
        {
            tracing::trace!(%error, "a STUN answer cannot be sent");
        }
    }

    async fn next(&self, buffer: &mut [u8]) -> usize {
        let mut keep_alive = self.keep_alive.lock().await;
        loop {
            tokio::select! {
                received = self.socket.recv(buffer) => match received {
                    Ok(length) if ice::is_stun(&buffer[..length]) => self.answer(&buffer[..length]),
                    Ok(length) => return length,
                    Err(error) => {
                        tracing::debug!(remote = %self.remote, %error, "a datagram cannot be read");
                        sleep(READ_PAUSE).await;
                    }
                },
                _ = keep_alive.tick() => {
                    _ = self.socket.try_send(&ice::request(&self.ufrag, TransactionId::new(), self.tie_breaker));
                }
            }
        }
    }
}

#[async_trait]
impl Conn for Caller {
    async fn recv(&self, buffer: &mut [u8]) -> webrtc_util::Result<usize> {
        Ok(self.next(buffer).await)
    }

    async fn send(&self, datagram: &[u8]) -> webrtc_util::Result<usize> {
        if let Err(error) = self.socket.send(datagram).await {
            tracing::trace!(remote = %self.remote, %error, "a datagram cannot be sent");
        }
        Ok(datagram.len())
    }

    async fn close(&self) -> webrtc_util::Result<()> {
        // The socket closes when DTLS lets go of it.
        Ok(())
    }

    fn local_addr(&self) -> webrtc_util::Result<SocketAddr> {
        Ok(self.local)
    }

    fn remote_addr(&self) -> Option<SocketAddr> {
        Some(self.remote)
    }

    async fn connect(&self, _: SocketAddr) -> webrtc_util::Result<()> {
        Err(io::Error::from(io::ErrorKind::Unsupported).into())
    }

    async fn recv_from(&self, _: &mut [u8]) -> webrtc_util::Result<(usize, SocketAddr)> {
        Err(io::Error::from(io::ErrorKind::Unsupported).into())
    }

    async fn send_to(&self, _: &[u8], _: SocketAddr) -> webrtc_util::Result<usize> {
        Err(io::Error::from(io::ErrorKind::Unsupported).into())
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync) {
        self
    }
}
