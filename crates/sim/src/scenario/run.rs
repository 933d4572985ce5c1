//! Running a scenario.

use std::time::Duration;

use super::{Act, Check, Scenario, Those, Whom, liars};
use crate::{
    Net, NodeId,
    churn::{Churn, Sessions},
    crowd::{Crowd, Population, Told},
};

/// What a check showed.
#[derive(Clone, Debug)]
pub struct Held {
    /// The check.
    pub check: Check,
    /// What was found.
    pub told: Told,
    /// The 95th percentile of the times of those that found.
    pub p95: Option<Duration>,
    /// What does not hold.
    pub broken: Vec<String>,
}

/// Runs a scenario; what each check showed, in the order of time.
pub fn run(scenario: &Scenario, population: Population, seed: u64) -> Vec<Held> {
    let mut crowd = Crowd::gather(scenario.world.net(seed), population, seed);
    let start = crowd.net.now();
    let mut churn = None;
    let mut steps: Vec<(Duration, Step<'_>)> = Vec::new();
    steps.extend(scenario.events.iter().map(|event| (Duration::from_secs_f64(event.at), Step::Event(&event.act))));
    steps.extend(scenario.checks.iter().map(|check| (Duration::from_secs_f64(check.at), Step::Check(check))));
    // Stable: what befalls at a check's own time befalls before it.
    steps.sort_by_key(|(at, _)| *at);
    let mut waiting = Vec::new();
    for (at, step) in steps {
        let left = (start + at).saturating_sub(crowd.net.now());
        pass(&mut crowd, &mut churn, left);
        match step {
            Step::Event(act) => befall(&mut crowd, act, &mut churn, seed),
            Step::Check(check) => {
                let mut asked = vec![crowd.ask_living(check.finds)];
                if check.stale.is_some() {
                    asked.push(crowd.ask(check.finds));
                }
                waiting.push((check, asked));
            }
        }
    }
    pass(&mut crowd, &mut churn, Duration::from_secs(10));
    waiting.into_iter().map(|(check, asked)| held(&mut crowd, check, asked)).collect()
}

enum Step<'a> {
    Event(&'a Act),
    Check(&'a Check),
}

fn pass(crowd: &mut Crowd, churn: &mut Option<Churn>, time: Duration) {
    match churn {
        Some(churn) => churn.run_for(crowd, time),
        None => crowd.net.run_for(time),
    }
}

fn held(crowd: &mut Crowd, check: &Check, asked: Vec<crate::crowd::Asked>) -> Held {
    let mut told = Told::default();
    asked.into_iter().for_each(|asked| told.add(crowd.tell(asked)));
    told.took.sort();
    let p95 = told.took.get((told.took.len() * 95).div_ceil(100).saturating_sub(1)).copied();
    let mut broken = Vec::new();
    let found = 100.0 * told.rate();
    if told.trials == 0 {
        broken.push(format!("at {} s nobody was left to look or to be found", check.at));
    } else if found < check.found {
        let Check { at, found: least, .. } = check;
        broken.push(format!("at {at} s {} of {} are found, {found:.3} % and not {least} %", told.found, told.trials));
    }
    if let (Some(most), Some(p95)) = (check.p95_ms, p95)
        && p95.as_secs_f64() * 1e3 > most
    {
        broken.push(format!("at {} s the 95th percentile is {p95:?} and not {most} ms", check.at));
    }
    if let Some(most) = check.stale
        && told.stale as f64 * 100.0 > most * told.gone as f64
    {
        broken.push(format!("at {} s {} of {} that are gone are named", check.at, told.stale, told.gone));
    }
    Held { check: check.clone(), told, p95, broken }
}

fn befall(crowd: &mut Crowd, act: &Act, churn: &mut Option<Churn>, seed: u64) {
    match act {
        Act::Lose(those) => each(crowd, those, |net, id| net.lose(id)),
        Act::Kill(those) => each(crowd, those, Net::kill),
        Act::Silence(those) => each(crowd, those, Net::silence),
        Act::Mute(those) => each(crowd, those, Net::mute),
        Act::Deafen(those) => each(crowd, those, Net::deafen),
        Act::Cut { parts } => drop(cut(crowd, parts)),
        Act::Heal {} => crowd.net.heal(),
        Act::Withdraw { part } => {
            let count = portion(*part, crowd.services.len());
            (0..count).for_each(|service| crowd.withdraw(service));
        }
        Act::Churn { median_s, away_s } => {
            let [median, away] = [median_s, away_s].map(|seconds| Duration::from_secs_f64(*seconds));
            let mut nodes = crowd.relays.clone();
            nodes.extend(crowd.services.iter().map(|service| service.provider));
            let sessions = Sessions { median, away, ..Sessions::default() };
            *churn = Some(Churn::begin(&crowd.net, &nodes, sessions, seed));
        }
        Act::Flash { finders } => {
            for _ in 0..*finders {
                let finder = crowd.client();
                crowd.finders.push(finder);
            }
        }
        Act::Liars { part, how } => liars::let_in(crowd, portion(*part, crowd.relays.len()), *how),
        Act::JumpClock { part, seconds } => {
            let those = Those { part: *part, whom: Whom::Random, relays: false };
            each(crowd, &those, |net, id| net.jump_clock(id, seconds * 1000));
        }
        Act::Loss { part } => crowd.net.latency.loss = *part,
    }
}

fn portion(part: f64, whole: usize) -> usize {
    (part * whole as f64).round() as usize
}

/// Does something to a part of each kind of nodes.
fn each(crowd: &mut Crowd, those: &Those, act: impl Fn(&mut Net, NodeId)) {
    for chosen in chosen(crowd, those) {
        act(&mut crowd.net, chosen);
    }
}

/// A part of the relays and, if others are meant too, of the others.
pub(crate) fn chosen(crowd: &mut Crowd, those: &Those) -> Vec<NodeId> {
    let mut kinds = vec![crowd.relays.clone()];
    if !those.relays {
        kinds.push(crowd.services.iter().map(|service| service.provider).collect());
        kinds.push(crowd.finders.clone());
    }
    let mut chosen = Vec::new();
    for mut kind in kinds {
        crowd.rng.shuffle(&mut kind);
        match those.whom {
            Whom::Random => {}
            Whom::Regions => kind.sort_by_key(|id| crowd.net.latency.region(*id)),
            Whom::BestConnected => {
                kind.sort_by_key(|id| std::cmp::Reverse(crowd.net.links_of(*id)));
            }
        }
        kind.truncate(portion(those.part, kind.len()));
        chosen.extend(kind);
    }
    chosen
}

/// Cuts the network into islands of these parts; who stands on which.
pub(crate) fn cut(crowd: &mut Crowd, parts: &[f64]) -> Vec<Vec<NodeId>> {
    let whole: f64 = parts.iter().sum();
    let mut kinds = [crowd.relays.clone(), Vec::new(), crowd.finders.clone()];
    kinds[1] = crowd.services.iter().map(|service| service.provider).collect();
    let mut islands = vec![Vec::new(); parts.len()];
    for mut kind in kinds {
        crowd.rng.shuffle(&mut kind);
        let count = kind.len() as f64;
        let mut upto = 0.0;
        for (place, island) in islands.iter_mut().enumerate() {
            let from = (upto / whole * count).round() as usize;
            upto += parts[place];
            let to = (upto / whole * count).round() as usize;
            island.extend_from_slice(&kind[from..to]);
        }
    }
    for island in &islands[1..] {
        crowd.net.partition(island);
    }
    islands
}
