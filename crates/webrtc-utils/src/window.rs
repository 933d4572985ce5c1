//! How far a sender may be ahead of its reader.
//!
//! The specification has no windows, and a browser takes what comes on a data channel whether it is read or not: a stream
//! whose owner lags would be lost in the end. Two of our nodes spare each other that. The side that lags says, in a
//! message of its own, up to which byte of the stream it takes data, and says so again as its owner reads; whoever
//! understands that stops there. Others read over the field, as protobuf wants it, and are not held back. A side that
//! never lags says nothing, so a short stream costs nothing.
//!
//! It is pure: [`Window`] counts, and the driver reads and writes.

/// How much more than its owner has read a side takes. The first word of it takes half a round trip, in which as much may
/// be under way as is sent in a whole one; then a sender is idle if it hears nothing for that long. Both together have
/// to stay below what a page keeps of one stream, 4 MiB. A guess: 10 MB/s at a round trip of 100 ms.
pub const AHEAD: usize = 1024 * 1024;

/// Both directions of one stream.
#[derive(Debug, Clone, Default)]
pub struct Window {
    read: u64,
    told: Option<u64>,
    sent: u64,
    limit: Option<u64>,
}

impl Window {
    /// The owner has read so many bytes.
    pub fn read(&mut self, bytes: usize) {
        self.read += bytes as u64;
    }

    /// What the remote is to be told next, if the owner `lags` or has lagged: the number of the first byte that is not
    /// taken. It is worth a message whenever half of [`AHEAD`] was read.
    pub fn poll_limit(&mut self, lags: bool) -> Option<u64> {
        let due = self.is_due() || lags && self.told.is_none();
        due.then(|| *self.told.insert(self.limit_here()))
    }

    /// Whether the remote is to be told again how far it may go.
    pub fn is_due(&self) -> bool {
        self.told.is_some_and(|told| self.limit_here() - told >= AHEAD as u64 / 2)
    }

    fn limit_here(&self) -> u64 {
        self.read + AHEAD as u64
    }

    /// The remote takes no byte from this one on. What it said before stays said.
    pub fn handle_limit(&mut self, limit: u64) {
        self.limit = self.limit.max(Some(limit));
    }

    /// How many bytes may be sent.
    pub fn room(&self) -> usize {
        let room = self.limit.map_or(u64::MAX, |limit| limit.saturating_sub(self.sent));
        usize::try_from(room).unwrap_or(usize::MAX)
    }

    /// So many bytes were sent.
    pub fn sent(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_said_before_the_owner_lags() {
        let mut window = Window::default();
        window.read(10 * AHEAD);
        assert_eq!(window.poll_limit(false), None);
        assert_eq!(window.poll_limit(true), Some(11 * AHEAD as u64));
        assert_eq!(window.poll_limit(true), None, "it is said once");
        window.read(AHEAD / 2 - 1);
        assert_eq!(window.poll_limit(false), None);
        window.read(1);
        assert_eq!(window.poll_limit(false), Some(11 * AHEAD as u64 + AHEAD as u64 / 2));
    }

    #[test]
    fn a_sender_stops_where_it_was_told() {
        let mut window = Window::default();
        window.sent(100);
        assert_eq!(window.room(), usize::MAX, "nobody has said anything");
        window.handle_limit(150);
        window.sent(50);
        assert_eq!(window.room(), 0);
        window.handle_limit(120);
        assert_eq!(window.room(), 0, "less than was sent already is no room");
        window.handle_limit(u64::MAX);
        assert_eq!(window.room(), usize::MAX);
    }
}
