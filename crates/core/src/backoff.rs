//! Exponential backoff with full jitter.
//!
//! The n-th delay is drawn evenly from half to the whole of `base * 2^n`, capped. Half of it is kept so that a restarted
//! relay is not met by everybody at once and yet nobody retries at once; the shape follows "Exponential Backoff And
//! Jitter" (AWS Architecture Blog, 2015), its "equal jitter".

use std::time::Duration;

use fastrand::Rng;

/// The state of one repeated attempt.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    base: Duration,
    cap: Duration,
    failures: u32,
}

impl Backoff {
    pub(crate) fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap, failures: 0 }
    }

    /// Counts a failure and draws the time to wait before the next attempt.
    pub(crate) fn fail(&mut self, rng: &mut Rng) -> Duration {
        let whole = self.base.saturating_mul(1 << self.failures.min(20)).min(self.cap);
        self.failures = self.failures.saturating_add(1);
        whole.mul_f64(0.5 + 0.5 * rng.f64())
    }

    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_cap_and_reset() {
        let mut rng = Rng::with_seed(7);
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        for whole in [100, 200, 400, 800, 1600, 2000, 2000] {
            let delay = backoff.fail(&mut rng).as_millis() as u64;
            assert!((whole / 2..=whole).contains(&delay), "{delay} ms for a step of {whole} ms");
        }
        backoff.reset();
        assert!(backoff.fail(&mut rng) <= Duration::from_millis(100));
    }
}
