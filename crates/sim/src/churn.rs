//! Coming and going: how long nodes stay, and how long they are away.
//!
//! Session lengths of real peer-to-peer networks follow a Weibull distribution with a shape well below one: many stay for
//! minutes, a few for days (D. Stutzbach, R. Rejaie, "Understanding Churn in Peer-to-Peer Networks", IMC 2006, for Gnutella,
//! Kad and BitTorrent). The shape here is [`SHAPE`], within what they report; the median is the caller's, two hours at most
//! by the project's requirement. Absences are drawn from an exponential distribution; a guess.

use std::{collections::BTreeMap, time::Duration};

use fastrand::Rng;

use crate::{Net, NodeId, crowd::Crowd};

/// Shape of the Weibull distribution of session lengths.
pub const SHAPE: f64 = 0.5;

/// How a population comes and goes.
#[derive(Clone, Copy, Debug)]
pub struct Sessions {
    /// Half of all sessions are shorter.
    pub median: Duration,
    /// Mean time of an absence.
    pub away: Duration,
    /// The part of all departures without a word; the others close their connections.
    pub silent: f64,
    /// Whether who comes back still knows what its earlier life remembered.
    pub warm: bool,
}

impl Default for Sessions {
    fn default() -> Self {
        Self { median: Duration::from_secs(2 * 3600), away: Duration::from_secs(10 * 60), silent: 0.5, warm: true }
    }
}

impl Sessions {
    /// The length of a session.
    pub fn session(&self, rng: &mut Rng) -> Duration {
        let scale = self.median.as_secs_f64() / std::f64::consts::LN_2.powf(1.0 / SHAPE);
        Duration::from_secs_f64(scale * (-(1.0 - rng.f64()).ln()).powf(1.0 / SHAPE))
    }

    fn absence(&self, rng: &mut Rng) -> Duration {
        Duration::from_secs_f64(self.away.as_secs_f64() * -(1.0 - rng.f64()).ln())
    }
}

/// Nodes that come and go.
#[derive(Debug)]
pub struct Churn {
    sessions: Sessions,
    /// When each node leaves or comes back; the number keeps those of one instant apart.
    due: BTreeMap<(Duration, u64), NodeId>,
    next: u64,
    rng: Rng,
    /// Departures so far.
    pub departures: usize,
    /// Returns so far.
    pub returns: usize,
}

impl Churn {
    /// These nodes begin to come and go. Each is somewhere in a session: of a session's length, a part drawn evenly is over.
    pub fn begin(net: &Net, nodes: &[NodeId], sessions: Sessions, seed: u64) -> Self {
        let mut churn = Self {
            sessions,
            due: BTreeMap::new(),
            next: 0,
            rng: Rng::with_seed(seed ^ 0xc4_0a11),
            departures: 0,
            returns: 0,
        };
        for node in nodes {
            let left = churn.sessions.session(&mut churn.rng).mul_f64(churn.rng.f64());
            churn.plan(net.now() + left, *node);
        }
        churn
    }

    /// When the next node leaves or comes back.
    pub fn next(&self) -> Option<Duration> {
        self.due.keys().next().map(|(at, _)| *at)
    }

    /// Lets those leave and come back whose time has come. Who comes back offers again what it offered.
    pub fn turn(&mut self, crowd: &mut Crowd) {
        while let Some(entry) = self.due.first_entry().filter(|entry| entry.key().0 <= crowd.net.now()) {
            let node = entry.remove();
            let net = &mut crowd.net;
            let pause = if net.is_alive(node) {
                self.departures += 1;
                if self.rng.f64() < self.sessions.silent {
                    net.lose(node)
                } else {
                    net.kill(node)
                }
                self.sessions.absence(&mut self.rng)
            } else {
                self.returns += 1;
                if self.sessions.warm {
                    net.restart_warm(node)
                } else {
                    net.restart(node)
                }
                crowd.offer_again(node);
                self.sessions.session(&mut self.rng)
            };
            self.plan(crowd.net.now() + pause, node);
        }
    }

    /// Lets this much time pass, with comings and goings.
    pub fn run_for(&mut self, crowd: &mut Crowd, time: Duration) {
        let end = crowd.net.now() + time;
        while let Some(at) = self.next().filter(|at| *at <= end) {
            crowd.net.run_for(at.saturating_sub(crowd.net.now()));
            self.turn(crowd);
        }
        crowd.net.run_for(end.saturating_sub(crowd.net.now()));
    }

    fn plan(&mut self, at: Duration, node: NodeId) {
        self.next += 1;
        self.due.insert((at, self.next), node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_the_sessions_are_under_two_hours_and_the_tail_is_heavy() {
        let sessions = Sessions::default();
        let mut rng = Rng::with_seed(1);
        let mut lengths: Vec<_> = (0..20_000).map(|_| sessions.session(&mut rng)).collect();
        lengths.sort();
        let hours = |part: usize| lengths[lengths.len() * part / 100].as_secs_f64() / 3600.0;
        assert!((1.8..2.2).contains(&hours(50)), "{} h", hours(50));
        assert!(hours(10) < 0.1, "one in ten stays for minutes: {} h", hours(10));
        assert!(hours(95) > 24.0, "one in twenty stays for days: {} h", hours(95));
    }
}
