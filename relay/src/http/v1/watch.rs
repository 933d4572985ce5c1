//! `/v1/watch`: changes as they happen, as server-sent events.
//!
//! Each event has the number of its change as its id, so that a client that comes back (`Last-Event-ID`, which browsers send by
//! themselves) misses nothing that the directory still keeps. If it does miss something, the first event is `lagged`.
//!
//! A slow reader costs one page of changes: the next is read when the last was taken. The stream ends when the relay drains and
//! when the connection's life is over ([`crate::http::server`]); clients come back.

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, header::CACHE_CONTROL},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::{Stream, stream::unfold};
use serde::{Deserialize, Serialize};
use tokio::sync::watch::Receiver;
use utoipa::{IntoParams, ToSchema};

use super::extract::{Query, peer_id};
use crate::{
    directory::store::{Change, Changes},
    http::{Shared, gateway::Place, problem::Problem},
};

/// Changes that are read at a time.
const PAGE: usize = 256;

/// How often a comment keeps proxies from closing a quiet stream.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// How long to wait when the database does not answer.
const PAUSE: Duration = Duration::from_secs(2);

/// Where a client left off.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Which changes.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct WatchQuery {
    /// Begin after the change of this number; by default with what happens from now on. `Last-Event-ID` wins over it.
    after: Option<u64>,
    /// Only of services of this name.
    name: Option<String>,
    /// Only of this node and its services.
    peer_id: Option<String>,
}

/// One change.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChangeEvent {
    /// Its number; numbers grow, and may leave gaps.
    id: u64,
    /// What happened: `node:registered`, `node:moved`, `node:withheld`, `node:restored`, `node:left`, `node:evicted`,
    /// `node:died`, `service:published` or `service:withdrawn`. Also the name of the event.
    #[schema(example = "service:published")]
    #[serde(rename = "type")]
    kind: &'static str,
    /// When.
    at: u64,
    /// To which node, or to a service of which provider, base58.
    peer_id: String,
    /// The service's name, if it is about a service.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// The state that the node is in, if that changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
}

impl From<Change> for ChangeEvent {
    fn from(change: Change) -> Self {
        Self {
            id: change.id,
            kind: change.kind.as_str(),
            at: change.at,
            peer_id: change.peer.to_string(),
            name: change.name,
            state: change.state.map(|state| state.as_str()),
        }
    }
}

/// What was missed; list anew.
#[derive(Serialize)]
struct Lagged {
    /// The newest change that is not kept any more.
    dropped: u64,
}

/// Watches changes (server-sent events). The event `lagged` says that changes were missed, so lists have to be read anew.
#[utoipa::path(get, path = "/v1/watch", tag = "watch", operation_id = "watch",
    params(WatchQuery, ("last-event-id" = Option<u64>, Header, description = "The id of the last event that the client has")),
    responses((status = 200, description = "The stream; `data` of each event is a ChangeEvent",
        content_type = "text/event-stream", body = ChangeEvent)))]
pub(crate) async fn watch(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Query(query): Query<WatchQuery>,
) -> Result<Response, Problem> {
    let wrong = || Problem::bad_request("`last-event-id` is the number of a change").code("CURSOR_INVALID");
    let last = headers.get(LAST_EVENT_ID).filter(|value| !value.is_empty());
    let last =
        last.map(|value| value.to_str().ok().and_then(|text| text.parse().ok()).ok_or_else(wrong)).transpose()?;
    let peer = query.peer_id.as_deref().map(peer_id).transpose()?;
    let place = shared.gateway.watcher()?;
    let newest = shared.directory.registry.newest_change();
    let after = last.or(query.after).unwrap_or_else(|| *newest.borrow());
    let filter = Filter { name: query.name, peer };
    let watcher = Watcher { shared, newest, after, filter, read: VecDeque::new(), begun: false, _place: place };
    let mut response = Sse::new(watcher.events()).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // nginx would hold events back to fill its buffers.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

struct Filter {
    name: Option<String>,
    peer: Option<libp2p_identity::PeerId>,
}

impl Filter {
    fn wants(&self, change: &Change) -> bool {
        self.peer.is_none_or(|peer| peer == change.peer)
            && self.name.as_ref().is_none_or(|name| change.name.as_ref() == Some(name))
    }
}

struct Watcher {
    shared: Arc<Shared>,
    newest: Receiver<u64>,
    after: u64,
    filter: Filter,
    /// What was read and not yet sent.
    read: VecDeque<Event>,
    begun: bool,
    _place: Place,
}

impl Watcher {
    fn events(self) -> impl Stream<Item = Result<Event, Infallible>> {
        unfold(self, |mut watcher| async move {
            let event = watcher.next().await?;
            Some((Ok(event), watcher))
        })
    }

    /// The next event, when there is one. None when the relay drains.
    async fn next(&mut self) -> Option<Event> {
        if !std::mem::replace(&mut self.begun, true) {
            // An answer with a body lets the client know that it watches.
            return Some(Event::default().comment("watching"));
        }
        loop {
            if let Some(event) = self.read.pop_front() {
                return Some(event);
            }
            if !self.shared.phase.is_ready() {
                return None;
            }
            self.newest.mark_unchanged();
            match self.shared.directory.registry.changes(self.after, PAGE).await {
                Ok(changes) => {
                    let is_whole = changes.changes.len() < PAGE;
                    self.take(changes);
                    if self.read.is_empty() && is_whole {
                        let waited = tokio::time::timeout(KEEP_ALIVE, self.newest.changed()).await;
                        // The registry lives as long as what is shared.
                        if let Ok(Err(_)) = waited {
                            return None;
                        }
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "changes could not be read");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    fn take(&mut self, changes: Changes) {
        if changes.dropped > self.after {
            self.after = changes.dropped;
            let lagged = Event::default().event("lagged").id(changes.dropped.to_string());
            self.read.extend(lagged.json_data(Lagged { dropped: changes.dropped }).ok());
        }
        for change in changes.changes {
            self.after = self.after.max(change.id);
            if self.filter.wants(&change) {
                let event = Event::default().event(change.kind.as_str()).id(change.id.to_string());
                self.read.extend(event.json_data(ChangeEvent::from(change)).ok());
            }
        }
    }
}
