use std::time::Duration;

use proptest::prelude::*;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// When the stories begin.
const EPOCH: u64 = 1_795_000_000_000;

/// A lifecycle with a clock that is set by hand.
struct Directory {
    lifecycle: Lifecycle,
    now: Now,
    outputs: Vec<Output>,
}

impl Directory {
    fn new() -> Self {
        Self::with(LifecycleConfig::default())
    }

    fn with(config: LifecycleConfig) -> Self {
        config.validate().unwrap();
        let now = Now { elapsed: Duration::from_secs(7), unix_ms: EPOCH };
        Self { lifecycle: Lifecycle::new(config, now), now, outputs: Vec::new() }
    }

    fn admit(&mut self, nodes: usize) -> Vec<EntryId> {
        (0..nodes).map(|_| self.lifecycle.admit(self.now)).collect()
    }

    fn hear(&mut self, nodes: &[EntryId]) {
        for node in nodes {
            self.lifecycle.handle_heard(self.now, *node);
        }
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.lifecycle.poll_output() {
            self.outputs.push(output);
        }
    }

    /// Lets time pass, calling whenever the machine asks for it.
    fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.lifecycle.poll_timeout().filter(|due| *due <= end.elapsed) {
            self.now = self.now + due.saturating_sub(self.now.elapsed);
            self.lifecycle.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    /// Lets time pass while these nodes send heartbeats.
    fn run_with(&mut self, beating: &[EntryId], time: Duration) {
        let end = self.now + time;
        while self.now.elapsed < end.elapsed {
            self.hear(beating);
            self.run_for(self.lifecycle.config().heartbeat.min(end.elapsed - self.now.elapsed));
        }
    }

    fn state(&self, node: EntryId) -> Option<State> {
        self.lifecycle.state(node)
    }

    fn count(&self, state: State) -> usize {
        self.lifecycle.count(state)
    }

    /// The moves since the last call: seconds since the beginning, and the state.
    fn moves(&mut self) -> Vec<(u64, State)> {
        let moves = self.outputs.drain(..).filter_map(|output| match output {
            Output::Moved { standing, .. } => Some(((standing.since - EPOCH) / 1000, standing.state)),
            _ => None,
        });
        moves.collect()
    }

    /// How many checks were asked for since the last call.
    fn checks(&mut self) -> usize {
        self.outputs.drain(..).filter(|output| matches!(output, Output::Check(_))).count()
    }
}

#[test]
fn silence_is_followed_by_these_states_at_these_seconds() {
    let mut directory = Directory::new();
    let node = directory.admit(1)[0];
    directory.run_for(1000 * DAY);
    let (hour, day) = (3600, 86_400);
    let mut at = 0;
    let mut after = |seconds| {
        at += seconds;
        at
    };
    let expected = [
        (after(90), State::PendingFirstCheck),
        (after(300), State::FailedFirstCheck),
        (after(hour), State::Retry48Hours),
        (after(48 * hour), State::Retry2Weeks),
        (after(14 * day), State::Retry2Months),
        (after(60 * day), State::Coma),
        (after(730 * day), State::Dead),
    ];
    assert_eq!(directory.moves(), expected);
    assert_eq!(directory.state(node), None, "a dead entry is gone");
    assert!(directory.lifecycle.is_empty());
    assert_eq!(directory.lifecycle.poll_timeout(), None);
}

#[test]
fn a_state_begins_at_its_deadline_and_not_a_millisecond_before() {
    let mut directory = Directory::new();
    let node = directory.admit(1)[0];
    for _ in 0..6 {
        let standing = directory.lifecycle.standing(directory.now, node).unwrap();
        let left = Duration::from_millis(standing.deadline - directory.now.unix_ms);
        assert_eq!(left, directory.lifecycle.config().stay(standing.state));
        directory.run_for(left - Duration::from_millis(1));
        assert_eq!(directory.state(node), Some(standing.state));
        directory.run_for(Duration::from_millis(1));
        assert_eq!(directory.state(node), Some(standing.state.after_silence()));
    }
    assert_eq!(directory.state(node), Some(State::Coma));
}

#[test]
fn checks_are_asked_for_at_the_first_silence_and_at_the_end_of_each_retry() {
    let mut directory = Directory::new();
    directory.admit(1);
    for (time, checks) in
        [(90 * MINUTE / 60, 1), (2 * HOUR, 0), (48 * HOUR, 1), (14 * DAY, 1), (60 * DAY, 1), (400 * DAY, 0)]
    {
        directory.run_for(time);
        assert_eq!(directory.checks(), checks, "after {time:?} more");
    }
}

#[test]
fn heartbeats_keep_a_node_active_for_ever_and_cost_no_moves() {
    let mut directory = Directory::new();
    let nodes = directory.admit(3);
    directory.run_with(&nodes, 2 * DAY);
    assert_eq!(directory.count(State::Active), 3);
    assert_eq!(directory.moves(), []);
}

#[test]
fn one_heartbeat_revives_from_every_state_but_death() {
    for days in [0, 1, 3, 10, 30, 100, 500, 800] {
        let mut directory = Directory::new();
        let node = directory.admit(1)[0];
        directory.run_for(days * DAY + 2 * MINUTE);
        let before = directory.state(node).unwrap();
        assert_ne!(before, State::Active);
        assert!(directory.lifecycle.handle_heard(directory.now, node));
        assert_eq!(directory.state(node), Some(State::Active));
        directory.drain();
        directory.moves();
        directory.run_for(90 * MINUTE / 60);
        assert_eq!(
            directory.state(node),
            Some(State::PendingFirstCheck),
            "revived from {before}, it has its whole time again"
        );
    }
    let mut directory = Directory::new();
    let node = directory.admit(1)[0];
    directory.run_for(1000 * DAY);
    assert!(!directory.lifecycle.handle_heard(directory.now, node));
    assert_eq!(directory.lifecycle.len(), 0);
}

#[test]
fn a_failed_check_ends_a_pending_first_check_and_nothing_else() {
    let mut directory = Directory::new();
    let node = directory.admit(1)[0];
    directory.lifecycle.handle_unreached(directory.now, node);
    assert_eq!(directory.state(node), Some(State::Active), "heartbeats outweigh checks");
    directory.run_for(2 * MINUTE);
    directory.lifecycle.handle_unreached(directory.now, node);
    assert_eq!(directory.state(node), Some(State::FailedFirstCheck));
    directory.lifecycle.handle_unreached(directory.now, node);
    assert_eq!(directory.state(node), Some(State::FailedFirstCheck));
}

#[test]
fn nodes_that_hang_up_are_waited_for_and_do_not_trip_the_brake() {
    let mut directory = Directory::new();
    let pages = directory.admit(40);
    let servers = directory.admit(40);
    for page in &pages {
        directory.lifecycle.handle_hung_up(directory.now, *page);
    }
    assert_eq!(directory.count(State::Active), 80, "hanging up is no move");
    directory.run_with(&servers, 2 * MINUTE);
    assert_eq!(directory.lifecycle.held(), None);
    assert_eq!(directory.count(State::PendingFirstCheck), 40);

    directory.hear(&pages);
    directory.run_with(&servers, 2 * MINUTE);
    let hold = directory.lifecycle.held().expect("who was heard again and is silent counts as anybody does");
    assert_eq!(hold.cause, Cause::MassSilence);
}

#[test]
fn who_hangs_up_is_asked_after_soon_unless_it_is_heard() {
    let mut directory = Directory::new();
    let nodes = directory.admit(3);
    let [gone, back, other] = nodes[..] else { unreachable!() };
    directory.run_for(10 * MINUTE / 60);
    for node in [gone, back] {
        directory.lifecycle.handle_hung_up(directory.now, node);
    }
    assert!(directory.lifecycle.has_hung_up(gone) && !directory.lifecycle.has_hung_up(other));
    directory.run_for(29 * MINUTE / 60);
    directory.hear(&[back]);
    directory.run_for(MINUTE / 60);
    assert_eq!(directory.moves(), [(40, State::PendingFirstCheck)]);
    assert_eq!(directory.state(gone), Some(State::PendingFirstCheck));
    directory.run_for(50 * MINUTE / 60);
    assert_eq!(directory.moves(), [(90, State::PendingFirstCheck)], "who is silent has its whole time");
    directory.run_for(39 * MINUTE / 60);
    assert_eq!(directory.moves(), [(129, State::PendingFirstCheck)], "and so has who was heard again");

    directory.hear(&[gone]);
    directory.run_for(80 * MINUTE / 60);
    directory.lifecycle.handle_hung_up(directory.now, gone);
    directory.run_for(10 * MINUTE / 60);
    assert_eq!(directory.state(gone), Some(State::PendingFirstCheck), "hanging up prolongs nothing");
}

#[test]
fn a_planned_stop_is_not_checked_and_leads_to_the_retries() {
    let mut directory = Directory::new();
    let node = directory.admit(1)[0];
    directory.lifecycle.handle_farewell(directory.now, node);
    directory.run_for(HOUR + MINUTE);
    assert_eq!(directory.state(node), Some(State::Retry48Hours));
    assert_eq!(directory.checks(), 0);
    directory.hear(&[node]);
    directory.lifecycle.handle_farewell(directory.now, node);
    directory.hear(&[node]);
    assert_eq!(directory.state(node), Some(State::Active), "it did not stop");
}

#[test]
fn when_many_fall_silent_nobody_is_judged_until_they_are_back() {
    let mut directory = Directory::new();
    let nodes = directory.admit(1000);
    directory.run_with(&nodes, 10 * MINUTE);
    directory.run_for(3 * DAY / 4);
    let hold = directory.lifecycle.held().expect("the brake holds");
    assert_eq!((hold.cause, hold.silent), (Cause::MassSilence, 250));
    assert_eq!((directory.count(State::Active), directory.count(State::PendingFirstCheck)), (750, 250));

    // An outage is over: all are heard again, and judged again after the time of grace.
    let over = directory.now;
    directory.hear(&nodes);
    assert_eq!(directory.count(State::Active), 1000);
    directory.run_with(&nodes[..990], 10 * MINUTE);
    assert_eq!(directory.lifecycle.held(), None);
    let released = directory.outputs.iter().any(|output| matches!(output, Output::Released(_)));
    assert!(released, "the end of the hold is told");
    assert!(directory.now.elapsed > over.elapsed + directory.lifecycle.config().grace);
    assert_eq!(directory.count(State::Active), 990, "ten did not come back, and are judged");
}

#[test]
fn a_silence_below_either_threshold_trips_nothing() {
    let mut directory = Directory::new();
    let nodes = directory.admit(1000);
    directory.run_with(&nodes[..760], HOUR);
    assert_eq!(directory.lifecycle.held(), None, "24 % fell silent");
    assert_eq!(directory.count(State::FailedFirstCheck), 240);

    let mut directory = Directory::new();
    directory.admit(9);
    directory.run_for(HOUR);
    assert_eq!(directory.lifecycle.held(), None, "nine of nine are too few to tell");
}

#[test]
fn while_the_brake_holds_failed_checks_mean_nothing_and_signs_of_life_do() {
    let mut directory = Directory::new();
    let nodes = directory.admit(100);
    directory.run_for(HOUR);
    assert!(directory.lifecycle.held().is_some());
    let pending: Vec<_> =
        nodes.iter().copied().filter(|node| directory.state(*node) == Some(State::PendingFirstCheck)).collect();
    for node in &pending {
        directory.lifecycle.handle_unreached(directory.now, *node);
    }
    assert_eq!(directory.count(State::PendingFirstCheck), pending.len());
    directory.hear(&pending[..1]);
    assert_eq!(directory.count(State::PendingFirstCheck), pending.len() - 1);
    assert_eq!(directory.lifecycle.held().unwrap().silent, pending.len() - 1);
}

#[test]
fn an_operator_or_the_limit_lets_the_brake_go_and_the_next_quarter_trips_it_again() {
    let mut directory = Directory::new();
    directory.admit(1000);
    directory.run_for(HOUR);
    directory.lifecycle.release(directory.now);
    assert_eq!(directory.lifecycle.held(), None);
    directory.run_for(10 * MINUTE);
    assert_eq!(directory.lifecycle.held().unwrap().silent, 188, "a quarter of the 750 that were left, rounded up");
    directory.run_for(DAY);
    assert_eq!(directory.count(State::Active), 421, "the limit let it go, and a quarter of 562 followed");
}

#[test]
fn a_restart_judges_nobody_before_the_time_of_grace() {
    let mut directory = Directory::new();
    let long_ago = Standing { state: State::Active, since: EPOCH - 1000, deadline: EPOCH - 500 };
    let nodes: Vec<_> = (0..9).map(|_| directory.lifecycle.restore(directory.now, long_ago).unwrap()).collect();
    directory.lifecycle.handle_absence(directory.now);
    directory.run_for(Duration::from_secs(89));
    assert_eq!(directory.lifecycle.held().unwrap().cause, Cause::Absence);
    directory.hear(&nodes[..4]);
    directory.run_for(Duration::from_secs(2));
    assert_eq!((directory.count(State::Active), directory.count(State::PendingFirstCheck)), (4, 5));
}

#[test]
fn what_is_restored_has_the_rest_of_its_time_and_a_wrong_clock_costs_one_step_at_most() {
    let week = 7 * 86_400_000;
    let standing = Standing { state: State::Retry2Weeks, since: EPOCH - week, deadline: EPOCH + week };
    let mut directory = Directory::new();
    let node = directory.lifecycle.restore(directory.now, standing).unwrap();
    assert_eq!(directory.lifecycle.standing(directory.now, node), Some(standing));

    // The directory was away for ten years, or its clock is wrong.
    let mut directory = Directory::new();
    directory.now.unix_ms += 10 * 365 * 86_400_000;
    let node = directory.lifecycle.restore(directory.now, standing).unwrap();
    directory.run_for(DAY);
    assert_eq!(directory.state(node), Some(State::Retry2Months));

    // Its clock was ten years ahead when it wrote.
    let mut directory = Directory::new();
    let ahead = Standing { deadline: EPOCH + 10 * 365 * 86_400_000, ..standing };
    let node = directory.lifecycle.restore(directory.now, ahead).unwrap();
    directory.run_for(14 * DAY);
    assert_eq!(directory.state(node), Some(State::Retry2Months));
}

#[test]
fn a_process_that_stood_still_gives_everybody_the_time_of_grace() {
    let mut directory = Directory::new();
    let nodes = directory.admit(5);
    directory.now = directory.now + HOUR;
    directory.lifecycle.handle_timeout(directory.now);
    assert_eq!(directory.lifecycle.held().unwrap().cause, Cause::Absence);
    assert_eq!(directory.count(State::Active), 5);
    directory.run_with(&nodes, 5 * MINUTE);
    assert_eq!((directory.count(State::Active), directory.lifecycle.held()), (5, None));
}

#[test]
fn a_wall_clock_that_jumps_moves_nobody() {
    let mut directory = Directory::new();
    let nodes = directory.admit(20);
    directory.now.unix_ms += 5 * 365 * 86_400_000;
    directory.run_with(&nodes, 5 * MINUTE);
    assert_eq!(directory.count(State::Active), 20);
}

#[test]
fn numbers_of_removed_entries_are_given_again_with_nothing_of_the_old() {
    let mut directory = Directory::new();
    let nodes = directory.admit(3);
    directory.run_for(10 * MINUTE);
    directory.lifecycle.remove(nodes[1]);
    directory.lifecycle.remove(nodes[1]);
    assert_eq!(directory.lifecycle.len(), 2);
    let again = directory.admit(1)[0];
    assert_eq!(again, nodes[1]);
    assert_eq!(directory.state(again), Some(State::Active));
    assert_eq!(directory.lifecycle.ids().count(), 3);
}

#[test]
fn an_entry_costs_what_the_documentation_says() {
    assert_eq!(size_of::<Option<Entry>>() + size_of::<(u64, EntryId, u32)>(), 48);
}

#[test]
fn one_call_makes_a_bounded_number_of_moves_and_asks_for_the_next_at_once() {
    let mut config = LifecycleConfig { moves: 10, ..LifecycleConfig::default() };
    config.brake.count = usize::MAX;
    let mut directory = Directory::with(config);
    directory.admit(35);
    directory.now = directory.now + Duration::from_secs(90);
    for left in [25, 15, 5, 0] {
        assert!(directory.lifecycle.poll_timeout().unwrap() <= directory.now.elapsed);
        directory.lifecycle.handle_timeout(directory.now);
        assert_eq!(directory.count(State::Active), left);
    }
    assert!(directory.lifecycle.poll_timeout().unwrap() > directory.now.elapsed);
}

#[test]
fn times_that_do_not_fit_together_are_refused_by_name() {
    let refused = |change: fn(&mut LifecycleConfig)| {
        let mut config = LifecycleConfig::default();
        change(&mut config);
        config.validate().unwrap_err().to_string()
    };
    for (text, expected) in [
        (refused(|config| config.coma = DAY), "third_retry is longer than coma"),
        (refused(|config| config.active = Duration::from_secs(40)), "shorter than two heartbeats"),
        (refused(|config| config.grace = Duration::from_secs(1)), "grace is shorter than active"),
        (refused(|config| config.first_retry = Duration::ZERO), "first_retry of 0ns"),
        (refused(|config| config.coma = Duration::MAX), "coma of"),
        (refused(|config| config.brake.percent = 101), "brake.percent"),
        (refused(|config| config.moves = 0), "moves"),
    ] {
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn names_of_states_lead_back_to_them() {
    for state in State::ALL {
        assert_eq!(state.as_str().parse(), Ok(state));
    }
    let error = "asleep".parse::<State>().unwrap_err().to_string();
    assert!(error.contains("active, draining, pending-first-check"), "{error}");
}

/// What can happen to a directory of eight nodes.
#[derive(Clone, Debug)]
enum Happens {
    Admit,
    Restore(usize, u64, i64),
    Heard(usize),
    Unreached(usize),
    Farewell(usize),
    HungUp(usize),
    Remove(usize),
    Release,
    Absence,
    Passes(u64),
    Sleeps(u64),
}

fn happens() -> impl Strategy<Value = Happens> {
    let node = 0..8_usize;
    let time = prop_oneof![0..200_000_u64, 0..400_000_000_u64, 0..90_000_000_000_u64];
    prop_oneof![
        3 => Just(Happens::Admit),
        1 => (0..STATES, 0..u64::MAX, any::<i64>()).prop_map(|(state, since, left)| Happens::Restore(state, since, left)),
        4 => node.clone().prop_map(Happens::Heard),
        2 => node.clone().prop_map(Happens::Unreached),
        1 => node.clone().prop_map(Happens::Farewell),
        1 => node.clone().prop_map(Happens::HungUp),
        1 => node.prop_map(Happens::Remove),
        1 => Just(Happens::Release),
        1 => Just(Happens::Absence),
        6 => time.clone().prop_map(Happens::Passes),
        1 => time.prop_map(Happens::Sleeps),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn in_any_order_of_events_moves_are_legal_and_patience_grows(
        events in proptest::collection::vec(happens(), 1..80),
        count in 1..6_usize,
    ) {
        let mut config = LifecycleConfig::default();
        config.brake.count = count;
        let mut directory = Directory::with(config);
        let mut known = std::collections::BTreeMap::<EntryId, Standing>::new();
        for event in events {
            let ids: Vec<EntryId> = directory.lifecycle.ids().collect();
            let pick = |number: usize| ids.get(number % ids.len().max(1)).copied();
            let (now, held) = (directory.now, directory.lifecycle.held().is_some());
            match event {
                Happens::Admit if ids.len() < 8 => {
                    known.insert(directory.lifecycle.admit(now), Standing { state: State::Active, since: 0, deadline: 0 });
                }
                Happens::Admit => {}
                Happens::Restore(state, since, left) => {
                    let standing = Standing { state: State::ALL[state], since, deadline: EPOCH.saturating_add_signed(left) };
                    if ids.len() < 8 && let Some(id) = directory.lifecycle.restore(now, standing) {
                        known.insert(id, Standing { deadline: 0, ..standing });
                    }
                }
                Happens::Heard(number) => {
                    if let Some(id) = pick(number) {
                        let revived = directory.lifecycle.handle_heard(now, id);
                        prop_assert_eq!(directory.state(id), Some(State::Active));
                        if !revived {
                            known.entry(id).and_modify(|standing| standing.deadline = 0);
                        }
                    }
                }
                Happens::Unreached(number) => {
                    if let Some(id) = pick(number) {
                        directory.lifecycle.handle_unreached(now, id);
                    }
                }
                Happens::Farewell(number) => {
                    if let Some(id) = pick(number) {
                        directory.lifecycle.handle_farewell(now, id);
                    }
                }
                Happens::HungUp(number) => {
                    if let Some(id) = pick(number) {
                        let before = directory.state(id);
                        directory.lifecycle.handle_hung_up(now, id);
                        prop_assert_eq!(directory.state(id), before);
                    }
                }
                Happens::Remove(number) => {
                    if let Some(id) = pick(number) {
                        directory.lifecycle.remove(id);
                        known.remove(&id);
                    }
                }
                Happens::Release => directory.lifecycle.release(now),
                Happens::Absence => directory.lifecycle.handle_absence(now),
                Happens::Passes(millis) => directory.run_for(Duration::from_millis(millis)),
                Happens::Sleeps(millis) => {
                    directory.now = now + Duration::from_millis(millis);
                    directory.lifecycle.handle_timeout(directory.now);
                }
            }
            directory.drain();
            let mut is_held = held;
            for output in std::mem::take(&mut directory.outputs) {
                match output {
                    Output::Moved { entry, from, standing } => {
                        let before = known.insert(entry, standing);
                        if let Some(before) = before {
                            prop_assert_eq!(before.state, from);
                            if standing.state != State::Active && standing.state != State::Draining {
                                prop_assert!(standing.deadline >= before.deadline, "{:?} after {:?}", standing, before);
                                prop_assert!(!is_held, "a move while time stands still");
                            }
                        }
                        prop_assert!(from.may_become(standing.state), "{} became {}", from, standing.state);
                        if standing.state == State::Dead {
                            known.remove(&entry);
                        }
                    }
                    Output::Held(_) => is_held = true,
                    Output::Released(_) => is_held = false,
                    Output::Check(_) => {}
                }
            }
            prop_assert_eq!(directory.lifecycle.held().is_some(), is_held);
            let counted: usize = State::ALL.iter().map(|state| directory.count(*state)).sum();
            prop_assert_eq!(counted, directory.lifecycle.len());
            prop_assert_eq!(directory.count(State::Dead), 0);
            prop_assert!(directory.lifecycle.outputs.is_empty());
            prop_assert_eq!(directory.lifecycle.queue.len(), directory.lifecycle.len());
        }
    }
}
