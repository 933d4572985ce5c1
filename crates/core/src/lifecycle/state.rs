//! The states of an entry.

use std::{fmt, str::FromStr};

/// How many states there are.
pub const STATES: usize = 9;

/// What a directory believes of a node, from its heartbeats and from checks. The table in [`super`] says what leads where.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum State {
    /// Heard lately.
    Active,
    /// The node said that it is about to stop. Nothing is wrong with its silence.
    Draining,
    /// Heartbeats are missing, and the first check has not come out yet.
    PendingFirstCheck,
    /// The first check failed or never came out: a restart, or an update, would look like this.
    FailedFirstCheck,
    /// Checked again after 48 hours.
    Retry48Hours,
    /// Checked again after two weeks.
    Retry2Weeks,
    /// Checked again after two months.
    Retry2Months,
    /// Not checked any more, and kept for up to two years.
    Coma,
    /// Given up: the directory forgets the node.
    Dead,
}

impl State {
    /// All states, in the order in which silence leads through them.
    pub const ALL: [Self; STATES] = [
        Self::Active,
        Self::Draining,
        Self::PendingFirstCheck,
        Self::FailedFirstCheck,
        Self::Retry48Hours,
        Self::Retry2Weeks,
        Self::Retry2Months,
        Self::Coma,
        Self::Dead,
    ];

    /// The state's name for people and programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Draining => "draining",
            Self::PendingFirstCheck => "pending-first-check",
            Self::FailedFirstCheck => "failed-first-check",
            Self::Retry48Hours => "retry-48-hours",
            Self::Retry2Weeks => "retry-2-weeks",
            Self::Retry2Months => "retry-2-months",
            Self::Coma => "coma",
            Self::Dead => "dead",
        }
    }

    /// Whether the node is thought to be reachable, so that its services are worth naming to others.
    pub const fn is_present(self) -> bool {
        matches!(self, Self::Active | Self::PendingFirstCheck)
    }

    /// What silence makes of it.
    pub const fn after_silence(self) -> Self {
        match self {
            Self::Active => Self::PendingFirstCheck,
            Self::PendingFirstCheck => Self::FailedFirstCheck,
            // Nobody is checked for a silence that was announced.
            Self::FailedFirstCheck | Self::Draining => Self::Retry48Hours,
            Self::Retry48Hours => Self::Retry2Weeks,
            Self::Retry2Weeks => Self::Retry2Months,
            Self::Retry2Months => Self::Coma,
            Self::Coma | Self::Dead => Self::Dead,
        }
    }

    /// Whether one step may lead from this state to `next`.
    pub fn may_become(self, next: Self) -> bool {
        match (self, next) {
            (Self::Dead, _) => false,
            (_, Self::Draining) => true,
            (_, Self::Active) => self != Self::Active,
            _ => next == self.after_silence(),
        }
    }

    /// Whether a check is due when this state ends, the last chance before the next one.
    pub(super) const fn ends_with_check(self) -> bool {
        matches!(self, Self::Active | Self::Retry48Hours | Self::Retry2Weeks | Self::Retry2Months)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for State {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or(UnknownState)
    }
}

/// A text is not the name of a state.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a lifecycle state; one of {} would be", State::ALL.map(State::as_str).join(", "))]
pub struct UnknownState;
