//! The client's side of libp2p's HTTP peer-id authentication (libp2p/specs, `http/peer-id-auth.md`), as js-libp2p does it: the
//! client begins, the server proves its key and asks for the client's, the client signs and gets a session.
//!
//! Each function makes the value of one `Authorization` header. What is signed names the host that was asked, so a server cannot
//! pass it on to another. The server's own proof is not looked at: who it is, TLS says.

use data_encoding::BASE64URL;
use libp2p_identity::Keypair;

use crate::wire::frame;

/// The scheme in `Authorization`, `WWW-Authenticate` and `Authentication-Info`.
pub const SCHEME: &str = "libp2p-PeerID";

/// Why a server's answer does not lead on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerAuthError {
    /// Its header lacks a parameter.
    #[error("the server's header has no `{0}`")]
    Missing(&'static str),
    /// A parameter is not base64.
    #[error("`{0}` of the server's header is not base64")]
    Encoding(&'static str),
    /// The key does not sign.
    #[error("the key does not sign")]
    Signing,
}

impl PeerAuthError {
    /// A stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing(_) => "MISSING",
            Self::Encoding(_) => "ENCODING",
            Self::Signing => "SIGNING",
        }
    }
}

/// The first `Authorization`.
pub fn begin(keypair: &Keypair) -> String {
    let key = BASE64URL.encode(&keypair.public().encode_protobuf());
    // Any text does, since the server is not the one that is in doubt here.
    format!("{SCHEME} challenge-server=\"{}\", public-key=\"{key}\"", "openred-".repeat(5))
}

/// The second one, from the `WWW-Authenticate` of the answer to the first. `host` is the authority that is asked, as it stands in
/// the `Host` header.
pub fn prove(keypair: &Keypair, asked: &str, host: &str) -> Result<String, PeerAuthError> {
    let server = BASE64URL.decode(parameter(asked, "public-key")?.as_bytes());
    let server = server.map_err(|_| PeerAuthError::Encoding("public-key"))?;
    let challenge = parameter(asked, "challenge-client")?;
    let signed = signed_bytes(&[
        ("challenge-client", challenge.as_bytes()),
        ("hostname", host.as_bytes()),
        ("server-public-key", &server),
    ]);
    let signature = BASE64URL.encode(&keypair.sign(&signed).map_err(|_| PeerAuthError::Signing)?);
    Ok(format!("{SCHEME} opaque=\"{}\", sig=\"{signature}\"", parameter(asked, "opaque")?))
}

/// The `Authorization` of a session, from the `Authentication-Info` of the answer to the second.
pub fn session(info: &str) -> Result<String, PeerAuthError> {
    Ok(format!("{SCHEME} bearer=\"{}\"", parameter(info, "bearer")?))
}

/// What either side signs: the scheme, then each parameter as `name=value` behind its length, in the order of the names.
pub fn signed_bytes(parameters: &[(&str, &[u8])]) -> Vec<u8> {
    debug_assert!(parameters.is_sorted_by_key(|(name, _)| *name), "the names are in order");
    let parts = parameters.iter().map(|(name, value)| frame(&[name.as_bytes(), b"=", value].concat()));
    [SCHEME.as_bytes().to_vec()].into_iter().chain(parts).flatten().collect()
}

fn parameter<'a>(header: &'a str, name: &'static str) -> Result<&'a str, PeerAuthError> {
    let (_, rest) = header.split_once(&format!("{name}=\"")).ok_or(PeerAuthError::Missing(name))?;
    rest.split_once('"').map(|(value, _)| value).ok_or(PeerAuthError::Missing(name))
}
