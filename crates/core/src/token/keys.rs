//! The keys that sign tokens, as a JSON Web Key Set (RFC 7517) of Ed25519 keys (RFC 8037).

use std::collections::BTreeMap;

use data_encoding::BASE64URL_NOPAD;
use libp2p_identity::{PublicKey, ed25519};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The most keys of a set: three for each of some twenty relays that share a database.
pub const MAX_KEYS: usize = 64;

/// The longest key set that is read, in bytes; 64 keys take 12 KiB.
pub const MAX_KEY_SET: usize = 32 * 1024;

/// Public keys by their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeySet(BTreeMap<String, PublicKey>);

#[derive(Serialize, Deserialize)]
struct Document {
    keys: Vec<Key>,
}

/// One key. Members that are not here are ignored; keys of other types too, as RFC 7517 demands.
#[derive(Serialize, Deserialize)]
struct Key {
    kty: String,
    #[serde(default)]
    crv: String,
    #[serde(default)]
    x: String,
    #[serde(default)]
    kid: String,
    #[serde(default)]
    alg: String,
    #[serde(default, rename = "use")]
    usage: String,
}

impl KeySet {
    /// Adds a key under its thumbprint. Other keys than Ed25519, and more than [`MAX_KEYS`], are not taken; says whether
    /// the key is in the set.
    pub fn insert(&mut self, key: PublicKey) -> bool {
        let Some(id) = key_id(&key) else { return false };
        if self.0.len() >= MAX_KEYS && !self.0.contains_key(&id) {
            return false;
        }
        self.0.insert(id, key);
        true
    }

    /// The key of this id.
    pub fn get(&self, id: &str) -> Option<&PublicKey> {
        self.0.get(id)
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads a document as a directory publishes it. A key's id is computed, never believed.
    pub fn from_json(bytes: &[u8]) -> Result<Self, KeySetError> {
        if bytes.len() > MAX_KEY_SET {
            return Err(KeySetError::TooLong { bytes: bytes.len() });
        }
        let document: Document = serde_json::from_slice(bytes).map_err(|_| KeySetError::Malformed)?;
        let mut set = Self::default();
        for key in document.keys.iter().filter(|key| key.kty == "OKP" && key.crv == "Ed25519") {
            let bytes = BASE64URL_NOPAD.decode(key.x.as_bytes()).map_err(|_| KeySetError::Malformed)?;
            let key = ed25519::PublicKey::try_from_bytes(&bytes).map_err(|_| KeySetError::Malformed)?;
            if !set.insert(key.into()) {
                return Err(KeySetError::TooMany);
            }
        }
        Ok(set)
    }

    /// The document, in the order of the ids.
    pub fn to_json(&self) -> String {
        let keys = self.0.iter().filter_map(|(id, key)| {
            Some(Key {
                kty: "OKP".to_owned(),
                crv: "Ed25519".to_owned(),
                x: coordinate(key)?,
                kid: id.clone(),
                alg: "EdDSA".to_owned(),
                usage: "sig".to_owned(),
            })
        });
        serde_json::to_string(&Document { keys: keys.collect() }).expect("texts can be written as JSON")
    }
}

impl FromIterator<PublicKey> for KeySet {
    fn from_iter<I: IntoIterator<Item = PublicKey>>(keys: I) -> Self {
        let mut set = Self::default();
        for key in keys {
            set.insert(key);
        }
        set
    }
}

/// The id of an Ed25519 key: its thumbprint (RFC 7638), which is the sha2-256 of its required members, in base64url.
pub fn key_id(key: &PublicKey) -> Option<String> {
    let members = format!("{{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"{}\"}}", coordinate(key)?);
    Some(BASE64URL_NOPAD.encode(&Sha256::digest(members)))
}

fn coordinate(key: &PublicKey) -> Option<String> {
    let key = key.clone().try_into_ed25519().ok()?;
    Some(BASE64URL_NOPAD.encode(&key.to_bytes()))
}

/// Why bytes are not a key set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// The document is longer than [`MAX_KEY_SET`].
    #[error("key set of {bytes} bytes, at most {MAX_KEY_SET}")]
    TooLong {
        /// Its length, in bytes.
        bytes: usize,
    },
    /// It is not JSON of the right shape, or a key in it is none.
    #[error("not a JSON Web Key Set")]
    Malformed,
    /// It has more keys than [`MAX_KEYS`].
    #[error("more than {MAX_KEYS} keys")]
    TooMany,
}
