//! The compact form of JSON Web Signatures (RFC 7515), as far as tokens need it: one algorithm, and a key named by its id.

use data_encoding::BASE64URL_NOPAD;
use libp2p_identity::Keypair;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{KeySet, MAX_TOKEN, TokenError, key_id};

/// The only algorithm (RFC 8037).
const ALGORITHM: &str = "EdDSA";

#[derive(Serialize, Deserialize)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
    /// Extensions that a reader must understand; this one understands none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crit: Option<serde_json::Value>,
}

pub(super) fn sign(typ: &str, claims: &impl Serialize, key: &Keypair) -> Result<String, TokenError> {
    let kid = key_id(&key.public()).ok_or(TokenError::Signing)?;
    let header = Header { alg: ALGORITHM.to_owned(), typ: typ.to_owned(), kid, crit: None };
    let mut token = format!("{}.{}", part(&header)?, part(claims)?);
    let signature = key.sign(token.as_bytes()).map_err(|_| TokenError::Signing)?;
    token.push('.');
    BASE64URL_NOPAD.encode_append(&signature, &mut token);
    Ok(token)
}

pub(super) fn verify<T: DeserializeOwned>(token: &str, typ: &str, keys: &KeySet) -> Result<T, TokenError> {
    if token.len() > MAX_TOKEN {
        return Err(TokenError::TooLong { bytes: token.len() });
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(TokenError::Malformed)?;
    let header: Header = read(header)?;
    if header.alg != ALGORITHM {
        return Err(TokenError::Algorithm);
    }
    if header.typ != typ {
        return Err(TokenError::Kind);
    }
    if header.crit.is_some() {
        return Err(TokenError::Malformed);
    }
    let key = keys.get(&header.kid).ok_or(TokenError::UnknownKey)?;
    let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).map_err(|_| TokenError::Malformed)?;
    if !key.verify(signed.as_bytes(), &signature) {
        return Err(TokenError::Signature);
    }
    read(claims)
}

fn part(value: &impl Serialize) -> Result<String, TokenError> {
    let json = serde_json::to_vec(value).map_err(|_| TokenError::Malformed)?;
    Ok(BASE64URL_NOPAD.encode(&json))
}

fn read<T: DeserializeOwned>(part: &str) -> Result<T, TokenError> {
    let json = BASE64URL_NOPAD.decode(part.as_bytes()).map_err(|_| TokenError::Malformed)?;
    serde_json::from_slice(&json).map_err(|_| TokenError::Malformed)
}
