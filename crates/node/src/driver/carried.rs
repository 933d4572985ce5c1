//! What each connection carries, for the core: a connection that carries something is not superfluous.
//!
//! A service stream tells by the end of its [`Carried`] that it is gone, wherever it lives by then. A relay's circuits are
//! known by their two ends, so all direct connections of an end carry them.
//!
//! The queue of ends holds one message for each stream that has ended at most, so it is bounded by the streams there are.

use futures::channel::mpsc;
use libp2p::PeerId;
use openred_core::{ConnectionId, Input, event::Path};

use super::Driver;

/// A stream's mark on its connection, until it is dropped.
#[derive(Debug)]
pub(crate) struct Carried {
    connection: ConnectionId,
    ended: mpsc::UnboundedSender<ConnectionId>,
}

impl Drop for Carried {
    fn drop(&mut self) {
        // A driver that is gone counts nothing.
        let _ = self.ended.unbounded_send(self.connection);
    }
}

impl Driver {
    /// A service stream begins.
    pub(super) fn carry(&mut self, connection: ConnectionId) -> Carried {
        self.change(connection, 1);
        Carried { connection, ended: self.ended.0.clone() }
    }

    /// A service stream has ended.
    pub(super) fn carried(&mut self, connection: ConnectionId) {
        self.change(connection, -1);
    }

    /// A circuit through this node begins or ends.
    pub(super) fn circuit(&mut self, ends: [PeerId; 2], change: isize) {
        for end in ends {
            let circuits = self.books.circuits.get_or_insert_with(end, usize::default);
            *circuits = circuits.saturating_add_signed(change);
            if *circuits == 0 {
                self.books.circuits.remove(&end);
            }
            let direct = |known: &super::Connection| known.peer == end && known.path == Path::Direct;
            let under: Vec<_> =
                self.books.connections.iter().filter(|(_, known)| direct(known)).map(|(id, _)| *id).collect();
            for connection in under {
                self.change(connection, 0);
            }
        }
    }

    fn change(&mut self, connection: ConnectionId, change: isize) {
        let Some(known) = self.books.connections.get_mut(&connection) else { return };
        known.streams = known.streams.saturating_add_signed(change);
        let circuits = match known.path {
            Path::Direct => self.books.circuits.get(&known.peer).copied().unwrap_or_default(),
            Path::Relayed => 0,
        };
        let streams = known.streams + circuits;
        self.parts.shared.tell(Input::Carries { connection, streams });
    }

    /// A connection stands; the machine may close it while it carries nothing.
    pub(super) fn carries_nothing_yet(&mut self, connection: ConnectionId) {
        self.change(connection, 0);
    }
}
