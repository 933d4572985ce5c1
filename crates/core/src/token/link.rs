//! Links: two tokens with which two peers know each other without asking the directory again.
//!
//! One of the two asks once and gets both. Each token is about one peer (`sub`), is for the other (`aud`) and carries the id
//! of the link (`link`). The one who asked keeps its own, and hands the other's over when they meet; from then on each checks
//! what the other shows with the directory's published keys alone.
//!
//! A link token is worth nothing to whoever is not its subject: [`verify_link`] takes the peer that the connection itself has
//! proved (libp2p's handshakes do that). Where there is no such connection, as between two web servers, the holder signs a
//! nonce of the reader's instead: [`prove_link`] and [`verify_proof`].

use libp2p_identity::{Keypair, PeerId, PublicKey};

use super::{Claims, KeySet, Kind, LINK_LIFE, TokenError, verify};
use crate::wire::frame;

/// Bytes that a reader draws for a proof, and refuses to see twice.
pub const PROOF_NONCE: usize = 32;

/// What tells a proof from everything else that a peer signs.
const PROOF_DOMAIN: &[u8] = b"openred-link-proof";

/// Both tokens of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkPair {
    /// The id of the link.
    pub id: String,
    /// About the first peer, for the second.
    pub first: String,
    /// About the second peer, for the first.
    pub second: String,
    /// When both cease to hold, in seconds since the Unix epoch.
    pub expires_at: u64,
}

/// What a link token told a reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The id of the link, the same in both tokens.
    pub id: String,
    /// The directory that vouches.
    pub issuer: PeerId,
    /// The peer that showed the token.
    pub peer: PeerId,
    /// When it ceases to hold, in seconds since the Unix epoch.
    pub expires_at: u64,
}

/// Makes both tokens of a link between `first` and `second`, from `now` in seconds since the Unix epoch. `id` is drawn by the
/// caller; the tokens' own ids are made of it.
pub fn issue_links(
    issuer: PeerId,
    first: PeerId,
    second: PeerId,
    id: String,
    now: u64,
    key: &Keypair,
) -> Result<LinkPair, TokenError> {
    let expires_at = now + LINK_LIFE.as_secs();
    let token = |subject, other: PeerId, part| {
        Claims {
            issuer,
            subject,
            audience: other.to_string(),
            issued_at: now,
            expires_at,
            id: format!("{id}.{part}"),
            link: Some(id.clone()),
        }
        .sign(Kind::Link, key)
    };
    Ok(LinkPair { first: token(first, second, 1)?, second: token(second, first, 2)?, id, expires_at })
}

/// Checks a link token that `holder` shows to `own`. The caller knows by other means that it speaks with `holder`: by the
/// connection's handshake, or by [`verify_proof`].
pub fn verify_link(token: &str, keys: &KeySet, holder: &PeerId, own: &PeerId, now: u64) -> Result<Link, TokenError> {
    let claims = verify(token, Kind::Link, keys, &own.to_string(), now)?;
    if claims.subject != *holder {
        return Err(TokenError::Holder);
    }
    let id = claims.link.ok_or(TokenError::Malformed)?;
    Ok(Link { id, issuer: claims.issuer, peer: claims.subject, expires_at: claims.expires_at })
}

/// The holder's answer to `nonce`, drawn by `reader`: its signature over the domain, the link's id, the reader's peer id and
/// the nonce, each behind its length as an unsigned varint.
pub fn prove_link(
    key: &Keypair,
    link: &str,
    reader: &PeerId,
    nonce: &[u8; PROOF_NONCE],
) -> Result<Vec<u8>, TokenError> {
    key.sign(&proof_bytes(link, reader, nonce)).map_err(|_| TokenError::Signing)
}

/// Checks the proof that whoever holds `link` also holds `key`, and gives the peer to which that key belongs.
pub fn verify_proof(
    proof: &[u8],
    key: &PublicKey,
    link: &str,
    own: &PeerId,
    nonce: &[u8; PROOF_NONCE],
) -> Result<PeerId, TokenError> {
    if key.verify(&proof_bytes(link, own, nonce), proof) { Ok(key.to_peer_id()) } else { Err(TokenError::Proof) }
}

fn proof_bytes(link: &str, reader: &PeerId, nonce: &[u8]) -> Vec<u8> {
    [PROOF_DOMAIN, link.as_bytes(), &reader.to_bytes(), nonce].map(frame).concat()
}
