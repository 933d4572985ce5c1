//! `openred find NAME`: who offers a service.

use openred_core::{
    find::{FindOptions, FoundRecord},
    record::Record,
};

use super::{
    Session,
    output::{RecordView, Table, print_json, readable},
};
use crate::{config::short::FindConfig, failure::Failure};

/// Prints the records, the best provider first. Finding nobody is a failure with an exit code of its own.
pub(crate) async fn run(config: FindConfig) -> Result<(), Failure> {
    let session = Session::join(&config.node).await?;
    let mut options = FindOptions { timeout: session.time_left(), ..FindOptions::default() };
    if let Some(limit) = config.limit {
        options.limit = limit.min(options.limit);
    }
    let found = session.node.find(&config.target, options).await;
    session.leave().await;

    let found = found?;
    let Some(layer) = found.layer.filter(|_| !found.records.is_empty()) else {
        return Err(Failure::NothingFound(format!("nobody offers `{}`", config.target)));
    };
    if config.node.json {
        found.records.iter().for_each(|record| print_json(&RecordView::found(record)));
        return Ok(());
    }
    let mut table = Table::new(["PROVIDER", "LAYER", "AGE", "VERDICT", "STANDS", "REGION", "REACH", "ABOUT"]);
    found.records.iter().for_each(|record| table.row(row(record)));
    table.print();
    let providers = match found.records.len() {
        1 => "1 provider".to_owned(),
        several => format!("{several} providers"),
    };
    eprintln!(
        "{providers} of `{}`, first answer from {} in {}",
        config.target,
        layer.as_str(),
        readable(found.elapsed)
    );
    Ok(())
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
