//! The libp2p signed envelope (RFC 0002): a payload, what kind of payload it is, and who signed it.
//!
//! The signature covers a domain string, the payload type and the payload, each with its length before it, so that
//! bytes signed for one purpose cannot be passed off as another. Compatible with the envelopes of the other libp2p
//! implementations, byte for byte.
//!
//! Only Ed25519 keys are accepted: that is what an OpenRed node is, and which other key types a build could verify
//! would depend on its features, so that holders would disagree about what is valid.

#[cfg(feature = "server")]
use libp2p_identity::PeerId;
use libp2p_identity::{KeyType, Keypair, PublicKey};
use prost::Message;

use super::Malformed;

#[derive(Clone, PartialEq, Message)]
struct Envelope {
    #[prost(bytes = "vec", tag = "1")]
    public_key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    payload_type: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    payload: Vec<u8>,
    #[prost(bytes = "vec", tag = "5")]
    signature: Vec<u8>,
}

/// What tells one use of envelopes from another.
#[derive(Debug, Clone, Copy)]
pub struct Purpose {
    /// The domain string that is signed along.
    pub domain: &'static str,
    /// The payload type that stands in the envelope.
    pub payload_type: &'static [u8],
}

/// An envelope whose signature holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The key that signed.
    pub signer: PublicKey,
    /// What was signed.
    pub payload: Vec<u8>,
    /// The envelope encoded as we would encode it: whatever a stranger could have appended without breaking the
    /// signature is gone, so equal statements have equal bytes.
    pub canonical: Vec<u8>,
}

/// Signs `payload` and returns the encoded envelope.
pub fn seal(keypair: &Keypair, purpose: Purpose, payload: Vec<u8>) -> Result<Vec<u8>, EnvelopeError> {
    require_ed25519(keypair.key_type())?;
    let signature = keypair.sign(&signed_bytes(purpose, &payload)).map_err(|_| EnvelopeError::Signing)?;
    Ok(Envelope {
        public_key: keypair.public().encode_protobuf(),
        payload_type: purpose.payload_type.to_vec(),
        payload,
        signature,
    }
    .encode_to_vec())
}

/// Decodes an envelope and verifies its signature. Who the signer should be is for the caller to check.
pub fn open(bytes: &[u8], purpose: Purpose) -> Result<Opened, EnvelopeError> {
    let mut envelope = Envelope::decode(bytes).map_err(Malformed::from)?;
    if envelope.payload_type != purpose.payload_type {
        return Err(EnvelopeError::PayloadType);
    }
    let signer = PublicKey::try_decode_protobuf(&envelope.public_key).map_err(|_| EnvelopeError::PublicKey)?;
    require_ed25519(signer.key_type())?;
    if !signer.verify(&signed_bytes(purpose, &envelope.payload), &envelope.signature) {
        return Err(EnvelopeError::Signature);
    }
    envelope.public_key = signer.encode_protobuf();
    let canonical = envelope.encode_to_vec();
    Ok(Opened { signer, payload: envelope.payload, canonical })
}

/// The payload of an envelope that [`open`] has accepted before. The signature is not checked again.
pub fn reopen(bytes: &[u8], purpose: Purpose) -> Result<Vec<u8>, EnvelopeError> {
    let envelope = Envelope::decode(bytes).map_err(Malformed::from)?;
    if envelope.payload_type == purpose.payload_type { Ok(envelope.payload) } else { Err(EnvelopeError::PayloadType) }
}

/// The field with which an envelope of this signer begins; none if its peer id does not hold its key. Who keeps envelopes beside
/// the peer ids of their signers needs only the rest.
#[cfg(feature = "server")]
pub fn key_field(signer: &PeerId) -> Option<Vec<u8>> {
    inline_key(signer).map(|key| Envelope { public_key: key.to_vec(), ..Envelope::default() }.encode_to_vec())
}

/// The public key that a peer id holds, in libp2p's protobuf encoding; of RSA keys it holds only the hash. Anybody can make up
/// a peer id, so what it holds need not be a key.
#[cfg(feature = "server")]
pub fn inline_key(peer: &PeerId) -> Option<&[u8]> {
    /// The code of the multihash that is its own content.
    const IDENTITY: u64 = 0;
    let hash = peer.as_ref();
    (hash.code() == IDENTITY).then(|| hash.digest())
}

/// How long the envelope around a payload of `payload_len` bytes (at least one) will be, without signing it.
pub fn sealed_len(purpose: Purpose, payload_len: usize) -> usize {
    /// An Ed25519 public key in protobuf: type, length and 32 bytes.
    const PUBLIC_KEY: usize = 36;
    /// An Ed25519 signature.
    const SIGNATURE: usize = 64;
    let field = |len: usize| 1 + prost::length_delimiter_len(len) + len;
    field(PUBLIC_KEY) + field(purpose.payload_type.len()) + field(payload_len) + field(SIGNATURE)
}

/// The bytes that are signed: domain, payload type and payload, each behind its length.
fn signed_bytes(purpose: Purpose, payload: &[u8]) -> Vec<u8> {
    [purpose.domain.as_bytes(), purpose.payload_type, payload].map(super::frame).concat()
}

fn require_ed25519(key_type: KeyType) -> Result<(), EnvelopeError> {
    if key_type == KeyType::Ed25519 { Ok(()) } else { Err(EnvelopeError::KeyType) }
}

/// Why an envelope cannot be made or believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// The bytes are not an envelope.
    #[error("not a signed envelope")]
    Malformed(#[from] Malformed),
    /// The envelope is for something else.
    #[error("the signed envelope has another payload type")]
    PayloadType,
    /// The public key in the envelope cannot be read.
    #[error("the public key in the signed envelope cannot be read")]
    PublicKey,
    /// The key is not an Ed25519 key.
    #[error("the signed envelope has another key than Ed25519")]
    KeyType,
    /// The signature does not hold: forged, or damaged on the way.
    #[error("the signature does not hold")]
    Signature,
    /// The key could not sign.
    #[error("the key cannot sign")]
    Signing,
}

#[cfg(test)]
mod tests;
