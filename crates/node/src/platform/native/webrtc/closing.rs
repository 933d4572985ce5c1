//! A DTLS session, and that it is closed.
//!
//! SCTP and DTLS of webrtc-rs run as tasks that nothing ends but the end of what is below them. So whatever has been begun
//! over a session is over once the session is closed: its reader ends, SCTP reads the end and ends, and lets go of it. A
//! session in a [`Closing`] is closed when that is dropped, whatever was under way. DTLS that has not come to a session
//! ends with its future.
//!
//! Bounds: closing takes [`LIMIT`] at most.

use std::{any::Any, net::SocketAddr, ops::Deref, sync::Arc, time::Duration};

use async_trait::async_trait;
use dtls::conn::DTLSConn;
use tokio::{runtime::Handle, sync::watch, time::timeout};
use webrtc_util::Conn;

/// How long a session may take to close, which is one datagram; a guess.
const LIMIT: Duration = Duration::from_secs(10);

/// What SCTP sends and receives over.
pub(super) struct Session {
    dtls: DTLSConn,
    over: watch::Sender<bool>,
}

impl Session {
    pub(super) fn new(dtls: DTLSConn) -> Self {
        Self { dtls, over: watch::Sender::new(false) }
    }

    /// Turns to true when the remote has closed the session.
    pub(super) fn over(&self) -> watch::Receiver<bool> {
        self.over.subscribe()
    }
}

/// Whether an SCTP packet begins with an ABORT (RFC 9260, sections 3.1 and 3.3.7): what comes after it is not read.
fn aborts(packet: &[u8]) -> bool {
    const HEADER: usize = 12;
    const ABORT: u8 = 6;
    packet.get(HEADER) == Some(&ABORT)
}

#[async_trait]
impl Conn for Session {
    async fn recv(&self, buffer: &mut [u8]) -> webrtc_util::Result<usize> {
        let received = self.dtls.recv(buffer).await;
        if received.as_ref().map_or(true, |length| aborts(&buffer[..*length])) {
            self.over.send_replace(true);
        }
        received
    }

    async fn send(&self, packet: &[u8]) -> webrtc_util::Result<usize> {
        self.dtls.send(packet).await
    }

    async fn close(&self) -> webrtc_util::Result<()> {
        Conn::close(&self.dtls).await
    }

    fn local_addr(&self) -> webrtc_util::Result<SocketAddr> {
        self.dtls.local_addr()
    }

    fn remote_addr(&self) -> Option<SocketAddr> {
        self.dtls.remote_addr()
    }

    async fn connect(&self, address: SocketAddr) -> webrtc_util::Result<()> {
        self.dtls.connect(address).await
    }

    async fn recv_from(&self, buffer: &mut [u8]) -> webrtc_util::Result<(usize, SocketAddr)> {
        self.dtls.recv_from(buffer).await
    }

    async fn send_to(&self, packet: &[u8], target: SocketAddr) -> webrtc_util::Result<usize> {
        self.dtls.send_to(packet, target).await
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync) {
        self
    }
}

/// See the module's documentation.
pub(super) struct Closing(Arc<Session>);

impl Closing {
    pub(super) fn new(session: Session) -> Self {
        Self(Arc::new(session))
    }

    /// For SCTP.
    pub(super) fn conn(&self) -> Arc<dyn Conn + Send + Sync> {
        self.0.clone()
    }
}

impl Deref for Closing {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.0
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        // Without a runtime the process is ending.
        let Ok(runtime) = Handle::try_current() else { return };
        let session = self.0.clone();
        runtime.spawn(async move {
            // Closing what is closed does nothing.
            if !matches!(timeout(LIMIT, session.close()).await, Ok(Ok(()))) {
                tracing::debug!("a DTLS session could not be closed");
            }
        });
    }
}
