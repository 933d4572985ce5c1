//! Time as the core sees it: an input, never a clock.
//!
//! Two scales arrive together, because each answers what the other cannot. `elapsed` only ever grows and measures
//! waiting; `unix_ms` is what signed records are dated with, and may jump when a machine wakes up or is corrected.
//!
//! The limits on dates and lifetimes stand here once, for signing, checking and holding alike.

use std::{ops::Add, time::Duration};

/// How far ahead of our own clock a record may be dated before it is refused (design contract).
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(10 * 60);

/// The shortest lifetime a record may ask for (design contract).
pub const TTL_MIN: Duration = Duration::from_secs(60);

/// The longest lifetime a record may ask for (design contract).
pub const TTL_MAX: Duration = Duration::from_secs(48 * 60 * 60);

/// The lifetime of a record whose offer names none (design contract).
pub const TTL_DEFAULT: Duration = Duration::from_secs(60 * 60);

/// How long a holder keeps a provider announcement, which carries no lifetime of its own (design contract).
pub const PROVIDER_TTL: Duration = Duration::from_secs(2 * 60 * 60);

/// How long a holder keeps a peer's signed addresses.
///
/// The same as [`PROVIDER_TTL`], since both say where a peer can be reached and neither says for how long.
pub const PEER_RECORD_TTL: Duration = PROVIDER_TTL;

/// The present moment, as the shell read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Monotonic time since an arbitrary start.
    pub elapsed: Duration,
    /// Wall-clock time, in milliseconds since the Unix epoch.
    pub unix_ms: u64,
}

/// The moment `later`, if both clocks run alike until then.
impl Add<Duration> for Now {
    type Output = Now;

    fn add(self, later: Duration) -> Now {
        Now { elapsed: self.elapsed.saturating_add(later), unix_ms: self.unix_ms.saturating_add(millis(later)) }
    }
}

/// A duration in whole milliseconds, the unit of every time on the wire. Saturates instead of overflowing.
pub const fn millis(duration: Duration) -> u64 {
    let millis = duration.as_millis();
    if millis > u64::MAX as u128 { u64::MAX } else { millis as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_advance_together_and_stop_at_their_ends() {
        let now = Now { elapsed: Duration::from_secs(1), unix_ms: 1_000_000 };
        assert_eq!(now + Duration::from_millis(1500), Now { elapsed: Duration::from_millis(2500), unix_ms: 1_001_500 });
        assert_eq!((now + Duration::MAX).unix_ms, u64::MAX);
        assert_eq!((now + Duration::MAX).elapsed, Duration::MAX);
    }
}
