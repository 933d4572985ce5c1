//! The token bucket behind a bandwidth limit.

use std::time::Duration;

/// How much unused bandwidth may be saved up. Timers fire late, in browsers by several
/// milliseconds, and what is not sent meanwhile is caught up from this; a guess.
const BURST: Duration = Duration::from_millis(250);

/// Paces a number of streams by what they have already moved.
///
/// A stream asks before it moves a bounded amount, moves it, and is charged for it afterwards, so
/// that reading an unknown amount costs no more than there was. Whoever asks while there is a debt
/// is told the moment at which the debt of that moment is paid, and does not ask again. Streams
/// that have more to move therefore follow each other in the order in which they asked, each by the
/// same amount.
///
/// In the long run not more than the rate passes. It is exceeded for as long as the burst lasts,
/// and by one turn of every stream that was idle when it was allowed to move.
#[derive(Debug)]
pub(super) struct Bucket {
    /// Bytes a second, at least one.
    rate: u64,
    /// When everything that has been charged is paid. In the past while there is no debt.
    paid_at: Duration,
}

impl Bucket {
    pub(super) fn new(rate: u64) -> Self {
        Self { rate: rate.max(1), paid_at: Duration::ZERO }
    }

    /// How long whoever asks at `now` has to wait, or `None` if not at all.
    pub(super) fn wait(&self, now: Duration) -> Option<Duration> {
        self.paid_at.checked_sub(now).filter(|wait| !wait.is_zero())
    }

    /// Takes note of `bytes` that have moved at `now`.
    pub(super) fn charge(&mut self, now: Duration, bytes: usize) {
        let nanos = bytes as u128 * 1_000_000_000 / u128::from(self.rate);
        let price = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.paid_at = self.paid_at.max(now.saturating_sub(BURST)).saturating_add(price);
    }
}
