use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

const CONFIG: Config =
    Config { fin_linger: Duration::from_secs(10), close_linger: Duration::from_secs(1), windows: false };
const WAIT_FOR_FLAGS: Ending = Ending::Linger(CONFIG.fin_linger);
const WAIT_FOR_CLOSE: Ending = Ending::Linger(CONFIG.close_linger);

fn state() -> State {
    State::new(CONFIG)
}

/// Everything that goes out if no data waits.
fn drain(state: &mut State) -> Vec<Flag> {
    std::iter::from_fn(|| state.poll_transmit(false))
        .map(|transmit| match transmit {
            Transmit::Flag(flag) => flag,
            Transmit::Data => panic!("no data was due"),
        })
        .collect()
}

#[test]
fn a_fin_is_acknowledged_once_however_often_it_comes() {
    let mut state = state();
    for _ in 0..3 {
        state.handle_flag(Flag::Fin);
    }
    assert_eq!(drain(&mut state), [Flag::FinAck]);
    state.handle_flag(Flag::Fin);
    assert_eq!(drain(&mut state), []);
    assert_eq!(state.readable(), Readable::End);
    assert_eq!(state.writable(), Writable::Open);
}

#[test]
fn a_fin_that_comes_after_the_owner_left_is_acknowledged() {
    let mut state = state();
    state.finish();
    assert_eq!(drain(&mut state), [Flag::Fin]);
    state.abandon();
    assert_eq!(state.ending(), WAIT_FOR_FLAGS);
    state.handle_flag(Flag::FinAck);
    assert_eq!(state.ending(), WAIT_FOR_FLAGS, "the remote still writes");
    state.handle_flag(Flag::Fin);
    assert_eq!(drain(&mut state), [Flag::FinAck]);
    assert_eq!(state.ending(), WAIT_FOR_CLOSE);
}

#[test]
fn a_fin_that_comes_after_our_reset_is_acknowledged() {
    let mut state = state();
    state.abandon();
    assert_eq!(drain(&mut state), [Flag::ResetStream]);
    state.handle_flag(Flag::Fin);
    assert_eq!(drain(&mut state), [Flag::FinAck]);
    assert_eq!(state.ending(), WAIT_FOR_CLOSE);
    state.handle_channel_closed();
    assert_eq!(state.ending(), Ending::Over);
}

#[test]
fn fin_waits_for_the_data() {
    let mut state = state();
    state.finish();
    assert_eq!(state.poll_transmit(true), Some(Transmit::Data));
    assert_eq!(state.poll_transmit(true), Some(Transmit::Data));
    assert_eq!(state.poll_transmit(false), Some(Transmit::Flag(Flag::Fin)));
    assert_eq!(state.poll_transmit(true), None);
}

#[test]
fn what_was_finished_is_completed_without_its_owner() {
    let mut state = state();
    state.finish();
    state.abandon();
    assert_eq!(state.poll_transmit(true), Some(Transmit::Data));
    assert_eq!(drain(&mut state), [Flag::Fin]);
}

#[test]
fn the_channel_closes_once_both_halves_are_done_though_the_owner_stays() {
    let mut state = state();
    state.handle_flag(Flag::Fin);
    state.finish();
    assert_eq!(drain(&mut state), [Flag::FinAck, Flag::Fin]);
    assert_eq!(state.ending(), Ending::Open);
    state.handle_flag(Flag::FinAck);
    assert_eq!(state.ending(), WAIT_FOR_CLOSE);
    state.handle_channel_closed();
    assert_eq!(state.readable(), Readable::End, "what was kept can still be read");
}

#[test]
fn a_remote_that_stopped_reading_need_not_acknowledge() {
    let mut state = state();
    state.handle_flag(Flag::StopSending);
    assert_eq!(state.writable(), Writable::Stopped);
    assert_eq!(state.poll_transmit(true), None);
    state.finish();
    assert_eq!(state.poll_transmit(true), Some(Transmit::Flag(Flag::Fin)), "without the data");
    state.handle_flag(Flag::Fin);
    assert_eq!(drain(&mut state), [Flag::FinAck]);
    assert_eq!(state.ending(), WAIT_FOR_CLOSE);
}

#[test]
fn one_who_stopped_reading_still_minds_flags() {
    let mut state = state();
    state.stop_reading();
    state.stop_reading();
    state.finish();
    assert_eq!(drain(&mut state), [Flag::StopSending, Flag::Fin]);
    assert!(!state.accepts_data());
    assert_eq!(state.readable(), Readable::Stopped);
    state.handle_flag(Flag::FinAck);
    state.handle_flag(Flag::Fin);
    assert_eq!(drain(&mut state), [Flag::FinAck]);
    assert_eq!(state.ending(), WAIT_FOR_CLOSE);
}

#[test]
fn a_reset_by_the_remote_ends_both_halves() {
    let mut state = state();
    state.handle_flag(Flag::Fin);
    state.handle_flag(Flag::ResetStream);
    assert_eq!(drain(&mut state), []);
    assert_eq!(state.readable(), Readable::Reset);
    assert_eq!(state.writable(), Writable::Reset);
    assert_eq!(state.ending(), WAIT_FOR_CLOSE);
    state.handle_channel_closed();
    assert_eq!((state.readable(), state.ending()), (Readable::Reset, Ending::Over));
}

#[test]
fn a_breach_of_the_protocol_is_answered_with_a_reset() {
    let mut state = state();
    state.handle_violation();
    assert_eq!(drain(&mut state), [Flag::ResetStream]);
    assert_eq!(state.readable(), Readable::Violation);
    assert_eq!(state.writable(), Writable::Reset);
    assert_eq!(state.ending(), Ending::Over);
}

#[test]
fn a_channel_that_ends_too_early_is_no_end_of_data() {
    let mut lost = state();
    lost.handle_channel_closed();
    assert_eq!((lost.readable(), lost.writable()), (Readable::Lost, Writable::Reset));
    let mut complete = state();
    complete.handle_flag(Flag::Fin);
    complete.handle_channel_closed();
    assert_eq!(complete.readable(), Readable::End);
}

#[test]
fn an_acknowledgement_of_nothing_is_ignored() {
    let mut state = state();
    state.handle_flag(Flag::FinAck);
    state.finish();
    state.handle_flag(Flag::FinAck);
    assert_eq!(drain(&mut state), [Flag::Fin]);
    state.handle_flag(Flag::Fin);
    assert_eq!(drain(&mut state), [Flag::FinAck]);
    assert_eq!(state.ending(), Ending::Open, "our FIN is not acknowledged");
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    Flag(Flag),
    Violation,
    ChannelClosed,
    Finish,
    StopReading,
    Abandon,
    Transmit { data_due: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let flag = prop::sample::select(vec![Flag::Fin, Flag::StopSending, Flag::ResetStream, Flag::FinAck]);
    prop_oneof![
        8 => flag.prop_map(Step::Flag),
        1 => Just(Step::Violation),
        1 => Just(Step::ChannelClosed),
        2 => Just(Step::Finish),
        1 => Just(Step::StopReading),
        1 => Just(Step::Abandon),
        8 => any::<bool>().prop_map(|data_due| Step::Transmit { data_due }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_promises_hold_in_any_order(steps in prop::collection::vec(step(), 0..40)) {
        let mut state = state();
        let mut sent = Vec::new();
        let (mut fin_came, mut reset_came, mut gone) = (false, false, false);
        for step in steps.into_iter().chain([Step::Transmit { data_due: false }; 5]) {
            let (listened, alive) = (state.listens(), !state.is_dead());
            match step {
                Step::Flag(flag) => {
                    state.handle_flag(flag);
                    fin_came |= alive && flag == Flag::Fin;
                    reset_came |= alive && flag == Flag::ResetStream;
                    gone |= reset_came;
                }
                Step::Violation => state.handle_violation(),
                Step::ChannelClosed => state.handle_channel_closed(),
                Step::Finish => state.finish(),
                Step::StopReading => state.stop_reading(),
                Step::Abandon => state.abandon(),
                Step::Transmit { data_due } => {
                    if let Some(transmit) = state.poll_transmit(data_due) {
                        prop_assert!(!gone, "{transmit:?} after the end");
                        prop_assert!(data_due || transmit != Transmit::Data);
                        sent.push(transmit);
                    }
                }
            }
            gone |= step == Step::ChannelClosed;
            prop_assert!(listened || !state.listens() && state.ending() == Ending::Over, "an end is final");
            prop_assert!(alive || state.is_dead() && state.ending() != Ending::Open);
            if fin_came || reset_came {
                prop_assert!(!state.accepts_data());
            }
            if reset_came {
                prop_assert!(matches!(state.readable(), Readable::Reset | Readable::Stopped));
            }
            if fin_came && !reset_came {
                prop_assert!(!matches!(state.readable(), Readable::Open | Readable::Lost | Readable::Reset));
            }
        }

        let count = |flag| sent.iter().filter(|&&transmit| transmit == Transmit::Flag(flag)).count();
        for flag in [Flag::Fin, Flag::StopSending, Flag::ResetStream, Flag::FinAck] {
            prop_assert!(count(flag) <= 1, "{flag:?} twice in {sent:?}");
        }
        prop_assert!(count(Flag::FinAck) == usize::from(fin_came) || gone, "FIN and FIN_ACK do not match: {sent:?}");
        let mut after_end = sent.into_iter().skip_while(|&transmit| {
            !matches!(transmit, Transmit::Flag(Flag::Fin | Flag::ResetStream))
        });
        if after_end.next() == Some(Transmit::Flag(Flag::ResetStream)) {
            prop_assert!(after_end.all(|transmit| transmit == Transmit::Flag(Flag::FinAck)));
        } else {
            prop_assert!(after_end.all(|transmit| transmit != Transmit::Data));
        }
    }

    #[test]
    fn two_ends_that_finish_lose_nothing_and_need_not_linger(
        data in any::<[u8; 2]>(),
        schedule in prop::collection::vec((0..2_usize, 0..3_u8), 0..200),
    ) {
        let mut pair = Pair::new(data.map(usize::from));
        for (end, action) in schedule {
            match action {
                0 => pair.ends[end].finish(),
                1 => _ = pair.send(end),
                _ => _ = pair.deliver(end),
            }
        }
        pair.ends.iter_mut().for_each(State::finish);
        while (0..2).any(|end| pair.send(end) | pair.deliver(end)) {}
        prop_assert_eq!(pair.arrived, [usize::from(data[1]), usize::from(data[0])]);
        for end in pair.ends {
            prop_assert_eq!((end.readable(), end.ending()), (Readable::End, WAIT_FOR_CLOSE));
        }
    }
}

/// Two ends of one stream and what is under way between them.
struct Pair {
    ends: [State; 2],
    waiting: [usize; 2],
    under_way: [VecDeque<Transmit>; 2],
    arrived: [usize; 2],
}

impl Pair {
    fn new(waiting: [usize; 2]) -> Self {
        Self { ends: [state(), state()], waiting, under_way: Default::default(), arrived: [0, 0] }
    }

    fn send(&mut self, end: usize) -> bool {
        let transmit = self.ends[end].poll_transmit(self.waiting[end] > 0);
        self.waiting[end] -= usize::from(transmit == Some(Transmit::Data));
        self.under_way[1 - end].extend(transmit);
        transmit.is_some()
    }

    fn deliver(&mut self, end: usize) -> bool {
        let Some(transmit) = self.under_way[end].pop_front() else { return false };
        match transmit {
            Transmit::Data => self.arrived[end] += usize::from(self.ends[end].accepts_data()),
            Transmit::Flag(flag) => self.ends[end].handle_flag(flag),
        }
        true
    }
}
