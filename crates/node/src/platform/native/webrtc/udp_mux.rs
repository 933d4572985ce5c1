//! The UDP socket of a listener, and which datagram belongs to which connection.
//!
//! One task reads the socket. A STUN request is answered at once and leaves nothing behind, whoever sent it. Everything else
//! belongs to the connection with the address that it came from; from any other address only the first message of a DTLS
//! handshake is taken, and makes a connection if there is a place for it ([`admission`](super::admission)).
//!
//! A client may come to prefer another of its addresses. So a connection knows the user name of its client, and follows
//! it to the address that the client nominates with that name.
//!
//! Bounds: a connection has at most [`QUEUE`] datagrams that DTLS has not taken, and during its handshake it gets
//! [`ALLOWANCE`] bytes in all; what is beyond is lost, as UDP may lose anything. An address is forgotten with its
//! connection. The socket stays open until the listener and all of its connections are gone.

use std::{
    any::Any,
    collections::HashMap,
    future::pending,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll},
    time::Duration,
};

use async_trait::async_trait;
use tokio::{
    net::UdpSocket,
    sync::{Mutex as AsyncMutex, mpsc, watch},
    time::{Instant, sleep},
};
use webrtc_util::Conn;

use super::{
    admission::{Admission, MOST, Place},
    ice,
};
use crate::platform::native::{Task, spawn};

/// Bytes of the longest datagram that is read whole; that of the reader in webrtc-rs' DTLS.
pub(super) const LONGEST: usize = 8192;

/// How long to wait when the system cannot read from a socket.
pub(super) const READ_PAUSE: Duration = Duration::from_millis(200);

/// Datagrams that wait for DTLS. A guess: a third of a megabyte, of what a browser sends at once on a fast path.
const QUEUE: usize = 256;

/// Bytes that a remote may send before it has shown who it is. A handshake takes some 6 kB, twice that with what is sent
/// again; DTLS keeps what it cannot decrypt yet without a bound of its own.
const ALLOWANCE: usize = 64 * 1024;

/// The listener's end. Dropping it ends the handshakes that are under way, and no more begin.
pub(super) struct UdpMux {
    shared: Arc<Shared>,
    newcomers: mpsc::Receiver<Newcomer>,
    /// Told by its end.
    _listening: watch::Sender<()>,
}

/// Somebody who has begun a DTLS handshake.
pub(super) struct Newcomer {
    /// The way to it.
    pub(super) remote: Arc<Remote>,
    /// Where it came from.
    pub(super) address: SocketAddr,
    /// Changes once the listener is gone.
    pub(super) listening: watch::Receiver<()>,
}

/// The way to the remote end of one connection, as DTLS wants it. It never fails: what it is given may get lost, and when
/// there will be nothing more to read, nothing comes, since the reader in webrtc-rs' DTLS asks again after an error.
pub(super) struct Remote {
    mux: Arc<Shared>,
    id: u64,
    inbox: AsyncMutex<mpsc::Receiver<Vec<u8>>>,
    place: Place,
}

struct Shared {
    socket: Arc<UdpSocket>,
    local: SocketAddr,
    connections: Mutex<Connections>,
    admission: Arc<Admission>,
    newcomers: mpsc::Sender<Newcomer>,
    listening: watch::Receiver<()>,
    _reader: Task,
}

#[derive(Default)]
struct Connections {
    entries: HashMap<u64, Entry>,
    by_address: HashMap<SocketAddr, u64>,
    by_ufrag: HashMap<String, u64>,
    next: u64,
}

struct Entry {
    address: SocketAddr,
    /// `None` until the client has sent a request since the connection was made.
    ufrag: Option<String>,
    inbox: mpsc::Sender<Vec<u8>>,
    /// Bytes that it may still send; `None` is no limit.
    allowance: Option<usize>,
}

impl UdpMux {
    /// Binds a socket and reads it until the mux and all of its connections are dropped.
    ///
    /// # Errors
    ///
    /// If the system does not give the address.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub(super) fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = std::net::UdpSocket::bind(address)?;
        socket.set_nonblocking(true)?;
        let socket = Arc::new(UdpSocket::from_std(socket)?);
        let local = socket.local_addr()?;
        let (sender, newcomers) = mpsc::channel(MOST);
        let (listening, listens) = watch::channel(());
        let shared = Arc::new_cyclic(|shared| Shared {
            _reader: spawn(read(socket.clone(), shared.clone())),
            socket,
            local,
            connections: Mutex::default(),
            admission: Arc::default(),
            newcomers: sender,
            listening: listens,
        });
        Ok(Self { shared, newcomers, _listening: listening })
    }

    /// Where the socket is bound.
    pub(super) fn local_address(&self) -> SocketAddr {
        self.shared.local
    }

    /// The next remote that wants a connection.
    pub(super) fn poll_newcomer(&mut self, cx: &mut Context<'_>) -> Poll<Newcomer> {
        match self.newcomers.poll_recv(cx) {
            Poll::Ready(Some(newcomer)) => Poll::Ready(newcomer),
            // It ends with what this holds.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

async fn read(socket: Arc<UdpSocket>, mux: Weak<Shared>) {
    let mut buffer = vec![0; LONGEST];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, from)) => {
                let Some(mux) = mux.upgrade() else { return };
                mux.take(&buffer[..length], from);
            }
            Err(error) => {
                tracing::debug!(%error, "a datagram cannot be read");
                sleep(READ_PAUSE).await;
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_listening(&self) -> bool {
        self.listening.has_changed().is_ok()
    }

    fn take(self: &Arc<Self>, datagram: &[u8], from: SocketAddr) {
        if ice::is_stun(datagram) {
            self.take_request(datagram, from);
        } else if !self.lock().give(datagram, from) && handshake_message(datagram) == Some(CLIENT_HELLO) {
            self.welcome(datagram, from);
        }
    }

    fn take_request(&self, datagram: &[u8], from: SocketAddr) {
        let Some(answer) = ice::answer(datagram, from) else {
            tracing::trace!(%from, "a STUN message that asks for nothing");
            return;
        };
        let is_known = self.lock().follow(&answer, from);
        if !is_known && !self.is_listening() {
            return;
        }
        // An answer that does not fit into the socket's buffer is lost as it could be on the way.
        if let Err(error) = self.socket.try_send_to(&answer.datagram, from) {
            tracing::trace!(%from, %error, "a STUN answer cannot be sent");
        }
    }

    fn welcome(self: &Arc<Self>, datagram: &[u8], from: SocketAddr) {
        if !self.is_listening() {
            return;
        }
        let Some(place) = self.admission.admit(from.ip(), Instant::now()) else {
            tracing::debug!(%from, "too many handshakes are under way");
            return;
        };
        let (id, inbox) = self.lock().add(from);
        let remote = Arc::new(Remote { mux: self.clone(), id, inbox: AsyncMutex::new(inbox), place });
        self.lock().give(datagram, from);
        let newcomer = Newcomer { remote, address: from, listening: self.listening.clone() };
        // It may be full of those who have lost their place, or the listener gone; what is dropped undoes all of it.
        if self.newcomers.try_send(newcomer).is_err() {
            tracing::debug!(%from, "a newcomer is not taken");
        }
    }
}

const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;

/// The kind of the DTLS handshake message that a datagram begins with, if it is not encrypted (RFC 6347, sections 4.1 and
/// 4.2.2).
fn handshake_message(datagram: &[u8]) -> Option<u8> {
    const HANDSHAKE: u8 = 22;
    // The record's type, two bytes of version, epoch 0, six of sequence number and two of length, the message's kind.
    let [HANDSHAKE, 254, _, 0, 0, _, _, _, _, _, _, _, _, kind, ..] = datagram else { return None };
    Some(*kind)
}

impl Connections {
    fn add(&mut self, address: SocketAddr) -> (u64, mpsc::Receiver<Vec<u8>>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let id = self.next;
        self.next += 1;
        self.entries.insert(id, Entry { address, ufrag: None, inbox: sender, allowance: Some(ALLOWANCE) });
        self.by_address.insert(address, id);
        (id, receiver)
    }

    fn remove(&mut self, id: u64) {
        let Some(entry) = self.entries.remove(&id) else { return };
        self.by_address.remove(&entry.address);
        if let Some(ufrag) = entry.ufrag {
            self.by_ufrag.remove(&ufrag);
        }
    }

    /// Whether there is a connection with `from`. It has got the datagram if it had room.
    fn give(&mut self, datagram: &[u8], from: SocketAddr) -> bool {
        let Some(entry) = self.by_address.get(&from).and_then(|id| self.entries.get_mut(id)) else { return false };
        if let Some(allowance) = &mut entry.allowance {
            let Some(left) = allowance.checked_sub(datagram.len()) else { return true };
            *allowance = left;
        }
        _ = entry.inbox.try_send(datagram.to_vec());
        true
    }

    /// Learns from a request which user name a connection has and where it wants to be. Whether there is such a
    /// connection.
    fn follow(&mut self, request: &ice::Answer, from: SocketAddr) -> bool {
        let ice::Answer { ufrag, nominates, .. } = request;
        if let Some(id) = self.by_address.get(&from) {
            if let Some(entry) = self.entries.get_mut(id).filter(|entry| entry.ufrag.is_none())
                && !self.by_ufrag.contains_key(ufrag)
            {
                entry.ufrag = Some(ufrag.clone());
                self.by_ufrag.insert(ufrag.clone(), *id);
            }
            return true;
        }
        let Some((id, entry)) = self.by_ufrag.get(ufrag).and_then(|id| Some((*id, self.entries.get_mut(id)?))) else {
            return false;
        };
        if *nominates {
            self.by_address.remove(&entry.address);
            self.by_address.insert(from, id);
            entry.address = from;
        }
        true
    }
}

impl Remote {
    /// The remote has shown who it is: it may send as much as it likes, and makes room for others.
    pub(super) fn trust(&self) {
        self.place.free();
        if let Some(entry) = self.mux.lock().entries.get_mut(&self.id) {
            entry.allowance = None;
        }
    }

    /// Resolves when the handshake has to give way to another.
    pub(super) async fn lost(&self) {
        self.place.lost().await;
    }

    fn address(&self) -> Option<SocketAddr> {
        self.mux.lock().entries.get(&self.id).map(|entry| entry.address)
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.mux.lock().remove(self.id);
    }
}

#[async_trait]
impl Conn for Remote {
    async fn recv(&self, buffer: &mut [u8]) -> webrtc_util::Result<usize> {
        let Some(datagram) = self.inbox.lock().await.recv().await else { return pending().await };
        let length = datagram.len().min(buffer.len());
        buffer[..length].copy_from_slice(&datagram[..length]);
        Ok(length)
    }

    async fn send(&self, datagram: &[u8]) -> webrtc_util::Result<usize> {
        if handshake_message(datagram) == Some(SERVER_HELLO) {
            // DTLS says so much to those only who have sent its cookie back.
            self.place.prove();
        }
        if let Some(address) = self.address()
            && let Err(error) = self.mux.socket.send_to(datagram, address).await
        {
            tracing::trace!(%address, %error, "a datagram cannot be sent");
        }
        Ok(datagram.len())
    }

    /// Frees the address.
    async fn close(&self) -> webrtc_util::Result<()> {
        self.mux.lock().remove(self.id);
        Ok(())
    }

    fn local_addr(&self) -> webrtc_util::Result<SocketAddr> {
        Ok(self.mux.local)
    }

    fn remote_addr(&self) -> Option<SocketAddr> {
        self.address()
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

#[cfg(test)]
pub(super) mod tests;
