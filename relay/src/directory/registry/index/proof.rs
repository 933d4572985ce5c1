//! Signed envelopes beside the peer ids of their signers: what the peer id tells is not kept twice.

use libp2p_identity::PeerId;
use openred_core::wire::envelope::key_field;

/// The envelope is whole: its signer's peer id does not hold its key, or it begins with something else.
const WHOLE: u8 = 0;

/// The envelope is without the field of the key.
const REST: u8 = 1;

/// An envelope as it is kept beside its signer's peer id.
pub(super) fn pack(envelope: &[u8], signer: &PeerId) -> Vec<u8> {
    let rest = key_field(signer).and_then(|field| envelope.strip_prefix(field.as_slice()));
    let (form, bytes) = rest.map_or((WHOLE, envelope), |rest| (REST, rest));
    [&[form], bytes].concat()
}

/// The envelope behind what [`pack`] made.
pub(super) fn unpack(packed: &[u8], signer: &PeerId) -> Vec<u8> {
    match packed.split_first() {
        Some((&REST, rest)) => [&key_field(signer).unwrap_or_default(), rest].concat(),
        Some((_, whole)) => whole.to_vec(),
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::super::super::store::conformance::{offer, peer, signed},
        *,
    };

    #[test]
    fn an_envelope_is_kept_without_its_key_and_comes_back_whole() {
        let record = signed(1, offer(1, "chess"));
        let packed = pack(record.envelope(), &peer(1));
        assert_eq!(packed.len(), record.envelope().len() - 37, "38 bytes less, and one that says so");
        assert_eq!(unpack(&packed, &peer(1)), record.envelope());
    }

    #[test]
    fn what_begins_otherwise_is_kept_whole() {
        let record = signed(1, offer(1, "chess"));
        for envelope in [record.envelope(), b"no envelope", b""] {
            assert_eq!(unpack(&pack(envelope, &peer(2)), &peer(2)), envelope);
        }
    }
}
