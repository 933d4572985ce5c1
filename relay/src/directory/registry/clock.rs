//! The time, which tests set.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use openred_core::time::{Now, millis};
use tokio::time::Instant;

/// Tells the time.
pub(crate) trait Clock: Send + Sync + 'static {
    /// The present moment.
    fn now(&self) -> Now;
}

/// The machine's clocks.
#[derive(Debug)]
pub(crate) struct SystemClock {
    started: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { started: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Now { elapsed: self.started.elapsed(), unix_ms: millis(unix) }
    }
}

/// A clock that runs with tokio's, from the time at which the stories of the stores happen.
#[cfg(test)]
pub(crate) struct TestClock(Instant);

#[cfg(test)]
impl TestClock {
    pub(crate) fn start() -> std::sync::Arc<Self> {
        std::sync::Arc::new(Self(Instant::now()))
    }
}

#[cfg(test)]
impl Clock for TestClock {
    fn now(&self) -> Now {
        let epoch = super::super::store::conformance::NOW;
        Now { elapsed: self.0.elapsed(), unix_ms: epoch + millis(self.0.elapsed()) }
    }
}
