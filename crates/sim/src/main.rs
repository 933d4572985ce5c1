//! Figures and scenarios of simulated networks, from the command line.

use std::process::ExitCode;

use openred_sim::figures::{FIGURES, Scale};

const USAGE: &str = "\
usage: openred-sim figures [--quick] [--json FILE] [NAME...]

  figures   measures the figures of these names, or all, and prints them as tables
            --quick      small networks and few trials
            --json FILE  writes them to a file as well";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.split_first() {
        Some((verb, rest)) if verb == "figures" => figures(rest),
        _ => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::from(2)
        }
    }
}

fn figures(arguments: &[String]) -> Result<(), String> {
    let mut scale = Scale::Full;
    let mut json = None;
    let mut names: Vec<&str> = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => scale = Scale::Quick,
            "--json" => json = Some(arguments.next().ok_or("--json: a file name must follow")?),
            option if option.starts_with('-') => return Err(format!("{option}: no such option\n\n{USAGE}")),
            name if FIGURES.iter().any(|(known, _)| *known == name) => names.push(name),
            name => {
                let known: Vec<_> = FIGURES.iter().map(|(known, _)| *known).collect();
                return Err(format!("{name}: no such figure; there are {}", known.join(", ")));
            }
        }
    }
    let mut tables = Vec::new();
    for (name, measure) in FIGURES {
        if names.is_empty() || names.contains(&name) {
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
    Ok(())
}
