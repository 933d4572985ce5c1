//! Keeps the keys that sign tokens turning, and what was taken back known, while the relay runs.
//!
//! Public keys and revocations are noted in the directory's database, so that a restart forgets none, and instances that share the
//! database accept each other's tokens. Private keys stay in the data directory.

use std::{sync::Arc, time::Duration};

use libp2p_identity::{PeerId, PublicKey};
use tokio::{task::JoinHandle, time::interval};

use crate::{
    clock,
    data_dir::TokenKeyFile,
    directory::{
        registry::RegistryError,
        store::Note,
        tokens::{REVOKED_PEERS, REVOKED_TOKENS, SIGNING_KEYS},
    },
    http::Shared,
};

/// How often it is looked what other instances did, and whether a key is due. A token that was taken back elsewhere holds here for
/// so long.
const LOOK: Duration = Duration::from_secs(10);

/// How long a key is noted; it is noted again long before.
const NOTED: Duration = Duration::from_secs(3 * 60 * 60);

/// Notes that are read at a time.
const PAGE: usize = 1000;

/// The task; dropping it ends it.
pub(super) struct TokenKeys(JoinHandle<()>);

impl TokenKeys {
    /// Looks at once, and then again and again.
    pub(super) fn start(shared: Arc<Shared>, file: TokenKeyFile) -> Self {
        Self(tokio::spawn(async move {
            let mut looks = interval(LOOK);
            loop {
                looks.tick().await;
                turn(&shared, &file).await;
                if let Err(error) = exchange(&shared).await {
                    tracing::debug!(%error, "keys and revocations could not be exchanged");
                }
            }
        }))
    }
}

impl Drop for TokenKeys {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn turn(shared: &Shared, file: &TokenKeyFile) {
    let Some(bytes) = shared.directory.issuer.turn(clock::seconds(), rand::random()) else { return };
    let file = file.clone();
    let saved = tokio::task::spawn_blocking(move || file.save(&bytes)).await;
    match saved {
        Ok(Ok(())) => tracing::info!("the keys that sign tokens have turned"),
        // What they sign holds until the relay ends.
        Ok(Err(error)) => tracing::warn!(%error, "a new key that signs tokens could not be kept"),
        Err(error) => tracing::error!(%error, "a new key that signs tokens could not be kept"),
    }
}

async fn exchange(shared: &Shared) -> Result<(), RegistryError> {
    let (issuer, registry, now) = (&shared.directory.issuer, &shared.directory.registry, clock::seconds());
    let noted = all(shared, SIGNING_KEYS).await?;
    let own = issuer.own_keys(now);
    let half = (now + NOTED.as_secs() / 2) * 1000;
    for key in &own {
        let value = key.encode_protobuf();
        if !noted.iter().any(|note| note.value == value && note.expires > half) {
            let expires = (now + NOTED.as_secs()) * 1000;
            let note = Note { space: SIGNING_KEYS.to_owned(), key: key.to_peer_id().to_bytes(), value, expires };
            registry.remember(note).await?;
        }
    }
    let others = noted.iter().filter_map(|note| PublicKey::try_decode_protobuf(&note.value).ok());
    issuer.set_siblings(others.filter(|key| !own.contains(key)).collect());

    for note in all(shared, REVOKED_TOKENS).await? {
        if let Ok(id) = String::from_utf8(note.key) {
            // A full list is told to whoever takes back; here nobody waits.
            let _ = issuer.revoke(&id, note.expires / 1000, now);
        }
    }
    for note in all(shared, REVOKED_PEERS).await? {
        if let (Ok(peer), Ok(at)) = (PeerId::from_bytes(&note.key), note.value.try_into()) {
            let _ = issuer.revoke_peer(peer, u64::from_be_bytes(at));
        }
    }
    Ok(())
}

/// Every note of a space that has not expired.
async fn all(shared: &Shared, space: &'static str) -> Result<Vec<Note>, RegistryError> {
    let mut notes = Vec::new();
    loop {
        let after = notes.last().map(|note: &Note| note.key.clone());
        let page = shared.directory.registry.recall(space, after, PAGE).await?;
        let is_last = page.len() < PAGE;
        notes.extend(page);
        if is_last {
            return Ok(notes);
        }
    }
}

#[cfg(test)]
mod tests {
    use libp2p_identity::Keypair;

    use super::*;
    use crate::{
        directory::{
            registry::{Registry, RegistryConfig, SystemClock},
            store::sqlite::SqliteStore,
            tokens::{Issuer, RefusedToken, keys::KeyRing},
        },
        http::tests::World,
    };

    #[tokio::test]
    async fn instances_of_one_database_accept_and_take_back_each_others_tokens() {
        let a = World::built().await;
        let store = Arc::new(SqliteStore::open(&a.database()).await.unwrap());
        let registry =
            Registry::open(store, RegistryConfig::default(), Arc::new(SystemClock::default())).await.unwrap();
        let own = Keypair::ed25519_from_bytes([2; 32]).unwrap().public().to_peer_id();
        let b = World::new(&[], &[], |shared| {
            shared.directory.registry = registry;
            shared.directory.issuer = Issuer::new(own, KeyRing::new(clock::seconds(), [4; 32]));
        })
        .await;
        for world in [&a, &b, &a] {
            exchange(&world.shared).await.unwrap();
        }

        let (issuer_a, issuer_b) = (&a.shared.directory.issuer, &b.shared.directory.issuer);
        let (node, now) = (Keypair::ed25519_from_bytes([7; 32]).unwrap().public().to_peer_id(), clock::seconds());
        let issued = issuer_a.access(node, issuer_a.own().to_string(), [1; 16], now).unwrap();
        assert_eq!(issuer_b.check(&issued.token, now).unwrap().subject, node);

        let note = Note {
            space: REVOKED_TOKENS.to_owned(),
            key: issued.claims.id.as_bytes().to_vec(),
            value: Vec::new(),
            expires: (issued.claims.expires_at + 60) * 1000,
        };
        b.shared.directory.registry.remember(note).await.unwrap();
        exchange(&a.shared).await.unwrap();
        assert_eq!(issuer_a.check(&issued.token, now), Err(RefusedToken::Revoked));
    }
}
