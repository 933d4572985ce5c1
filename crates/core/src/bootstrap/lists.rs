//! Bootstrap lists at URLs: fetched while the node lacks connections, read, and fetched again when they are old.
//!
//! A list that cannot be fetched, or is no list, is asked for again with backoff. The relays of a list that was read stay
//! known to joining; nothing else of it is kept.
//!
//! Bounds: [`MAX_LISTS`] lists, one request each, [`MAX_BYTES`] of an answer.

use std::time::Duration;

use super::{BootstrapList, MAX_BYTES};
use crate::{
    backoff::Backoff,
    boundary::{FetchId, Output},
    context::Context,
    event::Event,
};

/// Lists that are fetched: a few communities' own.
const MAX_LISTS: usize = 8;

/// Time for a list to come: the time limit of joining by default, so that its end can still be told.
const ANSWER: Duration = Duration::from_secs(8);

/// First and longest delay before a list is asked for again; a web server that fails is spared. Guesses.
const RETRY: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(300));

/// Age at which a list is fetched again, if connections lack. Relays live for days; a guess.
const OLD: Duration = Duration::from_secs(3600);

/// Head start of the relays that are known without a list, if there are any: a join over a good link.
const HEAD_START: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct List {
    url: String,
    stage: Stage,
    backoff: Backoff,
    /// Whether it was ever read.
    read: bool,
    /// Why the last attempt came to nothing.
    failure: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// To be fetched at this time, if connections lack then.
    Due(Duration),
    Fetching(FetchId, Duration),
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Lists {
    lists: Vec<List>,
}

impl Lists {
    /// `known` says whether there are relays to try before any list is fetched.
    pub(crate) fn new(urls: &[String], known: bool, elapsed: Duration) -> Self {
        let at = if known { elapsed + HEAD_START } else { elapsed };
        let list = |url: &String| List {
            url: url.clone(),
            stage: Stage::Due(at),
            backoff: Backoff::new(RETRY.0, RETRY.1),
            read: false,
            failure: None,
        };
        Self { lists: urls.iter().take(MAX_LISTS).map(list).collect() }
    }

    /// Fetches what is due; `lacking` says whether connections lack.
    pub(crate) fn advance(&mut self, cx: &mut Context<'_>, lacking: bool) {
        for list in &mut self.lists {
            match list.stage {
                Stage::Due(at) if lacking && at <= cx.now.elapsed => {
                    if !list.url.starts_with("https://") && !list.url.starts_with("http://") {
                        list.fail(cx, "it has to be an https or http URL".to_owned());
                        continue;
                    }
                    let fetch = cx.links.next_fetch();
                    list.stage = Stage::Fetching(fetch, cx.after(ANSWER));
                    let (url, limit) = (list.url.clone(), MAX_BYTES);
                    cx.outputs.push_back(Output::Fetch { fetch, url, limit });
                }
                Stage::Fetching(fetch, until) if until <= cx.now.elapsed => {
                    cx.outputs.push_back(Output::CancelFetch { fetch });
                    list.fail(cx, format!("no answer within {} s", ANSWER.as_secs()));
                }
                _ => {}
            }
        }
    }

    /// What a list says, if the request was for one. Nothing in it may be believed before it is tried.
    pub(crate) fn fetched(&mut self, cx: &mut Context<'_>, fetch: FetchId, body: &[u8]) -> Option<BootstrapList> {
        let list = self.waiting_for(fetch)?;
        let secure = list.url.starts_with("https:");
        let Ok(text) = std::str::from_utf8(body.get(..MAX_BYTES).unwrap_or(body)) else {
            list.fail(cx, "it is not text".to_owned());
            return Some(BootstrapList::default());
        };
        let (read, rejected) = BootstrapList::parse(text, secure);
        if read.is_empty() {
            let reason = match rejected.first() {
                Some(line) => format!("it names no relay; {line}"),
                None => "it is empty".to_owned(),
            };
            list.fail(cx, reason);
        } else {
            if let Some(line) = rejected.first() {
                let (url, count) = (&list.url, rejected.len());
                let message = format!("the bootstrap list {url} has {count} wrong lines or more; {line}");
                cx.emit(Event::Warning { code: "INVALID_ADDRESS", message });
            }
            list.failure = None;
            list.read = true;
            list.backoff.reset();
            list.stage = Stage::Due(cx.after(OLD));
        }
        Some(read)
    }

    /// True if the request was for a list.
    pub(crate) fn fetch_failed(&mut self, cx: &mut Context<'_>, fetch: FetchId, reason: &str) -> bool {
        let Some(list) = self.waiting_for(fetch) else { return false };
        list.fail(cx, reason.to_owned());
        true
    }

    /// Tries every list at once that could not be fetched, whatever its backoff says: the network has come back.
    pub(crate) fn retry_now(&mut self, elapsed: Duration) {
        for list in self.lists.iter_mut().filter(|list| list.failure.is_some()) {
            if let Stage::Due(at) = &mut list.stage {
                *at = elapsed;
            }
        }
    }

    pub(crate) fn next_deadline(&self, lacking: bool) -> Option<Duration> {
        let deadline = |list: &List| match list.stage {
            Stage::Due(at) => Some(at).filter(|_| lacking),
            Stage::Fetching(_, until) => Some(until),
        };
        self.lists.iter().filter_map(deadline).min()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    /// Whether every list was read, so that what they name is all there is.
    pub(crate) fn are_read(&self) -> bool {
        self.lists.iter().all(|list| list.read)
    }

    /// Why each list that failed did, in words.
    pub(crate) fn reasons(&self) -> impl Iterator<Item = String> {
        self.lists.iter().filter_map(|list| match (&list.failure, list.stage) {
            (Some(failure), _) => Some(format!("bootstrap list {}: {failure}", list.url)),
            (None, Stage::Fetching(..)) => Some(format!("bootstrap list {}: no answer yet", list.url)),
            (None, Stage::Due(_)) => None,
        })
    }

    fn waiting_for(&mut self, fetch: FetchId) -> Option<&mut List> {
        self.lists.iter_mut().find(|list| matches!(list.stage, Stage::Fetching(waiting, _) if waiting == fetch))
    }
}

impl List {
    fn fail(&mut self, cx: &mut Context<'_>, reason: String) {
        self.stage = Stage::Due(cx.now.elapsed + self.backoff.fail(cx.rng));
        self.failure = Some(reason);
    }
}
