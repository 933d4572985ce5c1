//! The lifecycle's own time, and when it stands still.

use std::{collections::VecDeque, num::NonZeroU64, time::Duration};

use super::{BrakeConfig, EntryId};
use crate::time::{Now, millis};

/// Why time stands still.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cause {
    /// The directory started, or its process stood still.
    Absence,
    /// Many nodes went silent at once.
    MassSilence,
}

impl Cause {
    /// The cause's name for people and programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Absence => "absence",
            Self::MassSilence => "mass-silence",
        }
    }
}

/// A time in which nobody is judged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Hold {
    /// Why.
    pub cause: Cause,
    /// Since when, in milliseconds since the Unix epoch.
    pub since: u64,
    /// How many nodes went silent lately and are not back.
    pub silent: usize,
}

/// When an entry went silent: the lifecycle's time, counted from one so that none takes no room.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Silence(NonZeroU64);

impl Silence {
    fn at(time: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(time))
    }

    fn began_before(self, time: u64) -> bool {
        self.0.get() <= time
    }
}

#[derive(Debug)]
struct Held {
    cause: Cause,
    /// When it began, by both clocks.
    began: Now,
    /// When it ends at the latest, in elapsed time.
    limit: Duration,
    /// When it ends because the cause is gone, in elapsed time.
    eased: Option<Duration>,
}

/// The lifecycle's time: elapsed time without that in which it stood still.
#[derive(Debug)]
pub(super) struct Brake {
    /// The elapsed time at which the lifecycle's time was zero, if it had never stood still.
    origin: Duration,
    /// How long it stood still, up to the present hold.
    skipped: Duration,
    held: Option<Held>,
    /// Who went silent and when; some have been heard since. At most one for each entry and window.
    recent: VecDeque<(Silence, EntryId)>,
    /// How many of them have not.
    silent: usize,
}

impl Brake {
    pub(super) fn new(now: Now) -> Self {
        Self { origin: now.elapsed, skipped: Duration::ZERO, held: None, recent: VecDeque::new(), silent: 0 }
    }

    /// The lifecycle's time, in milliseconds.
    pub(super) fn time(&self, now: Now) -> u64 {
        let elapsed = self.held.as_ref().map_or(now.elapsed, |held| held.began.elapsed);
        millis(elapsed.saturating_sub(self.origin).saturating_sub(self.skipped))
    }

    /// The elapsed time at which the lifecycle's time is `time`, if it does not stand still until then.
    pub(super) fn elapsed_at(&self, time: u64) -> Duration {
        self.origin + self.skipped + Duration::from_millis(time)
    }

    pub(super) fn held(&self) -> Option<Hold> {
        let held = self.held.as_ref()?;
        Some(Hold { cause: held.cause, since: held.began.unix_ms, silent: self.silent })
    }

    /// When the hold ends, as far as is known, in elapsed time.
    pub(super) fn ends_at(&self) -> Option<Duration> {
        self.held.as_ref().map(|held| held.eased.unwrap_or(held.limit).min(held.limit))
    }

    pub(super) fn at_limit(&self, now: Now) -> bool {
        self.held.as_ref().is_some_and(|held| held.limit <= now.elapsed)
    }

    /// Time stands still until `limit` at most. A hold that is there stays, and lasts as long as either would. What begins
    /// with this.
    pub(super) fn hold(&mut self, now: Now, cause: Cause, limit: Duration) -> Option<Hold> {
        if let Some(held) = &mut self.held {
            held.limit = held.limit.max(limit);
            held.eased = held.eased.map(|eased| eased.max(limit));
            return None;
        }
        self.held = Some(Held { cause, began: now, limit, eased: None });
        self.held()
    }

    /// Time goes on. What ends with this.
    pub(super) fn release(&mut self, now: Now) -> Option<Hold> {
        let hold = self.held()?;
        let held = self.held.take()?;
        self.skipped += now.elapsed.saturating_sub(held.began.elapsed);
        Some(hold)
    }

    /// The silent ones are back: time goes on at `end`, if it stands still because of them.
    pub(super) fn ease(&mut self, end: Duration) {
        if let Some(held) = &mut self.held
            && held.cause == Cause::MassSilence
        {
            held.eased.get_or_insert(end);
        }
    }

    /// An entry went silent.
    pub(super) fn note(&mut self, time: u64, id: EntryId) -> Silence {
        let silence = Silence::at(time);
        self.recent.push_back((silence, id));
        self.silent += 1;
        silence
    }

    /// The entry of a silence is back, or gone.
    pub(super) fn forget(&mut self, silent: Option<Silence>) {
        self.silent -= usize::from(silent.is_some());
    }

    /// The next one whose silence began before `time` and counts no longer, to be passed to [`Brake::forget`] if it has not
    /// been heard since.
    pub(super) fn outdated(&mut self, time: u64) -> Option<(Silence, EntryId)> {
        if self.recent.front()?.0.began_before(time) { self.recent.pop_front() } else { None }
    }

    /// Whether too many are silent, where `there` are not.
    pub(super) fn is_tripped(&self, config: &BrakeConfig, there: usize) -> bool {
        self.silent >= config.count && self.silent * 100 >= config.percent as usize * (there + self.silent)
    }

    /// Whether the share of the silent ones has fallen to less than half of what trips the brake.
    pub(super) fn is_over(&self, config: &BrakeConfig, there: usize) -> bool {
        self.silent * 200 < config.percent as usize * (there + self.silent)
    }
}
