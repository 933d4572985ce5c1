//! The last layer: relays asked over HTTP what they know of a name.
//!
//! Every relay answers `GET <origin>/v1/bundles/<name>[@<peer id>]` with a bundle in the form that DHT holders give it. The
//! *origin* follows from a relay's WebSocket address, since one TCP port serves both. It needs no peer-to-peer link, so it
//! works before a node has joined and when the links are what fails. What comes is verified as a holder's answer is. A
//! relay that is linked is asked too, although it answers in the DHT: who speaks only HTTP is registered in its directory
//! and nowhere else.
//!
//! Asked are relays that the application configured, those that are linked, and those that are remembered; of the latter two
//! only hosts at which this node has reached them itself, so that nobody can aim it at a third party. The nearest is asked
//! first, the next [`LayerConfig::stagger`](super::LayerConfig) later or as soon as the one before had nothing to say. An
//! origin that fails is left alone for a while.
//!
//! Bounds: [`LayerConfig::directories`](super::LayerConfig) for a find, [`MAX_FETCHES`] at once, [`MAX_ORIGINS`] origins
//! remembered, [`MAX_ENCODED`] bytes an answer.

use std::{collections::VecDeque, fmt::Write, time::Duration};

use libp2p_identity::PeerId;

use super::finds::Asker;
use crate::{
    address::origin::{origin, same_host},
    backoff::Backoff,
    boundary::{FetchId, Output},
    bundle::{Bundle, MAX_ENCODED},
    context::Context,
    dht::key::Key,
    event::{Event, Path},
    map::{Map, Set},
    name::ServiceTarget,
};

/// Requests to directories at once. A browser opens six connections to one host; a guess.
const MAX_FETCHES: usize = 16;

/// Origins whose failures and times are remembered: all that are configured and as many others.
const MAX_ORIGINS: usize = 64;

/// Remembered relays that are looked at for origins.
const MAX_REMEMBERED: usize = 16;

/// First and longest pause for an origin that fails: a relay that restarts is back in seconds. Guesses.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// What a directory said, if it said anything: records, or that it knows nobody.
pub(super) type Said = Result<Option<Bundle>, String>;

/// An answer for a find.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) asker: Asker,
    pub(super) fetch: FetchId,
    pub(super) result: Said,
}

#[derive(Debug)]
struct Fetch {
    asker: Asker,
    key: Key,
    origin: String,
    started: Duration,
    until: Duration,
}

#[derive(Debug)]
struct Origin {
    backoff: Backoff,
    /// It is not asked before.
    pause: Duration,
    /// How long its last answer took.
    took: Option<Duration>,
}

/// The directories of one find.
#[derive(Debug)]
pub(super) struct Asking {
    queue: VecDeque<String>,
    running: Set<FetchId>,
    next: Duration,
    answered: bool,
    failure: Option<String>,
}

impl Asking {
    /// One of them has replied.
    pub(super) fn replied(&mut self, fetch: FetchId, result: Said) {
        if !self.running.remove(&fetch) {
            // It answers an earlier find of the same order.
            return;
        }
        // The next one need not wait for its turn.
        self.next = Duration::ZERO;
        match result {
            Ok(_) => self.answered = true,
            Err(reason) => self.failure = Some(reason),
        }
    }

    /// Whether all have replied: if anybody answered, and what was wrong with the last that did not.
    pub(super) fn over(&self) -> Option<(bool, Option<String>)> {
        (self.running.is_empty() && self.queue.is_empty()).then(|| (self.answered, self.failure.clone()))
    }

    pub(super) fn next_deadline(&self) -> Option<Duration> {
        (!self.queue.is_empty()).then_some(self.next)
    }
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Directories {
    fetches: Map<FetchId, Fetch>,
    origins: Map<String, Origin>,
}

impl Directories {
    /// Whom to ask for a find, the nearest first; or why nobody.
    pub(super) fn choose(&mut self, cx: &Context<'_>) -> Result<Asking, &'static str> {
        let mut candidates = origins(cx);
        if candidates.is_empty() {
            return Err("no relay is known whose directory can be asked");
        }
        candidates.retain(|known| self.origins.get(&known.origin).is_none_or(|state| state.pause <= cx.now.elapsed));
        if candidates.is_empty() {
            return Err("every known directory failed a moment ago");
        }
        if self.fetches.len() >= MAX_FETCHES {
            return Err("too many directories are being asked already");
        }
        let took = |known: &Known| self.origins.get(&known.origin).and_then(|state| state.took).or(known.rtt);
        // The sort is stable: what the application named first comes first among equals.
        crate::map::sort_by_key(&mut candidates, |known| took(known).unwrap_or(Duration::MAX));
        let queue = candidates.into_iter().map(|known| known.origin).take(cx.config.layers.directories).collect();
        Ok(Asking { queue, running: Set::new(), next: cx.now.elapsed, answered: false, failure: None })
    }

    /// Asks those whose turn it is.
    pub(super) fn ask(
        &mut self,
        cx: &mut Context<'_>,
        asking: &mut Asking,
        asker: Asker,
        target: &ServiceTarget,
        key: &Key,
    ) {
        while asking.next <= cx.now.elapsed {
            let Some(origin) = asking.queue.pop_front() else { return };
            if self.fetches.len() >= MAX_FETCHES {
                asking.failure = Some("too many directories are being asked already".to_owned());
                continue;
            }
            let fetch = cx.links.next_fetch();
            let url = format!("{origin}/v1/bundles/{}", escaped(&target.to_string()));
            cx.outputs.push_back(Output::Fetch { fetch, url, limit: MAX_ENCODED });
            let (started, until) = (cx.now.elapsed, cx.after(cx.config.layers.directory));
            self.fetches.insert(fetch, Fetch { asker, key: key.clone(), origin, started, until });
            asking.running.insert(fetch);
            asking.next = cx.after(cx.config.layers.stagger);
        }
    }

    /// A directory answered; nothing if the request is not one of these.
    pub(super) fn fetched(&mut self, cx: &mut Context<'_>, id: FetchId, body: &[u8]) -> Option<Reply> {
        let fetch = self.fetches.remove(&id)?;
        let result = match Bundle::decode(&fetch.key, body, cx.now) {
            Ok((bundle, rejected)) => {
                let wrong = rejected.iter().find(|rejected| !rejected.reason.is_about_time());
                if let Some(rejected) = wrong {
                    let message = format!("the directory {}: {}", fetch.origin, rejected.reason);
                    cx.emit(Event::Warning { code: "MISBEHAVED", message });
                }
                match wrong {
                    Some(_) if bundle.is_empty() => Err(format!("{}: its answer is not to be believed", fetch.origin)),
                    _ => Ok((!bundle.is_empty()).then_some(bundle)),
                }
            }
            Err(error) => {
                let message = format!("the directory {}: {error}", fetch.origin);
                cx.emit(Event::Warning { code: "MISBEHAVED", message });
                Err(format!("{}: {error}", fetch.origin))
            }
        };
        let took = cx.now.elapsed.saturating_sub(fetch.started);
        match &result {
            Ok(_) => {
                let origin = self.origin(&fetch.origin);
                origin.backoff.reset();
                (origin.pause, origin.took) = (Duration::ZERO, Some(took));
            }
            Err(_) => self.pause(cx, &fetch.origin),
        }
        Some(Reply { asker: fetch.asker, fetch: id, result })
    }

    /// A directory could not be asked; nothing if the request is not one of these.
    pub(super) fn failed(&mut self, cx: &mut Context<'_>, id: FetchId, reason: String) -> Option<Reply> {
        let fetch = self.fetches.remove(&id)?;
        self.pause(cx, &fetch.origin);
        Some(Reply { asker: fetch.asker, fetch: id, result: Err(format!("{}: {reason}", fetch.origin)) })
    }

    /// Gives up those that have been silent for too long.
    pub(super) fn overdue(&mut self, cx: &mut Context<'_>) -> Vec<Reply> {
        let overdue = self.fetches.iter().filter(|(_, fetch)| fetch.until <= cx.now.elapsed);
        let overdue: Vec<FetchId> = overdue.map(|(id, _)| *id).collect();
        let limit = cx.config.layers.directory.as_millis();
        let give_up = |id| {
            cx.outputs.push_back(Output::CancelFetch { fetch: id });
            self.failed(cx, id, format!("no answer within {limit} ms"))
        };
        overdue.into_iter().filter_map(give_up).collect()
    }

    /// Nobody waits for the answers to this find any more.
    pub(super) fn cancel(&mut self, cx: &mut Context<'_>, asker: Asker) {
        self.fetches.retain(|id, fetch| {
            let keep = fetch.asker != asker;
            if !keep {
                cx.outputs.push_back(Output::CancelFetch { fetch: *id });
            }
            keep
        });
    }

    pub(super) fn next_deadline(&self) -> Option<Duration> {
        self.fetches.values().map(|fetch| fetch.until).min()
    }

    fn pause(&mut self, cx: &mut Context<'_>, origin: &str) {
        let origin = self.origin(origin);
        origin.pause = cx.now.elapsed.saturating_add(origin.backoff.fail(cx.rng));
    }

    fn origin(&mut self, name: &str) -> &mut Origin {
        if self.origins.len() >= MAX_ORIGINS && !self.origins.contains_key(name) {
            let first = self.origins.iter().min_by_key(|(_, state)| state.pause).map(|(name, _)| name.clone());
            first.map(|first| self.origins.remove(&first));
        }
        let fresh = || Origin { backoff: Backoff::new(PAUSE.0, PAUSE.1), pause: Duration::ZERO, took: None };
        self.origins.get_or_insert_with(name.to_owned(), fresh)
    }
}

/// A relay's directory.
#[derive(Debug)]
struct Known {
    origin: String,
    rtt: Option<Duration>,
}

/// The directories this node knows: configured, linked, remembered.
fn origins(cx: &Context<'_>) -> Vec<Known> {
    let mut known: Vec<Known> = Vec::new();
    let mut add = |origin: Option<String>, peer: Option<PeerId>| {
        let Some(origin) = origin else { return };
        let rtt = peer.and_then(|peer| {
            let link = cx.links.peer(&peer).and_then(|peer| peer.rtt);
            link.or_else(|| cx.cache.peers.get(&peer)?.rtt)
        });
        match known.iter_mut().find(|known| known.origin == origin) {
            Some(known) => known.rtt = known.rtt.or(rtt),
            None => known.push(Known { origin, rtt }),
        }
    };
    for relay in &cx.config.relays {
        if (cx.config.can_dial)(&relay.multiaddr) {
            add(origin(&relay.multiaddr), relay.peer);
        }
    }
    for (peer, about) in cx.links.peers().filter(|(_, about)| about.relay && about.server) {
        let proven = cx.links.links_to(peer).into_iter().find(|(_, link)| link.outbound && link.path == Path::Direct);
        if let Some((_, link)) = proven {
            for address in std::iter::once(&link.address).chain(&about.addresses) {
                if same_host(&link.address, address) && cx.config.may_dial(address) {
                    add(origin(address), Some(*peer));
                }
            }
        }
    }
    let remembered = cx.cache.peers.ranked(cx.now);
    let relays = remembered.into_iter().filter(|known| known.roles.relay && known.proven);
    for relay in relays.take(MAX_REMEMBERED) {
        let Some(proven) = relay.addresses.first() else { continue };
        for address in &relay.addresses {
            if same_host(proven, address) && cx.config.may_dial(address) {
                add(origin(address), Some(relay.peer));
            }
        }
    }
    known
}

/// A target as a segment of a URL's path (RFC 3986): what is not unreserved is written with %; `@` may stay.
fn escaped(target: &str) -> String {
    let mut text = String::with_capacity(target.len());
    for byte in target.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'@' => text.push(byte as char),
            // Writing to a string does not fail.
            _ => drop(write!(text, "%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests;
