//! What a client carries for us: a state that it cannot read anything into, because its first 32 bytes are an HMAC over the
//! rest.
//!
//! The rest is: a byte for the version, a byte for what it is, the time of making (eight bytes of milliseconds, big-endian),
//! the sha2-256 of the host, and then the nonce with the client's public key if that is known, or the session's id with the
//! peer id.

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use libp2p_identity::PeerId;
use sha2::{Digest, Sha256};

use super::{NONCE, params};

/// Bytes of a session's id.
pub(super) const SESSION_ID: usize = 16;

/// What tells the secret from others that are made of the same key.
const PURPOSE: &[u8] = b"openred http sessions";

const VERSION: u8 = 1;
const CHALLENGE: u8 = 1;
const SESSION: u8 = 2;
const TAG: usize = 32;
const HOST: usize = 32;
/// Version, kind, time and host.
const HEAD: usize = 2 + 8 + HOST;

/// Seals and opens states.
pub(super) struct Seal(Hmac<Sha256>);

/// What is sealed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct State {
    /// When it was made, in milliseconds since the Unix epoch.
    pub(super) created: u64,
    host: [u8; HOST],
    pub(super) what: What,
}

/// A challenge or a session.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum What {
    /// We wait for a signature over the nonce, by this key if it is not empty.
    Challenge { nonce: [u8; NONCE], key: Vec<u8> },
    /// The peer has proved its key.
    Session { id: [u8; SESSION_ID], peer: PeerId },
}

impl State {
    pub(super) fn new(host: &str, created: u64, what: What) -> Self {
        Self { created, host: Sha256::digest(host).into(), what }
    }

    /// Whether it was made for this host.
    pub(super) fn is_for(&self, host: &str) -> bool {
        self.host == <[u8; HOST]>::from(Sha256::digest(host))
    }
}

impl Seal {
    /// Seals with a secret made of `key`, which has other uses.
    pub(super) fn new(key: &[u8]) -> Self {
        let keyed = |key: &[u8]| Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
        Self(keyed(&keyed(key).chain_update(PURPOSE).finalize().into_bytes()))
    }

    pub(super) fn close(&self, state: &State) -> String {
        let mut bytes = vec![0; TAG];
        bytes.push(VERSION);
        let (kind, first, second) = match &state.what {
            What::Challenge { nonce, key } => (CHALLENGE, nonce.as_slice(), key.clone()),
            What::Session { id, peer } => (SESSION, id.as_slice(), peer.to_bytes()),
        };
        bytes.push(kind);
        bytes.extend(state.created.to_be_bytes());
        bytes.extend(state.host);
        bytes.extend(first);
        bytes.extend(second);
        let tag = self.0.clone().chain_update(&bytes[TAG..]).finalize().into_bytes();
        bytes[..TAG].copy_from_slice(&tag);
        BASE64URL_NOPAD.encode(&bytes)
    }

    pub(super) fn open(&self, text: &str) -> Option<State> {
        let bytes = params::decode(text)?;
        let (tag, rest) = bytes.split_at_checked(TAG)?;
        self.0.clone().chain_update(rest).verify_slice(tag).ok()?;
        let (head, body) = rest.split_at_checked(HEAD)?;
        let [VERSION, kind, ..] = *head else { return None };
        let created = u64::from_be_bytes(head[2..10].try_into().ok()?);
        let host = head[10..].try_into().ok()?;
        let what = match kind {
            CHALLENGE => {
                let (nonce, key) = body.split_at_checked(NONCE)?;
                What::Challenge { nonce: nonce.try_into().ok()?, key: key.to_vec() }
            }
            SESSION => {
                let (id, peer) = body.split_at_checked(SESSION_ID)?;
                What::Session { id: id.try_into().ok()?, peer: PeerId::from_bytes(peer).ok()? }
            }
            _ => return None,
        };
        Some(State { created, host, what })
    }
}
