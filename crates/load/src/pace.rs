//! When requests are due.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use tokio::{
    sync::Mutex,
    task::yield_now,
    time::{sleep_until, timeout_at},
};

/// The clock of the runtime counts milliseconds; what is nearer is waited for by looking.
const NEAR: Duration = Duration::from_millis(2);

/// Hands out the times at which requests are due.
pub(crate) enum Pace {
    /// Open loop: requests are due at equal distances, whatever becomes of those before.
    Open(Open),
    /// Closed loop: each connection asks again as soon as it has its answer.
    Closed {
        /// When no request is due any more.
        until: Instant,
    },
}

/// See [`Pace::Open`].
pub(crate) struct Open {
    start: Instant,
    until: Instant,
    interval: Duration,
    /// Whose turn it is to wait for the next time. Idle connections stand in line; if all are busy, requests become overdue.
    turn: Mutex<u32>,
    /// How late the generator was although a connection was idle, at most.
    lag: Cell<Duration>,
}

impl Pace {
    /// `rate` requests a second from a moment from now on, for `length`.
    pub(crate) fn open(rate: u32, length: Duration) -> Self {
        let start = Instant::now() + Duration::from_millis(100);
        let interval = Duration::from_secs(1) / rate;
        Self::Open(Open { start, until: start + length, interval, turn: Mutex::new(0), lag: Cell::default() })
    }

    /// As fast as the answers come, for `length`.
    pub(crate) fn closed(length: Duration) -> Self {
        Self::Closed { until: Instant::now() + length }
    }

    /// Waits for the next request to be due, and gives the time at which it was; `None` at the end.
    pub(crate) async fn next(&self) -> Option<Instant> {
        match self {
            Self::Open(open) => open.next().await,
            Self::Closed { until } => Some(Instant::now()).filter(|now| now < until),
        }
    }

    /// How late the generator itself was, at most: more than a few milliseconds, and the figures are its own.
    pub(crate) fn lag(&self) -> Duration {
        match self {
            Self::Open(open) => open.lag.get(),
            Self::Closed { .. } => Duration::ZERO,
        }
    }
}

impl Open {
    async fn next(&self) -> Option<Instant> {
        // What is due after the end is nobody's.
        let mut turn = timeout_at((self.until + NEAR).into(), self.turn.lock()).await.ok()?;
        let due = self.start + self.interval * *turn;
        if due >= self.until {
            return None;
        }
        *turn += 1;
        let mut waited = false;
        loop {
            let now = Instant::now();
            if now >= due {
                if waited {
                    self.lag.set(self.lag.get().max(now - due));
                }
                return Some(due);
            }
            waited = true;
            match due - now {
                far if far > NEAR => sleep_until((due - NEAR).into()).await,
                _ => yield_now().await,
            }
        }
    }
}
