//! The payload of a signed peer record (RFC 0003): a peer, a sequence and addresses.

use libp2p_identity::PeerId;
use multiaddr::Multiaddr;
use prost::Message;

use super::{Malformed, Value, envelope::Purpose, fields};
use crate::peer_record::{MAX_ADDRESSES, PeerRecord};

/// What a peer record's signature is for; the same in every libp2p implementation.
pub const PURPOSE: Purpose = Purpose { domain: "libp2p-peer-record", payload_type: &[0x03, 0x01] };

#[derive(Clone, PartialEq, Message)]
struct PeerRecordMessage {
    #[prost(bytes = "vec", tag = "1")]
    peer_id: Vec<u8>,
    #[prost(uint64, tag = "2")]
    seq: u64,
    #[prost(message, repeated, tag = "3")]
    addresses: Vec<AddressInfo>,
}

#[derive(Clone, PartialEq, Message)]
struct AddressInfo {
    #[prost(bytes = "vec", tag = "1")]
    multiaddr: Vec<u8>,
}

/// Encodes a peer record as the payload of its envelope.
pub fn encode(record: &PeerRecord) -> Vec<u8> {
    PeerRecordMessage {
        peer_id: record.peer.to_bytes(),
        seq: record.sequence,
        addresses: record.addresses.iter().map(|address| AddressInfo { multiaddr: address.to_vec() }).collect(),
    }
    .encode_to_vec()
}

/// Decodes the payload of an envelope. Addresses that cannot be read are skipped, as are those beyond the limit.
pub fn decode(payload: &[u8]) -> Result<PeerRecord, SchemaError> {
    let (mut peer, mut sequence, mut addresses) = (&[][..], 0, Vec::new());
    for field in fields(payload) {
        match field? {
            (1, Value::Bytes(bytes)) => peer = bytes,
            (2, Value::Varint(number)) => sequence = number,
            (3, Value::Bytes(info)) if addresses.len() < MAX_ADDRESSES => {
                let info = AddressInfo::decode(info).map_err(Malformed::from)?;
                addresses.extend(Multiaddr::try_from(info.multiaddr).ok());
            }
            _ => {}
        }
    }
    let peer = PeerId::from_bytes(peer).map_err(|_| SchemaError::Peer)?;
    Ok(PeerRecord { peer, sequence, addresses })
}

/// Why a payload is not a peer record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// The bytes are not the message.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The peer id is not one.
    #[error("the peer id is not valid")]
    Peer,
}
