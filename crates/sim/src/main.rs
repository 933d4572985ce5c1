//! Figures and scenarios of simulated networks, from the command line.

use std::process::ExitCode;

use openred_sim::{
    figures::{FIGURES, Scale},
    scenario::{Scenario, run},
};

const USAGE: &str = "\
usage: openred-sim figures [--quick] [--json FILE] [NAME...]
       openred-sim scenario FILE [--seed N] [--small]

  figures   measures the figures of these names, or all, and prints them as tables
            --quick      small networks and few trials
            --json FILE  writes them to a file as well
  scenario  runs a scenario's file at full size, with each of its seeds, and says what holds
            --seed N     with this seed only
            --small      at the size of the tests";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.split_first() {
        Some((verb, rest)) if verb == "figures" => figures(rest),
        Some((verb, rest)) if verb == "scenario" => scenario(rest),
        _ => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::from(2)
        }
    }
}

/// True if everything holds.
fn scenario(arguments: &[String]) -> Result<bool, String> {
    let (mut file, mut seed, mut small) = (None, None, false);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--small" => small = true,
            "--seed" => {
                let number = arguments.next().ok_or("--seed: a number must follow")?;
                seed = Some(number.parse::<u64>().map_err(|error| format!("--seed {number}: {error}"))?);
            }
            option if option.starts_with('-') => return Err(format!("{option}: no such option\n\n{USAGE}")),
            name => file = Some(name),
        }
    }
    let file = file.ok_or(USAGE)?;
    let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    let scenario = Scenario::read(&text).map_err(|error| format!("{file}: {error}"))?;
    let population = if small { scenario.small } else { scenario.full };
    println!("{}", scenario.says);
    let mut holds = true;
    for seed in seed.map_or_else(|| scenario.seeds.clone(), |seed| vec![seed]) {
        for held in run(&scenario, population, seed) {
            let (told, p95) = (&held.told, held.p95.unwrap_or_default());
            println!(
                "seed {seed}, {:>5} s: {} of {} found, p95 {p95:.1?}, by layer {:?}, {} of {} gone are named",
                held.check.at, told.found, told.trials, told.by_layer, told.stale, told.gone
            );
            for broken in &held.broken {
                println!("  does not hold: {broken}");
            }
            holds &= held.broken.is_empty();
        }
    }
    Ok(holds)
}

fn figures(arguments: &[String]) -> Result<bool, String> {
    let mut scale = Scale::Full;
    let mut json = None;
    let mut names: Vec<&str> = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => scale = Scale::Quick,
            "--json" => json = Some(arguments.next().ok_or("--json: a file name must follow")?),
            option if option.starts_with('-') => return Err(format!("{option}: no such option\n\n{USAGE}")),
            name if FIGURES.iter().any(|(known, ..)| *known == name) => names.push(name),
            name => {
                let known: Vec<_> = FIGURES.iter().map(|(known, ..)| *known).collect();
                return Err(format!("{name}: no such figure; there are {}", known.join(", ")));
            }
        }
    }
    let mut tables = Vec::new();
    for (name, least, measure) in FIGURES {
        if names.contains(&name) || (names.is_empty() && scale >= least) {
            let table = measure(scale);
            println!("{}", table.text());
            tables.push(table.json());
            // Written after each figure, so that an interrupted run leaves what it has.
            if let Some(file) = json {
                let text = serde_json::Value::Array(tables.clone()).to_string();
                std::fs::write(file, text).map_err(|error| format!("{file}: {error}"))?;
            }
        }
    }
    Ok(true)
}
