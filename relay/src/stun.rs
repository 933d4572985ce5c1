//! A STUN server (RFC 8489): tells whoever asks by UDP which address they come from, so that pages behind NAT can offer it
//! to others and nobody else's server has to know of them.
//!
//! Binding requests are answered, with nothing but the address ([`answer`]); all else is dropped without a word. Requests
//! carry no proof of where they come from, so what is sent to one group of addresses is limited ([`limit`]), and an answer
//! is 12 bytes longer than the least request, or 24 with an IPv6 address. One task reads one datagram at a time; what it cannot take waits in the
//! system's buffer of the socket, or is lost there. Nothing is kept of who asked.
//!
//! There is no TCP, no TLS, no second address (RFC 5780), no authentication. Where a machine has several addresses and the
//! socket is bound to none of them, the system chooses the one that answers; bind to one to be certain.

pub(crate) mod answer;
pub(crate) mod limit;
pub(crate) mod urls;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{net::UdpSocket, task::JoinHandle, time::sleep};

use self::{answer::Ignored, limit::Limiter};

/// How long to wait when the system cannot read from the socket.
const READ_PAUSE: Duration = Duration::from_millis(200);

/// What became of the datagrams that came.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    answered: AtomicU64,
    refused: AtomicU64,
    malformed: AtomicU64,
    limited: AtomicU64,
}

impl Counters {
    /// Names for a label, and counts.
    pub(crate) fn read(&self) -> [(&'static str, u64); 4] {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            ("answered", count(&self.answered)),
            ("refused", count(&self.refused)),
            ("malformed", count(&self.malformed)),
            ("limited", count(&self.limited)),
        ]
    }
}

/// A running server. Dropping it ends it.
pub(crate) struct Server {
    task: JoinHandle<()>,
}

impl Server {
    /// Answers on `socket` and counts in `counters`.
    pub(crate) fn start(socket: UdpSocket, counters: Arc<Counters>) -> Self {
        Self { task: tokio::spawn(serve(socket, counters)) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(socket: UdpSocket, counters: Arc<Counters>) {
    let mut limiter = Limiter::new(Instant::now());
    // One byte more than the longest request, so that a longer one shows.
    let mut buffer = [0; answer::LONGEST + 1];
    loop {
        let (length, from) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                tracing::debug!(%error, "a datagram for STUN cannot be read");
                sleep(READ_PAUSE).await;
                continue;
            }
        };
        let counter = match reply(&buffer[..length], from, &mut limiter) {
            Ok((reply, counter)) => {
                // An answer that does not fit into the socket's buffer is lost as it could be on the way.
                if let Err(error) = socket.try_send_to(&reply, from) {
                    tracing::debug!(%error, "a STUN answer cannot be sent");
                }
                counter
            }
            Err(counter) => counter,
        };
        counter(&counters).fetch_add(1, Ordering::Relaxed);
    }
}

/// Where a datagram is counted.
type Counter = fn(&Counters) -> &AtomicU64;

/// What to send back, if anything.
fn reply(datagram: &[u8], from: SocketAddr, limiter: &mut Limiter) -> Result<(Vec<u8>, Counter), Counter> {
    let reply = answer::answer(datagram, from).map_err(|Ignored| -> Counter { |counters| &counters.malformed })?;
    if !limiter.allows(from.ip(), Instant::now()) {
        return Err(|counters| &counters.limited);
    }
    let counter: Counter = if reply.success { |counters| &counters.answered } else { |counters| &counters.refused };
    Ok((reply.bytes, counter))
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const LEAST_REQUEST: [u8; 20] = *b"\x00\x01\x00\x00\x21\x12\xa4\x42twelve bytes";

    async fn asked(server: &str) -> Option<(Vec<u8>, SocketAddr)> {
        let socket = UdpSocket::bind(server).await.unwrap();
        let address = socket.local_addr().unwrap();
        let counters = Arc::new(Counters::default());
        let running = Server::start(socket, Arc::clone(&counters));
        let client = UdpSocket::bind(server).await.unwrap();
        for datagram in [&b"no STUN at all"[..], &LEAST_REQUEST] {
            client.send_to(datagram, address).await.unwrap();
        }
        let mut buffer = [0; 600];
        let received = timeout(Duration::from_secs(5), client.recv_from(&mut buffer)).await.ok()?.unwrap();
        drop(running);
        assert_eq!(counters.read(), [("answered", 1), ("refused", 0), ("malformed", 1), ("limited", 0)]);
        assert_eq!(received.1, address);
        Some((buffer[..received.0].to_vec(), client.local_addr().unwrap()))
    }

    #[tokio::test]
    async fn whoever_asks_learns_where_they_come_from() {
        for server in ["127.0.0.1:0", "[::1]:0"] {
            let (bytes, client) = asked(server).await.expect("an answer");
            assert_eq!(answer::tests::mapped(&bytes), client);
        }
    }

    #[tokio::test]
    async fn a_server_that_is_dropped_frees_its_port() {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let server = Server::start(socket, Arc::default());
        assert!(UdpSocket::bind(address).await.is_err());
        drop(server);
        let freed = async {
            while UdpSocket::bind(address).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(5), freed).await.expect("the port is free again");
    }
}
