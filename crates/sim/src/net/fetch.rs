//! HTTP, as far as a node uses it: a directory's answer from a relay, and texts that somebody published.
//!
//! A request to a relay's origin runs the way of any packet: it is held by a silence, refused by a dead relay, and costs the
//! round trips of its connection. A published text stands on a server outside of the world, which no partition cuts off;
//! only a silent node does not reach it.

use std::time::Duration;

use openred_core::{FetchId, Input, name::ServiceTarget};

use super::Net;
use crate::{
    node::{Mind, NodeId},
    wire::{Happening, Hops},
};

/// One-way trips until a request arrives: TCP's handshake, then the request; TLS 1.3 takes one round trip more.
const HTTP: u32 = 3;
const HTTPS: u32 = 5;

/// How long the shell waits for an answer: a dial's and a request's time; a guess.
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);

/// One way to a server outside of the world: between a near and a far content network; a guess.
const WEB_TRIP: Duration = Duration::from_millis(20);

/// What travels for a fetch.
#[derive(Clone, Debug)]
pub(crate) enum FetchStep {
    /// The request reaches the relay, if it is one.
    Request { relay: Option<NodeId>, url: String, limit: usize },
    /// What came of it reaches the node that asked.
    Answer(Result<Vec<u8>, String>),
    /// It has taken too long.
    GiveUp,
}

impl Net {
    /// Puts a text on the web, where every node that is not silent can fetch it.
    pub fn publish_list(&mut self, url: &str, text: &str) {
        self.web.insert(url.to_owned(), text.as_bytes().to_vec());
    }

    /// What a relay says of itself at `/bootstrap.json` from here on.
    pub fn describe(&mut self, relay: NodeId, json: &str) {
        json.clone_into(&mut self.nodes[relay.0].bootstrap);
    }

    /// Takes a text off the web again.
    pub fn unpublish(&mut self, url: &str) {
        self.web.remove(url);
    }

    pub(super) fn fetch(&mut self, id: NodeId, fetch: FetchId, url: String, limit: usize) {
        let life = self.nodes[id.0].life;
        let node = &mut self.nodes[id.0];
        node.traffic.fetches += 1;
        node.books.fetches.insert(fetch);
        self.after(
            FETCH_TIMEOUT,
            Happening::Fetch { node: id, life, fetch, hops: Hops::two(id, id), step: FetchStep::GiveUp },
        );
        let relay = self.origin(&url);
        let trips = if url.starts_with("https:") { HTTPS } else { HTTP };
        let (hops, travel) = match relay {
            Some(relay) => {
                let hops = Hops::two(id, relay).times(trips);
                (hops, self.travel(hops))
            }
            None => (Hops::two(id, id), WEB_TRIP * trips),
        };
        let step = FetchStep::Request { relay, url, limit };
        self.after(travel, Happening::Fetch { node: id, life, fetch, hops, step });
    }

    pub(super) fn fetch_step(&mut self, id: NodeId, life: u64, fetch: FetchId, hops: Hops, step: FetchStep) {
        let node = &mut self.nodes[id.0];
        if node.life != life || !node.books.fetches.contains(&fetch) {
            return;
        }
        // The way to the web passes no other node: a silent one gets nowhere, and gives up in time.
        let web = hops.pairs().next().is_none();
        if web && node.hearing.mute && !matches!(step, FetchStep::GiveUp) {
            return;
        }
        match step {
            FetchStep::Request { relay, url, limit } => {
                let (hops, travel) = match relay {
                    Some(relay) => (Hops::two(relay, id), self.travel(Hops::two(relay, id))),
                    None => (Hops::two(id, id), WEB_TRIP),
                };
                let body = self.served(relay, &url);
                let answer = body.and_then(|body| {
                    let long = body.len() > limit;
                    if long { Err(format!("the answer is longer than {limit} bytes")) } else { Ok(body) }
                });
                let step = FetchStep::Answer(answer);
                self.after(travel, Happening::Fetch { node: id, life, fetch, hops, step });
            }
            FetchStep::Answer(answer) => {
                node.books.fetches.remove(&fetch);
                let input = match answer {
                    Ok(body) => Input::Fetched { fetch, body },
                    Err(reason) => Input::FetchFailed { fetch, reason },
                };
                self.tell(id, input);
                self.settle(id);
            }
            FetchStep::GiveUp => {
                node.books.fetches.remove(&fetch);
                let reason = format!("no answer within {} s", FETCH_TIMEOUT.as_secs());
                self.tell(id, Input::FetchFailed { fetch, reason });
                self.settle(id);
            }
        }
    }

    /// What a server answers.
    fn served(&mut self, relay: Option<NodeId>, url: &str) -> Result<Vec<u8>, String> {
        let Some(relay) = relay else {
            return self.web.get(url).cloned().ok_or_else(|| "the host is not known".to_owned());
        };
        let node = &self.nodes[relay.0];
        let now = node.clock.now(self.now);
        let Mind::Machine(machine) = &node.mind else { return Err("connection refused".to_owned()) };
        if path(url) == "/bootstrap.json" {
            return Ok(node.bootstrap.clone().into_bytes());
        }
        let name = path(url).strip_prefix("/v1/bundles/").and_then(decode).ok_or("the answer's status is 404")?;
        let target: ServiceTarget = name.parse().map_err(|_| "the answer's status is 400")?;
        // Nobody known is an empty bundle, and its bytes are none.
        Ok(machine.bundle(&target, now).unwrap_or_default())
    }

    /// The relay that listens at a URL's origin.
    fn origin(&self, url: &str) -> Option<NodeId> {
        let (_, rest) = url.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next()?;
        let (host, port) = authority.rsplit_once(':').unwrap_or((authority, "80"));
        let address = format!("/ip4/{host}/tcp/{port}/ws").parse().ok()?;
        self.by_address.get(&address).copied()
    }
}

fn path(url: &str) -> &str {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let path = rest.find('/').map_or("", |start| &rest[start..]);
    path.split(['?', '#']).next().unwrap_or_default()
}

/// Percent-decodes.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        assert_eq!(path("http://10.0.0.1:80/v1/bundles/a%20b?x=1"), "/v1/bundles/a%20b");
        assert_eq!(path("http://10.0.0.1"), "");
        assert_eq!(decode("z%C3%BCrich").as_deref(), Some("zürich"));
        assert_eq!(decode("%4"), None);
        assert_eq!(decode("%ff"), None);
    }
}
