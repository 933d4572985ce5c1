//! How long an answer is waited for before others are asked.
//!
//! A peer that is linked is known by its own times: smoothed time and deviation as of a retransmission timer (RFC 6298),
//! learned from its answers, or from pings while it has not answered anything. A peer that has to be dialled first is
//! judged by what this node's dials took lately. Patience is not a limit: who is slower is overtaken, and its answer still
//! counts when it comes.
//!
//! Bounds: two durations a peer; the last [`DIALS`] dials. Nothing here keeps a list of peers.

use std::time::Duration;

/// The least and the most patience with a linked peer. A silent peer costs a lookup the lower one, so it decides the tail
/// of lookups over short links; 40 ms covers a scheduler's delay on a busy machine (a guess), and overtaking too early
/// costs one message. The upper one is TCP's first
/// retransmission (1 s) and a round trip.
const LINKED: (Duration, Duration) = (Duration::from_millis(40), Duration::from_secs(2));

/// Patience with a linked peer of which no time is known yet.
const UNKNOWN: Duration = Duration::from_millis(500);

/// Time for links to be heard again after a wake: a radio that wakes up and a round trip, and short enough for the node to be
/// back in the network within three seconds of its wake. A guess.
pub(crate) const AWAKE: Duration = Duration::from_millis(1500);

/// The least patience with a ping out of turn: what a radio takes to wake up, and more than a page is busy between two
/// messages as a rule; a guess.
const PING: Duration = Duration::from_millis(400);

/// The least and the most patience with a peer that is dialled. The upper one is three WAN handshakes.
const DIALLED: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));

/// Patience with a dial while too few have succeeded to learn from: a WAN handshake takes five round trips.
const DIAL_UNKNOWN: Duration = Duration::from_millis(1500);

/// Dials remembered, and how many of them make a sample. A node dials some ten peers in a walk.
const DIALS: usize = 32;
const SAMPLE: usize = 5;

/// A smoothed time and its deviation, as RFC 6298 keeps them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Estimate {
    /// The smoothed time.
    pub(crate) smoothed: Duration,
    deviation: Duration,
}

impl Estimate {
    /// From the first measurement.
    pub(crate) fn new(first: Duration) -> Self {
        Self { smoothed: first, deviation: first / 2 }
    }

    /// One more measurement: weights 1/8 and 1/4.
    pub(crate) fn add(&mut self, time: Duration) {
        self.deviation = (self.deviation * 3 + self.smoothed.abs_diff(time)) / 4;
        self.smoothed = (self.smoothed * 7 + time) / 8;
    }

    /// One more measurement of what may not have been measured before.
    pub(crate) fn learn(known: &mut Option<Self>, time: Duration) {
        match known {
            Some(known) => known.add(time),
            None => *known = Some(Self::new(time)),
        }
    }

    fn limit(self, round_trips: u32) -> Duration {
        self.smoothed * round_trips + self.deviation * 4
    }
}

/// Patience with a linked peer, by the times of its answers and its pings.
pub(crate) fn linked(answers: Option<Estimate>, pings: Option<Estimate>) -> Duration {
    // A request opens a stream first, so it takes two round trips where a ping takes one.
    let limit = answers.map(|answers| answers.limit(1)).or(pings.map(|pings| pings.limit(2)));
    limit.unwrap_or(UNKNOWN).clamp(LINKED.0, LINKED.1)
}

/// Patience with a ping out of turn, by the peer's pings so far. Who does not answer in time may be there all the same.
pub(crate) fn ping(pings: Option<Estimate>) -> Duration {
    pings.map_or(AWAKE, |pings| pings.limit(1).clamp(PING, AWAKE))
}

/// What this node's dials took, until the first answer.
#[derive(Debug, Default)]
pub(crate) struct Dials {
    /// The last times, oldest overwritten first.
    times: Vec<Duration>,
    next: usize,
}

impl Dials {
    /// A peer was dialled and has answered after this time.
    pub(crate) fn took(&mut self, time: Duration) {
        if self.times.len() < DIALS {
            self.times.push(time);
        } else {
            self.times[self.next] = time;
        }
        self.next = (self.next + 1) % DIALS;
    }

    /// Patience with a peer that is to be dialled: one and a half times what nine of ten dials took.
    pub(crate) fn patience(&self) -> Duration {
        if self.times.len() < SAMPLE {
            return DIAL_UNKNOWN;
        }
        let mut times = self.times.clone();
        crate::map::sort_by_key(&mut times, |time| *time);
        let most = times[(times.len() * 9 / 10).min(times.len() - 1)];
        (most * 3 / 2).clamp(DIALLED.0, DIALLED.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn steady_links_are_waited_for_shortly_and_shaky_ones_longer() {
        let mut steady = Estimate::new(ms(20));
        assert_eq!(linked(Some(steady), None), ms(60), "the first time counts threefold");
        (0..20).for_each(|_| steady.add(ms(20)));
        assert_eq!(linked(Some(steady), None), LINKED.0);
        let mut shaky = Estimate::new(ms(100));
        (0..20).for_each(|i| shaky.add(ms(if i % 2 == 0 { 40 } else { 160 })));
        let patience = linked(Some(shaky), None);
        assert!(patience > ms(250) && patience < ms(450), "{patience:?}");
        (0..200).for_each(|_| shaky.add(Duration::from_secs(60)));
        assert_eq!(linked(Some(shaky), None), LINKED.1);
    }

    #[test]
    fn pings_stand_in_until_something_was_answered() {
        let ping = Some(Estimate::new(ms(50)));
        assert_eq!(linked(None, ping), ms(200));
        assert_eq!(linked(Some(Estimate::new(ms(100))), ping), ms(300));
        assert_eq!(linked(None, None), UNKNOWN);
    }

    #[test]
    fn a_ping_out_of_turn_has_at_least_what_a_radio_takes_and_at_most_what_a_wake_may() {
        assert_eq!(ping(None), AWAKE);
        assert_eq!(ping(Some(Estimate::new(ms(1)))), PING);
        assert_eq!(ping(Some(Estimate::new(ms(200)))), ms(600));
        assert_eq!(ping(Some(Estimate::new(ms(900)))), AWAKE);
    }

    #[test]
    fn dials_are_judged_by_the_last_ones() {
        let mut dials = Dials::default();
        (0..4).for_each(|_| dials.took(ms(100)));
        assert_eq!(dials.patience(), DIAL_UNKNOWN, "four are no sample");
        dials.took(ms(100));
        assert_eq!(dials.patience(), ms(150));
        dials.took(ms(900));
        dials.took(ms(100));
        assert_eq!(dials.patience(), ms(1350), "one in seven is more than one in ten");
        (0..DIALS).for_each(|_| dials.took(ms(200)));
        assert_eq!(dials.patience(), ms(300), "what is long past does not count");
        assert_eq!(dials.times.len(), DIALS);
    }
}
