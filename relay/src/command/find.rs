//! `openred find NAME`: who offers a service.

use openred_core::{
    find::{FindOptions, FoundRecord, LayerOutcome, LayerReport},
    record::Record,
};

use super::{
    Session, nobody_offers,
    output::{RecordView, Table, counted, print_json, printable, readable},
};
use crate::{config::short::FindConfig, failure::Failure};

/// Prints the records, the best provider first. Finding nobody is a failure with an exit code of its own.
pub(crate) async fn run(config: FindConfig) -> Result<(), Failure> {
    let session = Session::join(&config.node).await?;
    let mut options = FindOptions { timeout: session.time_left(), ..FindOptions::default() };
    if let Some(max_age) = config.max_age {
        options.max_age = max_age;
    }
    if let Some(limit) = config.limit {
        options.limit = limit.min(options.limit);
    }
    let found = session.node.find(&config.target, options).await;
    session.leave().await;

    let found = found?;
    if !config.node.json {
        eprintln!("asked {}", layers(&found.layers));
    }
    let Some(layer) = found.layer.filter(|_| !found.records.is_empty()) else {
        return Err(Failure::NothingFound(nobody_offers(&config.target)));
    };
    if config.node.json {
        found.records.iter().for_each(|record| print_json(&RecordView::found(record)));
        return Ok(());
    }
    let mut table = Table::new(["PROVIDER", "LAYER", "AGE", "VERDICT", "STANDS", "REGION", "REACH", "ABOUT"]);
    found.records.iter().for_each(|record| table.row(row(record)));
    table.print();
    eprintln!(
        "{} of `{}`, first answer from {} in {}",
        counted(found.records.len(), "provider"),
        config.target,
        layer.as_str(),
        readable(found.elapsed)
    );
    Ok(())
}

/// What each layer did, in one line; those that had no part are left out.
fn layers(reports: &[LayerReport]) -> String {
    let told = |report: &LayerReport| {
        let (name, took) = (report.layer.as_str(), readable(report.took));
        match &report.outcome {
            LayerOutcome::Answered => Some(format!("{name}: {} in {took}", report.records)),
            LayerOutcome::Empty => Some(format!("{name}: nobody in {took}")),
            LayerOutcome::Overtaken => Some(format!("{name}: not waited for")),
            LayerOutcome::Failed(reason) => Some(format!("{name}: failed ({})", printable(reason))),
            LayerOutcome::NotAsked(_) | LayerOutcome::Absent(_) => None,
        }
    };
    let told: Vec<_> = reports.iter().filter_map(told).collect();
    if told.is_empty() { "nobody".to_owned() } else { told.join(", ") }
}

fn row(found: &FoundRecord) -> [String; 8] {
    let FoundRecord { record, layer, age, verdict } = found;
    let left = std::time::Duration::from_millis(record.ttl).saturating_sub(*age);
    [
        record.provider.to_string(),
        layer.as_str().to_owned(),
        readable(*age),
        verdict.as_str().to_owned(),
        readable(left),
        record.region.clone(),
        reach(record),
        about(record),
    ]
}

/// How the provider says it can be reached: the transport and host of its first endpoint, and how many more there are.
fn reach(record: &Record) -> String {
    match record.endpoints.as_slice() {
        [] => "nowhere".to_owned(),
        [only] => only.to_string(),
        [first, more @ ..] => format!("{first} (+{})", more.len()),
    }
}

/// Type, clusters and metadata in one cell.
fn about(record: &Record) -> String {
    let kind = Some(&record.kind).filter(|kind| !kind.is_empty()).map(|kind| format!("type={kind}"));
    let clusters = record.clusters.iter().map(|cluster| format!("cluster={cluster}"));
    let metadata = record.metadata.iter().map(|(key, value)| format!("{key}={value}"));
    kind.into_iter().chain(clusters).chain(metadata).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use openred_core::find::Layer;

    use super::*;

    #[test]
    fn the_layers_that_had_a_part_are_told_in_one_line() {
        let report = |layer, outcome, records| LayerReport {
            layer,
            outcome,
            started: Duration::ZERO,
            took: Duration::from_millis(30),
            records,
        };
        let reports = [
            report(Layer::Own, LayerOutcome::Empty, 0),
            report(Layer::Cache, LayerOutcome::NotAsked("it is new"), 0),
            report(Layer::Dht, LayerOutcome::Answered, 2),
            report(Layer::SuperNode, LayerOutcome::Absent("later"), 0),
            report(Layer::Directory, LayerOutcome::Failed("it \u{1b}[2J".to_owned()), 0),
        ];
        let line = layers(&reports);
        assert_eq!(line, "own: nobody in 30 ms, dht: 2 in 30 ms, directory: failed (it \\u{1b}[2J)");
        assert_eq!(layers(&reports[1..2]), "nobody");
    }
}
