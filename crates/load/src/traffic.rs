//! The mixed load of many nodes: 70 % heartbeats, 25 % queries, 5 % registrations and deregistrations.

use fastrand::Rng;
use hyper::{Response, body::Bytes, header::HeaderValue};
use libp2p_identity::PeerId;
use serde_json::json;

use crate::{
    client::Question,
    drive::Traffic,
    nodes::{self, Node},
};

/// Of a thousand requests: single heartbeats in a session, batches of signed heartbeats, lookups by name, searches for a word,
/// registrations with a service, and deregistrations.
pub(crate) const SHARES: [(&str, u32); 6] =
    [("heartbeat", 690), ("batch", 10), ("lookup", 225), ("search", 25), ("register", 25), ("deregister", 25)];

/// Heartbeats of one batch, each with a signature to check.
pub(crate) const BATCH: usize = 8;

/// See the module's documentation.
pub(crate) struct Mixed<'a> {
    host: HeaderValue,
    directory: PeerId,
    nodes: &'a [Node],
    visitors: &'a [Node],
    /// Visitors that are registered, and those that are not. Who is under way is in neither.
    present: Vec<usize>,
    away: Vec<usize>,
    random: Rng,
    /// Heartbeats so far. Nodes take turns, as they do with a period each.
    beats: usize,
    /// Answers that did not say what was expected, and the first of them.
    pub(crate) surprises: (u64, Option<String>),
}

/// How far the next heartbeat is from the last in the list of nodes; a prime, so that all have their turn.
const STRIDE: usize = 7919;

/// What a request was about.
pub(crate) enum Mark {
    Registers(usize),
    Deregisters(usize),
    /// An answer that holds this text is no success.
    Without(&'static str),
    /// An answer that does not is none.
    With(&'static str),
}

impl<'a> Mixed<'a> {
    /// The load of `nodes`, which stay registered, and `visitors`, which come and go.
    pub(crate) fn new(host: HeaderValue, directory: PeerId, nodes: &'a [Node], visitors: &'a [Node]) -> Self {
        let away = (0..visitors.len()).collect();
        let random = Rng::with_seed(1);
        Self { host, directory, nodes, visitors, present: Vec::new(), away, random, beats: 0, surprises: (0, None) }
    }

    /// The node whose heartbeat is next.
    fn beating(&mut self) -> &'a Node {
        self.beats += 1;
        let nodes = self.nodes;
        &nodes[self.beats * STRIDE % nodes.len()]
    }

    /// A request of this kind.
    fn of_kind(&mut self, kind: &str) -> (&'static str, Question, Mark) {
        let nodes = self.nodes;
        let node = &nodes[self.random.usize(..nodes.len())];
        match kind {
            "heartbeat" => {
                let node = self.beating();
                let path = format!("{}/heartbeat", node.path());
                ("heartbeat", node.asks(&self.host, "POST", &path, Bytes::new()), Mark::With("active"))
            }
            "batch" => {
                let heartbeats: Vec<_> = (0..BATCH).map(|_| self.beating().heartbeat(&self.directory)).collect();
                let body = json!({ "heartbeats": heartbeats }).to_string().into();
                ("batch", node.asks_unknown(&self.host, "POST", "/v1/heartbeats", body), Mark::Without("code"))
            }
            "lookup" => {
                let path = format!("/v1/services/{}", nodes::service_name(self.random.u64(..self.nodes.len() as u64)));
                ("lookup", node.asks_unknown(&self.host, "GET", &path, Bytes::new()), Mark::With("provider"))
            }
            "search" => {
                let path = format!("/v1/services?limit=20&text={}", nodes::word(self.random.u64(..nodes::WORDS)));
                ("search", node.asks_unknown(&self.host, "GET", &path, Bytes::new()), Mark::With("provider"))
            }
            "register" => {
                // While all are under way or there, somebody who is there says something new.
                let at = self.away.pop().or_else(|| self.present.pop()).unwrap_or_default();
                let visitor = &self.visitors[at];
                let question = visitor.asks(&self.host, "PUT", &visitor.path(), visitor.registration());
                ("register", question, Mark::Registers(at))
            }
            _ => match self.present.is_empty() {
                true => self.of_kind("register"),
                false => {
                    let at = self.present.swap_remove(self.random.usize(..self.present.len()));
                    let visitor = &self.visitors[at];
                    let question = visitor.asks(&self.host, "DELETE", &visitor.path(), Bytes::new());
                    ("deregister", question, Mark::Deregisters(at))
                }
            },
        }
    }
}

impl Traffic for Mixed<'_> {
    type Mark = Mark;

    fn next(&mut self) -> (&'static str, Question, Mark) {
        let mut chosen = self.random.u32(..1000);
        for (kind, share) in SHARES {
            if chosen < share {
                return self.of_kind(kind);
            }
            chosen -= share;
        }
        self.of_kind("heartbeat")
    }

    fn done(&mut self, mark: Mark, answer: Option<&Response<Bytes>>) {
        let answer = answer.filter(|answer| answer.status().is_success());
        let holds = |text: &str| answer.is_none_or(|answer| contains(answer.body(), text.as_bytes()));
        let is_expected = match mark {
            Mark::Registers(at) if answer.is_some() => {
                self.present.push(at);
                true
            }
            // One that failed to leave is as good as gone: it registers anew.
            Mark::Registers(at) | Mark::Deregisters(at) => {
                self.away.push(at);
                true
            }
            Mark::With(text) => holds(text),
            Mark::Without(text) => answer.is_none_or(|answer| !contains(answer.body(), text.as_bytes())),
        };
        if !is_expected && let Some(answer) = answer {
            self.surprises.0 += 1;
            self.surprises.1.get_or_insert_with(|| String::from_utf8_lossy(answer.body()).into_owned());
        }
    }
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}
