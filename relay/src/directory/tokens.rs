//! The tokens that this directory issues, checks and takes back. Their form, and how others check them, is
//! [`openred_core::token`].
//!
//! [`Issuer`] holds the ring of signing keys ([`keys`]) and what was taken back ([`revocations`]). A token for the directory
//! itself has the issuer as its audience. Instances that share a database know each other's public keys, so each accepts what
//! another issued; a private key never leaves the machine that drew it.
//!
//! Peers that hold a link never ask again, so taking a link's tokens back only reaches those who ask: links end with their
//! hour.

pub(crate) mod keys;
pub(crate) mod revocations;

use std::sync::{Mutex, MutexGuard, PoisonError};

use data_encoding::BASE64URL_NOPAD;
use libp2p_identity::{PeerId, PublicKey};
use openred_core::token::{self, Claims, KeySet, Kind, LinkPair, TokenError};

use self::{
    keys::KeyRing,
    revocations::{Full, Revocations},
};
use super::identity::Session;

/// Where public keys and revocations are noted in the directory's database.
pub(crate) const SIGNING_KEYS: &str = "token-key";
/// See [`SIGNING_KEYS`].
pub(crate) const REVOKED_TOKENS: &str = "revoked-token";
/// See [`SIGNING_KEYS`].
pub(crate) const REVOKED_PEERS: &str = "revoked-peer";

/// Bytes of randomness in the id of a token or link.
pub(crate) const TOKEN_ID: usize = 16;

/// Issues and checks tokens.
pub(crate) struct Issuer {
    own: PeerId,
    state: Mutex<State>,
}

struct State {
    ring: KeyRing,
    siblings: KeySet,
    revocations: Revocations,
}

/// A token with what its receiver wants to know without taking it apart.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    /// The token.
    pub(crate) token: String,
    /// What it states.
    pub(crate) claims: Claims,
}

impl Issuer {
    /// Issues as `own`, the relay's peer id, with the keys of `ring`.
    pub(crate) fn new(own: PeerId, ring: KeyRing) -> Self {
        let state = State { ring, siblings: KeySet::default(), revocations: Revocations::default() };
        Self { own, state: Mutex::new(state) }
    }

    /// Who issues; the audience of tokens for this directory.
    pub(crate) fn own(&self) -> PeerId {
        self.own
    }

    /// An access token about `subject`; `now` in seconds since the Unix epoch.
    pub(crate) fn access(
        &self,
        subject: PeerId,
        audience: String,
        id: [u8; TOKEN_ID],
        now: u64,
    ) -> Result<Issued, TokenError> {
        let claims = Claims::access(self.own, subject, audience, BASE64URL_NOPAD.encode(&id), now);
        let token = claims.sign(Kind::Access, self.state().ring.signer(now))?;
        Ok(Issued { token, claims })
    }

    /// Both tokens of a link.
    pub(crate) fn link(
        &self,
        first: PeerId,
        second: PeerId,
        id: [u8; TOKEN_ID],
        now: u64,
    ) -> Result<LinkPair, TokenError> {
        token::issue_links(self.own, first, second, BASE64URL_NOPAD.encode(&id), now, self.state().ring.signer(now))
    }

    /// Checks an access token that is shown to this directory.
    pub(crate) fn check(&self, token: &str, now: u64) -> Result<Claims, RefusedToken> {
        let keys = self.keys(now);
        let claims = token::open(token, Kind::Access, &keys, now)?;
        if claims.audience != claims.issuer.to_string() {
            return Err(TokenError::Audience.into());
        }
        self.standing(&claims)?;
        Ok(claims)
    }

    /// Checks any token of this directory's, whoever it is for: for those who ask whether one has been taken back.
    pub(crate) fn inspect(&self, token: &str, now: u64) -> Result<(Kind, Claims), RefusedToken> {
        let keys = self.keys(now);
        let opened = match token::open(token, Kind::Access, &keys, now) {
            Err(TokenError::Kind) => (Kind::Link, token::open(token, Kind::Link, &keys, now)?),
            opened => (Kind::Access, opened?),
        };
        self.standing(&opened.1)?;
        Ok(opened)
    }

    fn standing(&self, claims: &Claims) -> Result<(), RefusedToken> {
        let revoked = self.state().revocations.token(&claims.id, &claims.subject, claims.issued_at);
        if revoked { Err(RefusedToken::Revoked) } else { Ok(()) }
    }

    /// Whether a session was taken back.
    pub(crate) fn is_ended(&self, session: &Session) -> bool {
        self.state().revocations.token(&session.id, &session.peer, session.since / 1000)
    }

    /// Takes one token or session back until it would have expired; times in seconds since the Unix epoch.
    pub(crate) fn revoke(&self, id: &str, until: u64, now: u64) -> Result<(), Full> {
        self.state().revocations.revoke(id, until, now)
    }

    /// Takes back everything that was issued about `peer` so far.
    pub(crate) fn revoke_peer(&self, peer: PeerId, now: u64) -> Result<(), Full> {
        self.state().revocations.revoke_peer(peer, now)
    }

    /// The public keys with which tokens are checked at `now`: this instance's and its siblings'.
    pub(crate) fn keys(&self, now: u64) -> KeySet {
        let state = self.state();
        let mut keys = state.siblings.clone();
        for key in state.ring.published(now) {
            keys.insert(key);
        }
        keys
    }

    /// The keys of this instance, for its siblings.
    pub(crate) fn own_keys(&self, now: u64) -> Vec<PublicKey> {
        self.state().ring.published(now).collect()
    }

    /// The keys of the other instances that share a database with this one.
    pub(crate) fn set_siblings(&self, keys: KeySet) {
        self.state().siblings = keys;
    }

    /// Makes a new key if it is time, from `seed`, and gives what is to be kept on disk then.
    pub(crate) fn turn(&self, now: u64, seed: [u8; 32]) -> Option<Vec<u8>> {
        let mut state = self.state();
        state.ring.turn(now, seed).then(|| state.ring.to_bytes())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a token is not accepted here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RefusedToken {
    /// It does not hold for anybody.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// It was taken back.
    #[error("the token was revoked")]
    Revoked,
}

impl RefusedToken {
    /// The stable code of this error.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Token(error) => error.code(),
            Self::Revoked => "TOKEN_REVOKED",
        }
    }
}

#[cfg(test)]
mod tests;
