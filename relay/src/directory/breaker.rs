//! A circuit breaker: what keeps failing is left alone for a while, so that its callers fail at once and it can recover.
//!
//! ```text
//!   closed ── FAILURES in a row ──▶ open ── its time is over ──▶ one caller tries ── success ──▶ closed
//!     ▲                              ▲                                │
//!     └───────── success             └────── failure: twice the time ─┘
//! ```
//!
//! The machine reads no clock. Failures are those of the dependency itself (it cannot be reached, it takes too long); an answer
//! that says no is a success.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Failures in a row that open the breaker. A guess: one is an accident.
pub(crate) const FAILURES: u32 = 5;

/// How long it stays open first.
pub(crate) const SHORTEST: Duration = Duration::from_millis(500);

/// How long it stays open at most: a database that comes back is asked again soon.
pub(crate) const LONGEST: Duration = Duration::from_secs(15);

/// How long the one caller that tries may take before another one may.
pub(crate) const TRIAL: Duration = Duration::from_secs(10);

/// A circuit breaker.
#[derive(Debug, Default)]
pub(crate) struct Breaker(Mutex<State>);

#[derive(Clone, Copy, Debug)]
enum State {
    Closed { failures: u32 },
    Open { until: Duration, length: Duration },
    Trying { since: Duration, length: Duration },
}

impl Default for State {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

/// The breaker is open; the caller may try again after this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Open(pub(crate) Duration);

impl Breaker {
    /// Whether a call may be made at `now`, counted from any fixed start. Who is let through says how it went.
    pub(crate) fn admit(&self, now: Duration) -> Result<(), Open> {
        let mut state = self.state();
        match *state {
            State::Closed { .. } => Ok(()),
            State::Open { until, .. } if now < until => Err(Open(until - now)),
            State::Trying { since, .. } if now < since + TRIAL => Err(Open(since + TRIAL - now)),
            State::Open { length, .. } | State::Trying { length, .. } => {
                *state = State::Trying { since: now, length };
                Ok(())
            }
        }
    }

    /// The dependency has answered.
    pub(crate) fn succeeded(&self) {
        *self.state() = State::default();
    }

    /// The dependency has failed. Says whether that has opened the breaker.
    pub(crate) fn failed(&self, now: Duration) -> bool {
        let mut state = self.state();
        let length = match *state {
            State::Closed { failures } if failures + 1 < FAILURES => {
                *state = State::Closed { failures: failures + 1 };
                return false;
            }
            State::Closed { .. } => SHORTEST,
            State::Trying { length, .. } => (2 * length).min(LONGEST),
            // A call from before it opened.
            State::Open { .. } => return false,
        };
        *state = State::Open { until: now + length, length };
        true
    }

    /// Whether calls are let through freely.
    #[cfg(test)]
    pub(crate) fn is_closed(&self) -> bool {
        matches!(*self.state(), State::Closed { .. })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_breaker_opens_after_failures_in_a_row_and_tries_again() {
        let breaker = Breaker::default();
        for _ in 1..FAILURES {
            assert!(!breaker.failed(s(1)));
        }
        breaker.succeeded();
        for _ in 1..FAILURES {
            assert!(!breaker.failed(s(1)));
        }
        assert!(breaker.failed(s(1)));
        assert_eq!(breaker.admit(s(1)), Err(Open(SHORTEST)));

        // One tries, the others wait for how it goes; each failure doubles the time.
        let mut now = s(1) + SHORTEST;
        assert_eq!(breaker.admit(now), Ok(()));
        assert_eq!(breaker.admit(now), Err(Open(TRIAL)));
        assert!(breaker.failed(now));
        assert_eq!(breaker.admit(now), Err(Open(2 * SHORTEST)));
        for _ in 0..20 {
            now += LONGEST;
            assert_eq!(breaker.admit(now), Ok(()));
            assert!(breaker.failed(now));
        }
        assert_eq!(breaker.admit(now), Err(Open(LONGEST)));

        // A caller that never says how it went does not keep the others out.
        now += LONGEST;
        assert_eq!(breaker.admit(now), Ok(()));
        assert_eq!(breaker.admit(now + TRIAL), Ok(()));
        breaker.succeeded();
        assert!(breaker.is_closed() && breaker.admit(now).is_ok());
    }
}
