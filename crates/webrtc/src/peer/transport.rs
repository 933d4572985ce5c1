//! The transport's half: dials and a listener, both waiting for the behaviour.

use std::{
    future::{Ready, ready},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use futures::{
    FutureExt, StreamExt,
    channel::{mpsc, oneshot},
    future::BoxFuture,
};
use libp2p::{
    Multiaddr, PeerId,
    core::transport::{self, DialOpts, ListenerId, TransportError, TransportEvent},
};

use super::{Dial, Incoming, listen_address};
use crate::{Error, Muxer, address, is_supported};

/// Dials and is dialled by what its [`Behaviour`](super::Behaviour) has negotiated.
#[derive(Debug)]
pub struct Transport {
    dials: mpsc::Sender<Dial>,
    incoming: mpsc::Receiver<Incoming>,
    listener: Option<ListenerId>,
    /// A listener that was removed and is to be reported.
    removed: Option<ListenerId>,
    listening: Arc<AtomicBool>,
}

/// Whether `address` is one that [`Transport`] dials; the peer's id may be missing at its end.
pub fn can_dial(address: &Multiaddr) -> bool {
    is_supported() && address::leads_to_browser(address)
}

impl Transport {
    pub(super) fn new(
        dials: mpsc::Sender<Dial>,
        incoming: mpsc::Receiver<Incoming>,
        listening: Arc<AtomicBool>,
    ) -> Self {
        Self { dials, incoming, listener: None, removed: None, listening }
    }
}

impl transport::Transport for Transport {
    type Output = (PeerId, Muxer);
    type Error = Error;
    type ListenerUpgrade = Ready<Result<Self::Output, Error>>;
    type Dial = BoxFuture<'static, Result<Self::Output, Error>>;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<Error>> {
        if address != listen_address() {
            return Err(TransportError::MultiaddrNotSupported(address));
        }
        if !is_supported() {
            return Err(TransportError::Other(Error::Unsupported));
        }
        self.removed = self.listener.replace(id);
        self.listening.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        if self.listener != Some(id) {
            return false;
        }
        self.removed = self.listener.take();
        self.listening.store(false, Ordering::Relaxed);
        true
    }

    fn dial(&mut self, address: Multiaddr, options: DialOpts) -> Result<Self::Dial, TransportError<Error>> {
        let (circuit, peer) = match address::circuit_of(&address) {
            Some(found) if options.role.is_dialer() => found,
            _ => return Err(TransportError::MultiaddrNotSupported(address)),
        };
        if !is_supported() {
            return Err(TransportError::Other(Error::Unsupported));
        }
        let (reply, answer) = oneshot::channel();
        self.dials
            .try_send(Dial { peer, circuit, reply })
            .map_err(|error| TransportError::Other(if error.is_full() { Error::Busy } else { Error::Closing }))?;
        Ok(async move { Ok((peer, answer.await.map_err(|_| Error::Closing)??)) }.boxed())
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<TransportEvent<Self::ListenerUpgrade, Error>> {
        if let Some(listener_id) = self.removed.take() {
            return Poll::Ready(TransportEvent::ListenerClosed { listener_id, reason: Ok(()) });
        }
        while let Poll::Ready(Some(Incoming { peer, muxer })) = self.incoming.poll_next_unpin(cx) {
            // Without a listener it is dropped, which closes it.
            let Some(listener_id) = self.listener else { continue };
            return Poll::Ready(TransportEvent::Incoming {
                listener_id,
                local_addr: listen_address(),
                // The remote is told this as the address that it is seen at. Browsers keep that to themselves, and
                // js-libp2p cannot identify a peer that tells one without a host.
                send_back_addr: Multiaddr::empty(),
                upgrade: ready(Ok((peer, muxer))),
            });
        }
        Poll::Pending
    }
}
