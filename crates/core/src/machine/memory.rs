//! What the machine remembers for its next life, and what it tells others of the services it knows.

use libp2p_identity::PeerId;
use multiaddr::Multiaddr;

use super::Machine;
use crate::{
    boundary::Output,
    bundle::Bundle,
    dht::{
        key::{Key, KeyKind},
        store::Value,
    },
    event::{Event, Statement},
    map::Set,
    name::ServiceTarget,
    peer_record::SignedPeerRecord,
    time::Now,
    wire::kad::PeerAddresses,
};

impl Machine {
    /// What this node knows of a service, in the form in which holders give it: its own offer, what it holds for others and
    /// what it remembers. Nothing if it knows nobody.
    ///
    /// This is the answer of a relay's directory. A directory gives it as the body of `GET /v1/bundles/<target>`, and no
    /// bytes, the wire form of an empty bundle, if there is none.
    pub fn bundle(&self, target: &ServiceTarget, now: Now) -> Option<Vec<u8>> {
        let network = &self.config.network;
        let key = match &target.provider {
            Some(provider) => Key::service_of(network, &target.name, provider),
            None => Key::service(network, &target.name),
        };
        let mut union = Bundle::new(key.clone());
        if target.provider.is_none_or(|provider| provider == self.local)
            && let Some(own) = self.publisher.current(&target.name)
        {
            // It was signed by this node for this very name; only its time may be over.
            let _ = union.merge(own.clone(), now);
        }
        for held in [Key::service(network, &target.name), key] {
            if let Some(Value::Bundle(bundle)) = self.dht.store.value(&held) {
                union.merge_all(bundle, now);
            }
        }
        if let Some(remembered) = self.cache.services.tell(&target.name) {
            union.merge_all(remembered, now);
        }
        union.spreads(now).then(|| union.encode(now))
    }

    /// The providers that this node holds under a provider key, the sha2-256 multihash of a value key; nobody is asked.
    pub fn held_providers(&self, key: &[u8], now: Now) -> Vec<PeerAddresses> {
        self.dht.store.providers(key, now)
    }

    /// What these peers have said of themselves, as far as this node holds it for others. It looks at everything that is held,
    /// which takes milliseconds for each hundred thousand records.
    pub fn statements_of(&self, peers: &Set<PeerId>, now: Now) -> Vec<Statement> {
        let mut statements = Vec::new();
        for (key, value) in self.dht.store.entries() {
            match value {
                Value::Bundle(bundle) if matches!(key.kind(), KeyKind::Service(_)) => {
                    let own = bundle.records().filter(|record| peers.contains(&record.record().provider));
                    let valid = own.filter(|record| record.check_time(now.unix_ms).is_ok());
                    statements.extend(valid.cloned().map(Statement::Service));
                }
                Value::Peer { record, until } if peers.contains(&record.peer()) && *until > now.elapsed => {
                    statements.push(Statement::Addresses((**record).clone()));
                }
                _ => {}
            }
        }
        statements
    }

    /// The addresses that a peer has signed, if this node holds them for others.
    pub fn signed_addresses(&self, peer: &PeerId, now: Now) -> Option<SignedPeerRecord> {
        match self.dht.store.value(&Key::peer(&self.config.network, peer))? {
            Value::Peer { record, until } if *until > now.elapsed => Some((**record).clone()),
            _ => None,
        }
    }

    /// Where a peer can be reached, as far as this node knows without asking anybody: the addresses that the peer signed, then
    /// those that it told when it connected.
    pub fn addresses_of(&self, peer: &PeerId, now: Now) -> Vec<Multiaddr> {
        let signed = match self.dht.store.value(&Key::peer(&self.config.network, peer)) {
            Some(Value::Peer { record, until }) if *until > now.elapsed => record.record().addresses.clone(),
            _ => Vec::new(),
        };
        let told = self.links.peer(peer).map(|peer| peer.addresses.as_slice()).unwrap_or_default();
        let new: Vec<_> = told.iter().filter(|address| !signed.contains(address)).cloned().collect();
        [signed, new].concat()
    }

    /// Takes what an earlier life wrote down. What cannot be read is set aside: the node starts without it.
    pub(super) fn restore(&mut self, now: Now) {
        let Some(bytes) = self.config.memory.take() else { return };
        match self.cache.restore(&self.config, &bytes, now) {
            Ok(publisher) => self.publisher.restore(&publisher),
            Err(reason) => {
                let message = format!("what this node remembered is set aside: {reason}");
                self.outputs.push_back(Output::Event(Event::Warning { code: "STORAGE", message }));
            }
        }
    }

    /// Writes down what is to be remembered, when it is time.
    pub(super) fn remember(&mut self, now: Now) {
        let written = self.cache.write_if_due(&self.config, || self.publisher.memory(), now);
        self.outputs.extend(written.map(Output::Remember));
    }

    /// Writes down what is to be remembered before the node goes.
    pub(super) fn remember_all(&mut self, now: Now) {
        let written = self.cache.write(&self.config, self.publisher.memory(), now);
        self.outputs.push_back(Output::Remember(written));
    }
}
