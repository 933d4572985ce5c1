//! The ring of keys that sign tokens: one signs, the next is published before it does, and the last ones stay published until
//! nothing they signed can hold any more.

use data_encoding::BASE64URL_NOPAD;
use libp2p_identity::{Keypair, PublicKey};
use openred_core::token::{LEEWAY, LINK_LIFE};
use serde::{Deserialize, Serialize};

/// How long a key signs, in seconds. A guess: a stolen key is of use for a day at most, and a relay publishes two or three.
pub(crate) const PERIOD: u64 = 24 * 60 * 60;

/// How long a key is published before it signs, in seconds: twice as long as the published set may be kept by others.
pub(crate) const AHEAD: u64 = 2 * KEY_SET_AGE;

/// How long others may keep the published set, in seconds.
pub(crate) const KEY_SET_AGE: u64 = 60 * 60;

/// How long a key stays published after it has signed, in seconds.
const AFTER: u64 = LINK_LIFE.as_secs() + 2 * LEEWAY.as_secs();

/// Keys in the order in which they sign; never empty.
#[derive(Debug)]
pub(crate) struct KeyRing(Vec<Key>);

#[derive(Clone, Debug)]
struct Key {
    pair: Keypair,
    /// The key's private half, from which the pair is made again.
    seed: [u8; 32],
    /// Seconds since the Unix epoch.
    from: u64,
    until: u64,
}

#[derive(Serialize, Deserialize)]
struct StoredKey {
    secret: String,
    from: u64,
    until: u64,
}

impl KeyRing {
    /// A ring of one key, made from `seed`, that signs from `now`, in seconds since the Unix epoch.
    pub(crate) fn new(now: u64, seed: [u8; 32]) -> Self {
        Self(vec![Key::new(seed, now, now + PERIOD)])
    }

    /// Reads what [`Self::to_bytes`] wrote.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let stored: Vec<StoredKey> = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let keys = stored.iter().map(|stored| {
            let secret = BASE64URL_NOPAD.decode(stored.secret.as_bytes()).ok()?.try_into().ok()?;
            (stored.from < stored.until).then(|| Key::new(secret, stored.from, stored.until))
        });
        let mut keys = keys.collect::<Option<Vec<_>>>().ok_or("a key in it is none")?;
        keys.sort_by_key(|key| key.from);
        if keys.is_empty() { Err("it has no key".to_owned()) } else { Ok(Self(keys)) }
    }

    /// The ring with its private keys, for a file that only its owner reads.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let stored: Vec<_> = self.0.iter().map(Key::stored).collect();
        serde_json::to_vec(&stored).expect("texts and numbers can be written as JSON")
    }

    /// Drops keys nobody needs and adds the next one if it is time. Says whether the ring has changed.
    pub(crate) fn turn(&mut self, now: u64, seed: [u8; 32]) -> bool {
        let before = self.0.len();
        let last = self.0.last().map_or(0, |key| key.until);
        let due = last <= now + AHEAD;
        if due {
            // After a long absence the new key signs at once: what waits for it is nothing.
            let from = last.max(now);
            self.0.push(Key::new(seed, from, from + PERIOD));
        }
        self.0.retain(|key| key.until + AFTER > now);
        due || self.0.len() != before
    }

    /// The key that signs at `now`.
    pub(crate) fn signer(&self, now: u64) -> &Keypair {
        let current = self.0.iter().rfind(|key| key.from <= now);
        // A clock that was set back finds only keys of the future.
        &current.or(self.0.first()).expect("a ring has a key").pair
    }

    /// The public keys that others should know.
    pub(crate) fn published(&self, now: u64) -> impl Iterator<Item = PublicKey> {
        self.0.iter().filter(move |key| key.until + AFTER > now).map(|key| key.pair.public())
    }
}

impl Key {
    fn new(seed: [u8; 32], from: u64, until: u64) -> Self {
        let pair = Keypair::ed25519_from_bytes(seed).expect("32 bytes are an Ed25519 key");
        Self { pair, seed, from, until }
    }

    fn stored(&self) -> StoredKey {
        StoredKey { secret: BASE64URL_NOPAD.encode(&self.seed), from: self.from, until: self.until }
    }
}
