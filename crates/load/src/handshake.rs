//! The client's side of libp2p's HTTP peer-id authentication (libp2p/specs, `http/peer-id-auth.md`), as js-libp2p does it: the
//! client begins, the server proves its key and asks for the client's, the client signs and gets a session.

use data_encoding::BASE64URL;
use libp2p_identity::Keypair;
use openred_core::wire::frame;

use crate::Failure;

const SCHEME: &str = "libp2p-PeerID";

/// The first `Authorization`.
pub(crate) fn begin(keypair: &Keypair) -> String {
    let key = BASE64URL.encode(&keypair.public().encode_protobuf());
    // Any text does, since the relay is not the one that is in doubt here.
    format!("{SCHEME} challenge-server=\"{}\", public-key=\"{key}\"", "openred-".repeat(5))
}

/// The second one, from the `WWW-Authenticate` of the answer to the first.
pub(crate) fn prove(keypair: &Keypair, asked: &str, host: &str) -> Result<String, Failure> {
    let server = BASE64URL.decode(parameter(asked, "public-key")?.as_bytes())?;
    let challenge = parameter(asked, "challenge-client")?;
    let parts = [
        [&b"challenge-client="[..], challenge.as_bytes()].concat(),
        [&b"hostname="[..], host.as_bytes()].concat(),
        [&b"server-public-key="[..], &server].concat(),
    ];
    let signed = [SCHEME.as_bytes().to_vec(), parts.map(|part| frame(&part)).concat()].concat();
    let signature = BASE64URL.encode(&keypair.sign(&signed)?);
    Ok(format!("{SCHEME} opaque=\"{}\", sig=\"{signature}\"", parameter(asked, "opaque")?))
}

/// The `Authorization` of a session, from the `Authentication-Info` of the answer to the second.
pub(crate) fn session(info: &str) -> Result<String, Failure> {
    Ok(format!("{SCHEME} bearer=\"{}\"", parameter(info, "bearer")?))
}

fn parameter<'a>(header: &'a str, name: &str) -> Result<&'a str, Failure> {
    let (_, rest) = header.split_once(&format!("{name}=\"")).ok_or_else(|| format!("no {name} in {header}"))?;
    let (value, _) = rest.split_once('"').ok_or_else(|| format!("{name} does not end in {header}"))?;
    Ok(value)
}
