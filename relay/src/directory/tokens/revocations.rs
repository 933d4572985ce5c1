//! What was taken back before its time.

use std::collections::BTreeMap;

use libp2p_identity::PeerId;
use openred_core::token::{LEEWAY, LINK_LIFE};

use crate::directory::identity::SESSION_LIFE;

/// The most single tokens and the most peers that are remembered, in some 10 MiB together. Beyond that nothing more can be
/// taken back until something expires, which the caller is told.
pub(crate) const CAPACITY: usize = 50_000;

/// After this time nothing that was issued before holds any more, in seconds.
const LONGEST: u64 = {
    let (link, session) = (LINK_LIFE.as_secs(), SESSION_LIFE.as_secs());
    2 * LEEWAY.as_secs() + if link > session { link } else { session }
};

/// Tokens, sessions and peers whose word no longer counts.
#[derive(Debug, Default)]
pub(crate) struct Revocations {
    /// When each id can be forgotten, in seconds since the Unix epoch.
    tokens: BTreeMap<String, u64>,
    /// What was issued about the peer until then does not hold.
    peers: BTreeMap<PeerId, u64>,
}

/// There is no room for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Revocations {
    /// Whether a token of this id about this peer, issued then, was taken back.
    pub(crate) fn token(&self, id: &str, peer: &PeerId, issued_at: u64) -> bool {
        self.tokens.contains_key(id) || self.peers.get(peer).is_some_and(|until| issued_at <= *until)
    }

    pub(crate) fn revoke(&mut self, id: &str, until: u64, now: u64) -> Result<(), Full> {
        if self.tokens.len() >= CAPACITY {
            self.tokens.retain(|_, until| *until > now);
        }
        if self.tokens.len() >= CAPACITY && !self.tokens.contains_key(id) {
            return Err(Full);
        }
        self.tokens.insert(id.to_owned(), until + LEEWAY.as_secs());
        Ok(())
    }

    pub(crate) fn revoke_peer(&mut self, peer: PeerId, now: u64) -> Result<(), Full> {
        if self.peers.len() >= CAPACITY {
            self.peers.retain(|_, until| *until + LONGEST > now);
        }
        if self.peers.len() >= CAPACITY && !self.peers.contains_key(&peer) {
            return Err(Full);
        }
        let until = self.peers.entry(peer).or_insert(now);
        *until = now.max(*until);
        Ok(())
    }
}
