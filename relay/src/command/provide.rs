//! `openred provide NAME`: offers a service until stopped, then withdraws it.
//!
//! Streams are answered in one of two ways. By default one at a time is joined to standard input and output; while one is
//! served, others are turned away. With `--echo` each gets its own bytes back.

use std::{io, sync::Arc};

use futures::{AsyncReadExt, AsyncWriteExt};
use openred_core::{find::FindOptions, name::ServiceTarget, publish::Offer};
use openred_node::{Handler, Node, ServiceStream};
use tokio::{io::Stdin, sync::Mutex, task::JoinSet, time::timeout};

use super::{
    FAREWELL, Session,
    output::{RecordView, print_json, readable},
    pipe,
};
use crate::{config::short::ProvideConfig, failure::Failure, signals::Signals};

/// Streams echoed at a time; each holds a buffer of 8 KiB and what the transport holds. Further ones are turned away.
const ECHOES: usize = 256;

/// Offers the service, answers streams, and withdraws on Ctrl-C or SIGTERM.
pub(crate) async fn run(config: ProvideConfig) -> Result<(), Failure> {
    let mut signals =
        Signals::listen().map_err(|error| Failure::Failed(format!("signals cannot be received: {error}")))?;
    let session = tokio::select! {
        joined = Session::join(&config.node) => joined?,
        _ = signals.next() => return Ok(()),
    };
    // Streams are answered from the moment that anybody can find the record.
    let mut handler = session.node.handle(config.name.clone())?;
    let offer = Offer {
        name: config.name.clone(),
        kind: config.kind.clone(),
        metadata: config.metadata.iter().cloned().collect(),
        ttl: config.ttl,
        region: config.region.clone(),
        clusters: config.clusters.clone(),
    };
    let time = session.time_left();
    let provided = tokio::select! {
        provided = timeout(time, session.node.provide(offer)) => provided,
        _ = signals.next() => {
            session.leave().await;
            return Ok(());
        }
    };
    let registration = match provided {
        Ok(Ok(registration)) => registration,
        Ok(Err(error)) => {
            session.leave().await;
            return Err(error.into());
        }
        Err(_) => {
            let failure = too_late(&session.node, &config);
            session.leave().await;
            return Err(failure);
        }
    };
    let own = session.node.peer_id();
    if config.node.json {
        print_own_record(&session.node, &config).await?;
    }
    eprintln!("offering `{}` as {own}; Ctrl-C withdraws it", config.name);

    let ended = tokio::select! {
        () = answer(&mut handler, config.echo) => Err(Failure::Failed("the node was closed".to_owned())),
        _ = signals.next() => Ok(()),
    };
    drop(handler);
    match timeout(FAREWELL, registration.withdraw()).await {
        Ok(Ok(())) => eprintln!("withdrew `{}`", config.name),
        Ok(Err(error)) => eprintln!("`{}` could not be withdrawn: {error}; its record ends by itself", config.name),
        Err(_) => eprintln!("`{}` could not be withdrawn in time; its record ends by itself", config.name),
    }
    session.leave().await;
    ended
}

/// Why an offer was not stored in time, as far as this node can tell.
fn too_late(node: &Node, config: &ProvideConfig) -> Failure {
    let reachable = node.stats().is_ok_and(|stats| stats.reservations > 0);
    let reason = if reachable {
        "the network did not store it"
    } else {
        "no relay holds a place for this node, so nobody could reach it; try another --bootstrap"
    };
    let (name, time) = (&config.name, readable(config.node.timeout));
    Failure::NoNetwork(format!("`{name}` could not be offered within {time}: {reason} (TIMEOUT)"))
}

/// Prints the record that this node signed, as its own finds see it.
async fn print_own_record(node: &Node, config: &ProvideConfig) -> Result<(), Failure> {
    let target = ServiceTarget { name: config.name.clone(), provider: Some(node.peer_id()) };
    let found = node.find(&target, FindOptions::default()).await?;
    found.records.iter().for_each(|found| print_json(&RecordView::own(&found.record)));
    Ok(())
}

/// Answers streams until the node is closed.
async fn answer(handler: &mut Handler, echo: bool) {
    let most = if echo { ECHOES } else { 1 };
    let stdin = Arc::new(Mutex::new(tokio::io::stdin()));
    let mut served = JoinSet::new();
    loop {
        tokio::select! {
            stream = handler.next() => {
                let Some(stream) = stream else { return };
                let (peer, path) = (stream.remote_peer(), stream.path().as_str());
                if served.len() >= most {
                    // Dropping resets the stream, which the opener sees at once.
                    eprintln!("turned {peer} away: {} streams are being served", served.len());
                    continue;
                }
                eprintln!("{peer} opened a stream ({path})");
                let stdin = Arc::clone(&stdin);
                served.spawn(async move {
                    let result = if echo { self::echo(stream).await } else { converse(stream, stdin).await };
                    match result {
                        Ok(()) => eprintln!("the stream of {peer} is finished"),
                        Err(error) => eprintln!("the stream of {peer} broke: {error}"),
                    }
                });
            }
            Some(_) = served.join_next() => {}
        }
    }
}

async fn converse(stream: ServiceStream, stdin: Arc<Mutex<Stdin>>) -> io::Result<()> {
    pipe::join(stream, &mut *stdin.lock().await, tokio::io::stdout()).await
}

async fn echo(stream: ServiceStream) -> io::Result<()> {
    let (reader, mut writer) = stream.split();
    futures::io::copy(reader, &mut writer).await?;
    writer.close().await
}
