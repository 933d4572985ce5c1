//! How many WebRTC connections the page has left, and for whom.

use crate::config::PeerConnections;

/// For whom there is room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// For everybody in use.
    Enough,
    /// For the most valuable.
    Valuable,
    /// For nobody.
    None,
}

/// How many are left when so many were made and some attempts, which may or may not be counted yet, are under way.
pub(super) fn room(marks: &PeerConnections, made: u32, trying: usize) -> Room {
    let made = made.saturating_add(u32::try_from(trying).unwrap_or(u32::MAX));
    if made < marks.upgrades {
        Room::Enough
    } else if made < marks.valuable {
        Room::Valuable
    } else {
        Room::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_ends_at_the_marks_and_attempts_under_way_count() {
        let marks = PeerConnections::default();
        for (made, trying, expected) in [
            (0, 0, Room::Enough),
            (marks.upgrades - 1, 0, Room::Enough),
            (marks.upgrades - 1, 1, Room::Valuable),
            (marks.upgrades, 0, Room::Valuable),
            (marks.valuable, 0, Room::None),
            (u32::MAX, 4, Room::None),
        ] {
            assert_eq!(room(&marks, made, trying), expected, "{made} made, {trying} under way");
        }
    }
}
