//! Between the node's types and plain JavaScript values. The names of the fields are the npm contract's.

use std::time::Duration;

use openred_node::{
    PeerId, Stats,
    core::{
        Error, Explanation, PeerInfo,
        address::{MultiaddrError, parse_multiaddr},
        event::{Event, JoinStage, Status},
        find::{FindOptions, FindStory, Found, FoundRecord, Layer, LayerReport},
        open::Target,
        publish::{Offer, OfferPatch},
        record::Record,
    },
};
use wasm_bindgen::JsValue;

use crate::plain::{Input, Plain, list, required};

/// What every failing call rejects with.
pub(crate) fn rejection(error: &Error) -> JsValue {
    coded(error.code(), &error.to_string())
}

/// What reading and writing a broken stream rejects with.
pub(crate) fn reset_rejection(message: &str) -> JsValue {
    coded("STREAM_RESET", message)
}

fn coded(code: &str, message: &str) -> JsValue {
    Plain::new().with("code", code).with("message", message).into()
}

pub(crate) fn peer_id(text: &str) -> Result<PeerId, Error> {
    text.parse().map_err(|error| Error::InvalidOption(format!("{text:?} is not a peer id: {error}")))
}

/// What a node is started with.
pub(crate) struct Options {
    pub(crate) relays: Vec<String>,
    /// URLs of lists of relays.
    pub(crate) lists: Vec<String>,
    pub(crate) network: Option<String>,
    pub(crate) identity: Vec<u8>,
    /// What an earlier node left.
    pub(crate) memory: Option<Vec<u8>>,
    pub(crate) secure: bool,
    pub(crate) public_page: bool,
    pub(crate) relayed_only: bool,
}

pub(crate) fn options(value: JsValue) -> Result<Options, Error> {
    let input = Input::new(value)?;
    Ok(Options {
        relays: required("relays", input.strings("relays")?)?,
        lists: input.strings("lists")?.unwrap_or_default(),
        network: input.string("network")?,
        memory: input.bytes("memory")?,
        identity: required("identity", input.bytes("identity")?)?,
        secure: input.flag("secure")?,
        public_page: input.flag("publicPage")?,
        relayed_only: input.flag("relayedOnly")?,
    })
}

pub(crate) fn offer(value: JsValue) -> Result<Offer, Error> {
    let input = Input::new(value)?;
    let patch = read_patch(&input)?;
    Ok(Offer {
        name: required("name", input.string("name")?)?.parse()?,
        kind: patch.kind.unwrap_or_default(),
        metadata: patch.metadata.unwrap_or_default(),
        ttl: patch.ttl,
        region: patch.region.unwrap_or_default(),
        clusters: patch.clusters.unwrap_or_default(),
    })
}

pub(crate) fn offer_patch(value: JsValue) -> Result<OfferPatch, Error> {
    read_patch(&Input::new(value)?)
}

fn read_patch(input: &Input) -> Result<OfferPatch, Error> {
    Ok(OfferPatch {
        kind: input.string("type")?,
        metadata: input.texts("metadata")?,
        ttl: input.number("ttl")?.map(duration),
        region: input.string("region")?,
        clusters: input.strings("clusters")?,
    })
}

pub(crate) fn find_options(value: JsValue) -> Result<FindOptions, Error> {
    let input = Input::new(value)?;
    let default = FindOptions::default();
    Ok(FindOptions {
        limit: input.number("limit")?.map_or(default.limit, |limit| limit as usize),
        timeout: input.number("timeout")?.map_or(default.timeout, duration),
        max_age: input.number("maxAge")?.map_or(default.max_age, duration),
    })
}

/// A name, a peer with a name, or a record; the fields present say which.
pub(crate) fn target(value: JsValue) -> Result<Target, Error> {
    let input = Input::new(value)?;
    if let Some(target) = input.string("target")? {
        return Ok(Target::Name(target.parse()?));
    }
    if let Some(record) = input.object("record")? {
        return provider(&record);
    }
    match (input.string("peer")?, input.string("name")?) {
        (Some(peer), Some(name)) => Ok(Target::Peer { peer: peer_id(&peer)?, name: name.parse()? }),
        _ => Err(Error::InvalidOption("the target is a name, a record, or { peer, name }".to_owned())),
    }
}

fn provider(input: &Input) -> Result<Target, Error> {
    let name = required("record.name", input.string("name")?)?.parse()?;
    let provider = peer_id(&required("record.provider", input.string("provider")?)?)?;
    let mut record = Record::new(name, provider, 0);
    for text in input.strings("endpoints")?.unwrap_or_default() {
        match parse_multiaddr(&text) {
            Ok(endpoint) => record.endpoints.push(endpoint),
            // What is not known here could not be dialled either.
            Err(MultiaddrError::Unknown { .. }) => {}
            Err(error) => {
                let message = format!("record.endpoints: {text:?} is not a multiaddr: {error}");
                return Err(Error::InvalidOption(message));
            }
        }
    }
    Ok(Target::Record(Box::new(record)))
}

pub(crate) fn found(found: &Found) -> JsValue {
    Plain::new()
        .with("records", list(found.records.iter().map(record)))
        .with_some("layer", found.layer.map(|layer| layer.as_str()))
        .with("elapsedMs", ms(found.elapsed))
        .with("layers", layers(&found.layers))
        .into()
}

fn layers(reports: &[LayerReport]) -> JsValue {
    list(reports.iter().map(|report| {
        Plain::new()
            .with("layer", report.layer.as_str())
            .with("outcome", report.outcome.as_str())
            .with("startedMs", ms(report.started))
            .with("tookMs", ms(report.took))
            .with("records", report.records as f64)
            .with_some("reason", report.outcome.reason())
    }))
}

/// What the latest find of a name did, if this node remembers one.
pub(crate) fn story(story: Option<&FindStory>) -> JsValue {
    let plain = match story {
        Some(story) => Plain::new().with("code", story.code).with("reason", story.reason()),
        None => Plain::new().with("code", "UNKNOWN").with("reason", "this node has not looked for it lately"),
    };
    plain.with("layers", layers(story.map_or(&[], |story| &story.layers))).into()
}

fn record(found: &FoundRecord) -> Plain {
    let record = &found.record;
    let metadata = record.metadata.iter().fold(Plain::new(), |metadata, (key, text)| metadata.with(key, text));
    Plain::new()
        .with("name", record.name.as_str())
        .with("type", &record.kind)
        .with("provider", record.provider.to_string())
        .with("endpoints", list(record.endpoints.iter().map(ToString::to_string)))
        .with("metadata", metadata)
        .with("region", &record.region)
        .with("clusters", list(&record.clusters))
        .with("sequence", record.sequence as f64)
        .with("issuedAt", record.issued_at as f64)
        .with("ttl", record.ttl as f64)
        .with("layer", found.layer.as_str())
        .with("ageMs", ms(found.age))
        .with("verdict", found.verdict.as_str())
}

pub(crate) fn status(status: &Status) -> JsValue {
    with_status(Plain::new(), status).into()
}

fn with_status(plain: Plain, status: &Status) -> Plain {
    plain.with("state", status.state.as_str()).with_some("reason", status.reason.as_deref())
}

pub(crate) fn event(event: &Event) -> JsValue {
    let of = |kind: &str| Plain::new().with("type", kind);
    let of_peer = |kind, peer: &PeerId| of(kind).with("peerId", peer.to_string());
    let plain = match event {
        Event::Status(status) => with_status(of("status"), status),
        Event::Join(step) => {
            let plain = of("join")
                .with("step", step.stage.as_str())
                .with("relay", &step.relay)
                .with_some("peerId", step.peer.map(|peer| peer.to_string()));
            match &step.stage {
                JoinStage::Failed { code, reason, retry_in_ms } => {
                    plain.with("code", *code).with("reason", reason).with("retryInMs", *retry_in_ms as f64)
                }
                _ => plain,
            }
        }
        Event::PeerConnected { peer, path, address } => {
            of_peer("peer:connect", peer).with("path", path.as_str()).with("address", address.to_string())
        }
        Event::PeerDisconnected { peer, .. } => of_peer("peer:disconnect", peer),
        Event::PeerPath { peer, path } => of_peer("peer:path", peer).with("path", path.as_str()),
        Event::RecordFound(found) => of("record:found").with("record", record(found)),
        Event::RecordGone { name, provider } => {
            of("record:gone").with("name", name.as_str()).with("provider", provider.to_string())
        }
        Event::Warning { code, message } => of("warning").with("code", *code).with("message", message),
        Event::Lagged { missed } => of("lagged").with("missed", *missed as f64),
        _ => of("unknown"),
    };
    plain.into()
}

pub(crate) fn peers(peers: &[PeerInfo]) -> JsValue {
    list(peers.iter().map(peer))
}

fn peer(info: &PeerInfo) -> Plain {
    Plain::new()
        .with("peerId", info.peer.to_string())
        .with("roles", list(info.roles.iter().copied()))
        .with("path", info.path.as_str())
        .with("transport", info.transport())
        .with("address", info.address.to_string())
        .with_some("rttMs", info.rtt.map(ms))
        .with("since", info.since as f64)
}

pub(crate) fn stats(stats: &Stats) -> JsValue {
    let by_layer = Layer::ALL.iter().zip(stats.finds_by_layer);
    let by_layer = by_layer.fold(Plain::new(), |plain, (layer, finds)| plain.with(layer.as_str(), finds as f64));
    Plain::new()
        .with("uptimeMs", ms(stats.uptime))
        .with("peers", stats.peers as f64)
        .with("relays", stats.relays as f64)
        .with("reservations", stats.reservations as f64)
        .with("bytesIn", stats.bytes_in as f64)
        .with("bytesOut", stats.bytes_out as f64)
        .with("finds", stats.finds as f64)
        .with("findMs", ms(stats.find_time))
        .with("peerConnections", stats.peer_connections as f64)
        .with("findsByLayer", by_layer)
        .with("cacheHits", stats.cache_hits as f64)
        .with("cachedServices", stats.cached_services as f64)
        .with("rememberedPeers", stats.remembered_peers as f64)
        .with("routingTable", stats.routing_table as f64)
        .into()
}

pub(crate) fn explanation(explanation: &Explanation) -> JsValue {
    let not_direct = explanation.not_direct.as_ref();
    let not_direct = not_direct.map(|why| Plain::new().with("code", why.code).with("reason", &why.reason));
    let plain = Plain::new().with("code", explanation.code).with("reason", &explanation.reason);
    plain.with_some("notDirect", not_direct).into()
}

/// Milliseconds of JavaScript as a time that is not negative.
fn duration(ms: f64) -> Duration {
    Duration::from_millis(ms.max(0.0) as u64)
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
