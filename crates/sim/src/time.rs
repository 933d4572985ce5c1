//! Durations as one says them: `10.s()`.

use std::time::Duration;

/// Numbers as durations.
pub trait Time {
    /// Milliseconds.
    fn ms(self) -> Duration;
    /// Seconds.
    fn s(self) -> Duration;
    /// Minutes.
    fn mins(self) -> Duration;
    /// Hours.
    fn h(self) -> Duration;
}

impl Time for u64 {
    fn ms(self) -> Duration {
        Duration::from_millis(self)
    }

    fn s(self) -> Duration {
        Duration::from_secs(self)
    }

    fn mins(self) -> Duration {
        Duration::from_secs(self * 60)
    }

    fn h(self) -> Duration {
        Duration::from_secs(self * 3600)
    }
}
