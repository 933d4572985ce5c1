//! Who asks: the server side of libp2p's HTTP peer-id authentication (libp2p/specs, `http/peer-id-auth.md`).
//!
//! [`PeerAuth`] decides and does no input or output: it is given the `Authorization` header, the host that was asked, the time
//! and fresh randomness, and gives an [`Answer`]. Both handshakes of the specification are spoken. Nothing is stored for a
//! client that has not proved its key: what must be known again travels with the client as `opaque`, sealed
//! ([`seal`]). After the handshake the client holds a *session*, sealed likewise, which costs one HMAC to check; Ed25519 and RSA
//! keys (2048 bits and more) may open one. The seal's secret comes from the relay's own key, so sessions survive a restart.
//!
//! Replay: a challenge is answered once ([`replay`]), and not after a restart, which forgets what was answered. Swap: a seal tells challenge from session, and both are bound to the
//! host that was asked. Who may be asked is for the caller to check: a relay that answered for any `Host` would let a stranger
//! pass on what a client signed for the stranger's own host.
//!
//! Bounds: [`MAX_HEADER`] bytes of header, [`replay::CAPACITY`] challenges remembered for [`CHALLENGE_LIFE`].

pub(crate) mod params;
pub(crate) mod replay;
mod seal;

use std::{sync::Mutex, time::Duration};

use data_encoding::BASE64URL;
use libp2p_identity::{Keypair, PeerId, PublicKey};
/// The scheme in `Authorization`, `WWW-Authenticate` and `Authentication-Info`.
pub(crate) use openred_core::peer_auth::{SCHEME, signed_bytes};

use self::{
    params::Params,
    replay::{Replays, Seen},
    seal::{Seal, State, What},
};

/// The longest header that is looked at, in bytes (the specification's suggestion).
pub(crate) const MAX_HEADER: usize = 2048;

/// How long a challenge can be answered. A guess: a client answers within a round trip and one signature.
pub(crate) const CHALLENGE_LIFE: Duration = Duration::from_secs(60);

/// How long a session holds; the JavaScript client expects an hour.
pub(crate) const SESSION_LIFE: Duration = Duration::from_secs(60 * 60);

/// Bytes of randomness in a challenge.
pub(crate) const NONCE: usize = 32;

/// Length of what a client may have us sign, in bytes: libp2p's clients send 32 to 44.
const CHALLENGE_LENGTH: std::ops::RangeInclusive<usize> = 32..=256;

/// A peer that has proved its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    /// Who it is.
    pub(crate) peer: PeerId,
    /// Names the session, to take it back.
    pub(crate) id: String,
    /// When it began, in milliseconds since the Unix epoch.
    pub(crate) since: u64,
}

/// What becomes of an `Authorization` header.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The peer is known. `info`, if any, must go into the response as `Authentication-Info`.
    Known {
        /// The peer and its session.
        session: Session,
        /// The session for the client to keep, and this server's own proof.
        info: Option<String>,
    },
    /// The peer is not known; the response is 401 with this as `WWW-Authenticate`.
    Challenge {
        /// The header.
        header: String,
        /// What was wrong with the client's; `None` if it has only begun.
        because: Option<AuthError>,
    },
}

/// The server side of the authentication.
pub(crate) struct PeerAuth {
    keypair: Keypair,
    public_key: Vec<u8>,
    seal: Seal,
    replays: Mutex<Replays>,
    /// When this server began, in milliseconds since the Unix epoch.
    started: u64,
}

impl PeerAuth {
    /// Answers as the peer that owns `keypair`, from `started` on, in milliseconds since the Unix epoch.
    pub(crate) fn new(keypair: Keypair, started: u64) -> Self {
        let public_key = keypair.public().encode_protobuf();
        let seal = Seal::new(&keypair.to_protobuf_encoding().expect("an Ed25519 key pair can be encoded"));
        Self { keypair, public_key, seal, replays: Mutex::default(), started }
    }

    /// Takes one step. `host` is the authority that the client asked, as in its `Host` header; `nonce` is fresh randomness.
    pub(crate) fn answer(&self, header: Option<&str>, host: &str, now_ms: u64, nonce: [u8; NONCE]) -> Answer {
        let step = match header.map(Params::parse) {
            None => return self.challenge(host, now_ms, nonce, None),
            Some(Err(error)) => Err(error),
            Some(Ok(params)) => self.step(&params, host, now_ms, nonce),
        };
        step.unwrap_or_else(|error| self.challenge(host, now_ms, nonce, Some(error)))
    }

    fn step(&self, params: &Params<'_>, host: &str, now_ms: u64, nonce: [u8; NONCE]) -> Result<Answer, AuthError> {
        match *params {
            Params { opaque: Some(opaque), sig: Some(sig), .. } => {
                let state = self.seal.open(opaque).ok_or(AuthError::Seal)?;
                self.finish(params, &state, sig, host, now_ms, nonce)
            }
            Params { bearer: Some(bearer), .. } => {
                let session = self.session(bearer, host, now_ms)?;
                Ok(Answer::Known { session, info: None })
            }
            Params { challenge_server: Some(challenge), public_key: Some(key), .. } => {
                let (key, bytes) = decode_key(key)?;
                let sig = self.prove(challenge, &bytes, host)?;
                let opened = self.open_challenge(host, now_ms, nonce, &key.encode_protobuf());
                Ok(Answer::Challenge { header: format!("{opened}, sig=\"{sig}\""), because: None })
            }
            _ => Err(AuthError::Header),
        }
    }

    /// The client has signed our challenge.
    fn finish(
        &self,
        params: &Params<'_>,
        state: &State,
        sig: &str,
        host: &str,
        now_ms: u64,
        nonce: [u8; NONCE],
    ) -> Result<Answer, AuthError> {
        let What::Challenge { nonce: asked, key: sealed_key } = &state.what else { return Err(AuthError::Seal) };
        check(state, host, now_ms, CHALLENGE_LIFE)?;
        if state.created < self.started {
            return Err(AuthError::Expired);
        }
        let (key, bytes) = match (sealed_key.as_slice(), params.public_key) {
            ([], Some(key)) => decode_key(key)?,
            ([], None) => return Err(AuthError::Header),
            (sealed, _) => (read_key(sealed)?, sealed.to_vec()),
        };
        let challenge = BASE64URL.encode(asked);
        let signed = signed_bytes(&[
            ("challenge-client", challenge.as_bytes()),
            ("hostname", host.as_bytes()),
            ("server-public-key", &self.public_key),
        ]);
        let until = now_ms + CHALLENGE_LIFE.as_millis() as u64;
        if self.replays().has(asked) {
            return Err(AuthError::Replayed);
        }
        if !key.verify(&signed, &params::decode(sig).ok_or(AuthError::Header)?) {
            return Err(AuthError::Signature);
        }
        // Two requests with one answer may both have come this far; the first one has it.
        match self.replays().insert(*asked, now_ms, until) {
            Seen::First => {}
            Seen::Before => return Err(AuthError::Replayed),
            Seen::Full => return Err(AuthError::Busy),
        }
        let proof = match (sealed_key.is_empty(), params.challenge_server) {
            (true, Some(challenge)) => Some(self.prove(challenge, &bytes, host)?),
            (true, None) => return Err(AuthError::Header),
            (false, _) => None,
        };
        let session = self.open_session(key.to_peer_id(), host, now_ms, nonce);
        Ok(Answer::Known { info: Some(session_header(&session, proof)), session: session.1 })
    }

    /// A session that the client shows again.
    fn session(&self, bearer: &str, host: &str, now_ms: u64) -> Result<Session, AuthError> {
        let state = self.seal.open(bearer).ok_or(AuthError::Seal)?;
        let What::Session { id, peer } = &state.what else { return Err(AuthError::Seal) };
        check(&state, host, now_ms, SESSION_LIFE)?;
        Ok(Session { peer: *peer, id: session_id(id), since: state.created })
    }

    fn open_session(&self, peer: PeerId, host: &str, now_ms: u64, nonce: [u8; NONCE]) -> (String, Session) {
        let mut id = [0; seal::SESSION_ID];
        id.copy_from_slice(&nonce[..seal::SESSION_ID]);
        let what = What::Session { id, peer };
        let bearer = self.seal.close(&State::new(host, now_ms, what));
        (bearer, Session { peer, id: session_id(&id), since: now_ms })
    }

    fn challenge(&self, host: &str, now_ms: u64, nonce: [u8; NONCE], because: Option<AuthError>) -> Answer {
        Answer::Challenge { header: self.open_challenge(host, now_ms, nonce, &[]), because }
    }

    fn open_challenge(&self, host: &str, now_ms: u64, nonce: [u8; NONCE], key: &[u8]) -> String {
        let what = What::Challenge { nonce, key: key.to_vec() };
        let opaque = self.seal.close(&State::new(host, now_ms, what));
        let (challenge, key) = (BASE64URL.encode(&nonce), BASE64URL.encode(&self.public_key));
        format!("{SCHEME} challenge-client=\"{challenge}\", public-key=\"{key}\", opaque=\"{opaque}\"")
    }

    /// Our signature over what the client asked us to sign.
    fn prove(&self, challenge: &str, client_key: &[u8], host: &str) -> Result<String, AuthError> {
        if !CHALLENGE_LENGTH.contains(&challenge.len()) {
            return Err(AuthError::Header);
        }
        let signed = signed_bytes(&[
            ("challenge-server", challenge.as_bytes()),
            ("client-public-key", client_key),
            ("hostname", host.as_bytes()),
        ]);
        let signature = self.keypair.sign(&signed).map_err(|_| AuthError::Key)?;
        Ok(BASE64URL.encode(&signature))
    }

    fn replays(&self) -> std::sync::MutexGuard<'_, Replays> {
        self.replays.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn session_header((bearer, _): &(String, Session), proof: Option<String>) -> String {
    let proof = proof.map_or_else(String::new, |sig| format!("sig=\"{sig}\", "));
    format!("{SCHEME} {proof}bearer=\"{bearer}\"")
}

fn session_id(id: &[u8]) -> String {
    data_encoding::BASE64URL_NOPAD.encode(id)
}

/// Whether what was sealed is for this host and not too old.
fn check(state: &State, host: &str, now_ms: u64, life: Duration) -> Result<(), AuthError> {
    if !state.is_for(host) {
        return Err(AuthError::Host);
    }
    let age = Duration::from_millis(now_ms.saturating_sub(state.created));
    if age > life { Err(AuthError::Expired) } else { Ok(()) }
}

fn decode_key(text: &str) -> Result<(PublicKey, Vec<u8>), AuthError> {
    let bytes = params::decode(text).ok_or(AuthError::Header)?;
    Ok((read_key(&bytes)?, bytes))
}

fn read_key(bytes: &[u8]) -> Result<PublicKey, AuthError> {
    PublicKey::try_decode_protobuf(bytes).map_err(|_| AuthError::Key)
}

/// Why a client is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AuthError {
    /// The header is not one of those that the specification has.
    #[error("the Authorization header is not a step of the {SCHEME} handshake")]
    Header,
    /// What the client returned is not what it was given, or is for another step.
    #[error("the opaque or bearer value is not one of this relay's")]
    Seal,
    /// It came too late.
    #[error("the challenge or session has expired")]
    Expired,
    /// It was made for another host.
    #[error("the challenge or session is for another host name")]
    Host,
    /// The key cannot be read, or is of a kind that is not accepted.
    #[error("the public key cannot be read; Ed25519 and RSA keys are accepted")]
    Key,
    /// The signature does not hold.
    #[error("the signature does not hold")]
    Signature,
    /// The answer to this challenge was seen before.
    #[error("the challenge was answered before")]
    Replayed,
    /// More clients prove themselves at the moment than can be remembered.
    #[error("too many handshakes at the moment")]
    Busy,
}

impl AuthError {
    /// The stable code of this error.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Header => "AUTH_HEADER",
            Self::Seal => "AUTH_OPAQUE",
            Self::Expired => "AUTH_EXPIRED",
            Self::Host => "AUTH_HOST",
            Self::Key => "AUTH_KEY",
            Self::Signature => "AUTH_SIGNATURE",
            Self::Replayed => "AUTH_REPLAYED",
            Self::Busy => "AUTH_BUSY",
        }
    }
}

#[cfg(test)]
mod tests;
