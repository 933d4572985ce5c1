//! How long an entry stays in each state, and when nobody is judged.

use std::time::Duration;

use super::State;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The times of a lifecycle. Where no source is named, the default comes from requirement D2.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LifecycleConfig {
    /// How often nodes are asked to send a heartbeat, and how long one that has hung up is waited for. The default is 30 s:
    /// 3 300 heartbeats a second of 100 000 nodes; a guess.
    pub heartbeat: Duration,
    /// Silence after which a node is checked. The default is 90 s, three heartbeats.
    pub active: Duration,
    /// How long the first check may take. The default is 5 min, in which a machine restarts; a guess.
    pub first_check: Duration,
    /// How long a node stays in `failed-first-check`. The default is 1 h, in which somebody repairs what broke; a guess.
    pub failed_first_check: Duration,
    /// The wait before the first retry. The default is 48 h.
    pub first_retry: Duration,
    /// The wait before the second retry. The default is two weeks.
    pub second_retry: Duration,
    /// The wait before the third retry. The default is two months, counted as 60 days.
    pub third_retry: Duration,
    /// How long a node lies in a coma before it is dead. The default is two years, counted as 730 days.
    pub coma: Duration,
    /// How long a node that said it would stop may take until it does. The default is 1 h, a long drain of connections; a guess.
    pub draining: Duration,
    /// How long nobody is judged after a start, after a stall, and when a mass silence ends. The default is 90 s: a node in
    /// good health sends three heartbeats in it.
    pub grace: Duration,
    /// When silence is taken for the directory's own fault.
    pub brake: BrakeConfig,
    /// Moves of one [`handle_timeout`](super::Lifecycle::handle_timeout). What remains is due at once, so this bounds the
    /// time of one call and the outputs that pile up, not the work. The default is 4 096, below a millisecond.
    pub moves: usize,
}

/// When a mass silence trips the brake. Both thresholds must be reached.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BrakeConfig {
    /// How many nodes must have gone silent. The default is 10, below which a share means little.
    pub count: usize,
    /// Which share, in percent, of the nodes that were there. The default is 25: in five minutes nodes that stay an hour on
    /// average lose 8 %; Eureka's self-preservation stops at 15 % in one minute.
    pub percent: u32,
    /// The time within which they must have gone silent. The default is 5 min; a guess.
    pub window: Duration,
    /// The longest that the brake holds; then whoever is silent moves on, and as many again trip it again. The default is 24 h,
    /// the length of an outage that somebody notices; a guess.
    pub limit: Duration,
}

impl Default for LifecycleConfig {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(30),
            active: Duration::from_secs(90),
            first_check: 5 * MINUTE,
            failed_first_check: HOUR,
            first_retry: 48 * HOUR,
            second_retry: 14 * DAY,
            third_retry: 60 * DAY,
            coma: 730 * DAY,
            draining: HOUR,
            grace: Duration::from_secs(90),
            brake: BrakeConfig::default(),
            moves: 4096,
        }
    }
}

impl Default for BrakeConfig {
    fn default() -> Self {
        Self { count: 10, percent: 25, window: 5 * MINUTE, limit: DAY }
    }
}

impl LifecycleConfig {
    /// How long an entry stays in a state without being heard; dead entries stay so.
    pub fn stay(&self, state: State) -> Duration {
        match state {
            State::Active => self.active,
            State::Draining => self.draining,
            State::PendingFirstCheck => self.first_check,
            State::FailedFirstCheck => self.failed_first_check,
            State::Retry48Hours => self.first_retry,
            State::Retry2Weeks => self.second_retry,
            State::Retry2Months => self.third_retry,
            State::Coma => self.coma,
            State::Dead => Duration::MAX,
        }
    }

    /// Checks that the times fit together.
    pub fn validate(&self) -> Result<(), LifecycleConfigError> {
        let order = [
            ("heartbeat", self.heartbeat),
            ("active", self.active),
            ("first_check", self.first_check),
            ("failed_first_check", self.failed_first_check),
            ("first_retry", self.first_retry),
            ("second_retry", self.second_retry),
            ("third_retry", self.third_retry),
            ("coma", self.coma),
        ];
        let others = [("draining", self.draining), ("brake.limit", self.brake.limit)];
        for (name, time) in order.iter().chain(&others) {
            if !(Duration::from_millis(1)..=LONGEST).contains(time) {
                return Err(LifecycleConfigError::Range { name, time: *time });
            }
        }
        for pair in order.windows(2) {
            let [(shorter, less), (longer, more)] = pair else { continue };
            if less > more {
                return Err(LifecycleConfigError::Order { shorter, longer });
            }
        }
        if self.heartbeat.saturating_mul(2) > self.active {
            return Err(LifecycleConfigError::Heartbeat);
        }
        if self.grace < self.active {
            return Err(LifecycleConfigError::Grace);
        }
        if self.brake.count == 0 || !(1..=100).contains(&self.brake.percent) || self.moves == 0 {
            return Err(LifecycleConfigError::Brake);
        }
        Ok(())
    }
}

/// No time is longer: a century, so that sums of times and dates cannot overflow.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Why times of a lifecycle cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LifecycleConfigError {
    /// A time is out of bounds.
    #[error("{name} of {time:?} is not between 1 ms and 100 years")]
    Range {
        /// The field.
        name: &'static str,
        /// Its value.
        time: Duration,
    },
    /// Patience must grow.
    #[error("{shorter} is longer than {longer}; each wait must be at least as long as the one before it")]
    Order {
        /// The field that must be less.
        shorter: &'static str,
        /// The field that must be more.
        longer: &'static str,
    },
    /// One lost heartbeat would be silence.
    #[error("active is shorter than two heartbeats, so one that is lost would make a node silent")]
    Heartbeat,
    /// A node in good health could be judged after a restart.
    #[error("grace is shorter than active, so a restart would find nodes silent that are not")]
    Grace,
    /// The brake would always hold, or never, or nothing would ever move.
    #[error("brake.count and moves must be at least 1, and brake.percent from 1 to 100")]
    Brake,
}
