//! Tokens: what a directory vouches for during a short time, and how anybody checks it without asking.
//!
//! A token is a JSON Web Token (RFC 7519) in compact form, signed with Ed25519 (`EdDSA`, RFC 8037). No other algorithm is
//! read, so there is none to be talked into. The directory publishes the keys that sign as a JSON Web Key Set (RFC 7517) and
//! names each by its thumbprint (RFC 7638). There are two kinds, told apart by the header's `typ` (RFC 8725, 3.11):
//!
//! | `typ` | states | claims |
//! |---|---|---|
//! | `openred-access+jwt` | this peer has just proved its key | `iss`, `sub`, `aud`, `iat`, `exp`, `jti` |
//! | `openred-link+jwt` | these two peers may be taken for who they say | the same, with `link`; `aud` is the other peer |
//!
//! `iss` and `sub` are peer ids in base58, `iat` and `exp` seconds since the Unix epoch, `jti` and `link` texts without a
//! meaning. A reader ignores claims it does not know.
//!
//! # Checking a token
//!
//! Without this crate, and in any language:
//!
//! 1. Refuse more than [`MAX_TOKEN`] bytes, and anything but three parts with a dot between, each in base64url without padding.
//! 2. The first part is a JSON object with `alg` = `EdDSA`, the `typ` that is expected, and a `kid` that the key set has.
//! 3. The third part is the Ed25519 signature by that key over the first two parts and the dot between, as they were received.
//! 4. The second part is a JSON object: `aud` is the reader, `iat` not more than [`LEEWAY`] ahead, `exp` not more than
//!    [`LEEWAY`] ago, and `sub` whom the claim is about.
//! 5. A link token also needs its holder: see [`verify_link`].
//!
//! Bounds: bytes of a token, of a key set and of an audience, keys of a set. Nothing here is kept; whoever wants a token to
//! work once remembers its `jti` until `exp`.

mod jws;
mod keys;
mod link;

use std::time::Duration;

use libp2p_identity::{Keypair, PeerId};
use serde::{Deserialize, Serialize};

pub use self::{
    keys::{KeySet, KeySetError, MAX_KEY_SET, MAX_KEYS, key_id},
    link::{Link, LinkPair, PROOF_NONCE, issue_links, prove_link, verify_link, verify_proof},
};

/// The longest token, in bytes; ours take about 500.
pub const MAX_TOKEN: usize = 2048;

/// The longest audience, in bytes: a host name, a URL or a peer id.
pub const MAX_AUDIENCE: usize = 256;

/// How long an access token holds (requirement D4).
pub const ACCESS_LIFE: Duration = Duration::from_secs(5 * 60);

/// How long a link token holds. A guess: long enough that two nodes at work need not ask again and again, short enough that a
/// link taken back is soon gone everywhere.
pub const LINK_LIFE: Duration = Duration::from_secs(60 * 60);

/// How far two clocks may differ. RFC 7519 says no more than a few minutes; tokens live for five.
pub const LEEWAY: Duration = Duration::from_secs(60);

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Shown to the directory itself, or to a service that trusts it.
    Access,
    /// Shown by one peer of a link to the other.
    Link,
}

impl Kind {
    /// The `typ` in the header.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Access => "openred-access+jwt",
            Self::Link => "openred-link+jwt",
        }
    }
}

/// What a token states.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The directory's peer id.
    #[serde(rename = "iss", with = "peer_id")]
    pub issuer: PeerId,
    /// Whom it is about.
    #[serde(rename = "sub", with = "peer_id")]
    pub subject: PeerId,
    /// Who may believe it.
    #[serde(rename = "aud")]
    pub audience: String,
    /// When it was made, in seconds since the Unix epoch.
    #[serde(rename = "iat")]
    pub issued_at: u64,
    /// When it ceases to hold, in seconds since the Unix epoch.
    #[serde(rename = "exp")]
    pub expires_at: u64,
    /// Names this one token, to take it back or to see it only once.
    #[serde(rename = "jti")]
    pub id: String,
    /// Names the link that two tokens make together; only in link tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}

impl Claims {
    /// An access token's claims from `now`, in seconds since the Unix epoch. `id` is drawn by the caller.
    pub fn access(issuer: PeerId, subject: PeerId, audience: String, id: String, now: u64) -> Self {
        Self { issuer, subject, audience, issued_at: now, expires_at: now + ACCESS_LIFE.as_secs(), id, link: None }
    }

    /// Signs the claims. The key's id must be among those the directory publishes.
    pub fn sign(&self, kind: Kind, key: &Keypair) -> Result<String, TokenError> {
        if self.audience.is_empty() || self.audience.len() > MAX_AUDIENCE {
            return Err(TokenError::Audience);
        }
        let token = jws::sign(kind.as_str(), self, key)?;
        if token.len() > MAX_TOKEN { Err(TokenError::TooLong { bytes: token.len() }) } else { Ok(token) }
    }
}

/// Checks all of a token but its holder: form, kind, key, signature, time (seconds since the Unix epoch) and audience.
pub fn verify(token: &str, kind: Kind, keys: &KeySet, audience: &str, now: u64) -> Result<Claims, TokenError> {
    let claims = open(token, kind, keys, now)?;
    if claims.audience == audience { Ok(claims) } else { Err(TokenError::Audience) }
}

/// Like [`verify`], for a reader that has several names and compares the audience itself.
pub fn open(token: &str, kind: Kind, keys: &KeySet, now: u64) -> Result<Claims, TokenError> {
    let claims: Claims = jws::verify(token, kind.as_str(), keys)?;
    if claims.issued_at > now.saturating_add(LEEWAY.as_secs()) {
        return Err(TokenError::NotYet { ahead: claims.issued_at - now });
    }
    if claims.expires_at.saturating_add(LEEWAY.as_secs()) <= now {
        return Err(TokenError::Expired { since: now - claims.expires_at });
    }
    Ok(claims)
}

/// Why a token cannot be made or is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is longer than tokens are.
    #[error("token of {bytes} bytes, at most {MAX_TOKEN}")]
    TooLong {
        /// Its length, in bytes.
        bytes: usize,
    },
    /// It is not three parts of base64url with the JSON that belongs into them.
    #[error("not a token in compact form")]
    Malformed,
    /// It is signed in another way than EdDSA, or not at all.
    #[error("the token is not signed with EdDSA")]
    Algorithm,
    /// It is for something else.
    #[error("the token is of another kind")]
    Kind,
    /// The key set does not have its key.
    #[error("the token names a key that is not in the key set")]
    UnknownKey,
    /// The signature does not hold: forged, or damaged on the way.
    #[error("the token's signature does not hold")]
    Signature,
    /// It is for somebody else, or an audience that cannot be written.
    #[error("the token is for another audience")]
    Audience,
    /// It holds later.
    #[error("the token is dated {ahead} s in the future")]
    NotYet {
        /// By how many seconds.
        ahead: u64,
    },
    /// It no longer holds.
    #[error("the token expired {since} s ago")]
    Expired {
        /// How many seconds ago.
        since: u64,
    },
    /// A link token is shown by somebody else than the peer it is about.
    #[error("the token is about another peer than the one that shows it")]
    Holder,
    /// The proof of the holder's key does not hold.
    #[error("the proof of the holder's key does not hold")]
    Proof,
    /// The key cannot sign.
    #[error("the key cannot sign")]
    Signing,
}

impl TokenError {
    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "TOKEN_TOO_LONG",
            Self::Malformed => "TOKEN_MALFORMED",
            Self::Algorithm => "TOKEN_ALGORITHM",
            Self::Kind => "TOKEN_KIND",
            Self::UnknownKey => "TOKEN_KEY_UNKNOWN",
            Self::Signature => "TOKEN_SIGNATURE",
            Self::Audience => "TOKEN_AUDIENCE",
            Self::NotYet { .. } => "TOKEN_NOT_YET_VALID",
            Self::Expired { .. } => "TOKEN_EXPIRED",
            Self::Holder => "TOKEN_HOLDER",
            Self::Proof => "TOKEN_PROOF",
            Self::Signing => "TOKEN_SIGNING",
        }
    }
}

/// Peer ids as base58.
mod peer_id {
    use libp2p_identity::PeerId;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(peer: &PeerId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(peer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PeerId, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;
