//! Content ids, as far as routing needs them: the multihash inside (specs.ipfs.tech, `cid`).

use std::str::FromStr;

use libp2p_identity::PeerId;

/// The longest text that is looked at, in bytes; a sha2-512 in base32 takes 111.
const MAX_TEXT: usize = 256;

/// The codec of peer ids.
const LIBP2P_KEY: u64 = 0x72;

/// sha2-256 with its 32 bytes.
const SHA2_256: [u8; 2] = [0x12, 32];

/// A CID, version 0 or 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cid {
    /// What sort of content it names.
    pub(crate) codec: u64,
    /// The hash of the content, with its code and length.
    pub(crate) multihash: Vec<u8>,
}

/// The text is no CID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotACid;

impl Cid {
    /// The digest, if the hash is sha2-256.
    pub(crate) fn sha2_256(&self) -> Option<[u8; 32]> {
        self.multihash.strip_prefix(&SHA2_256)?.try_into().ok()
    }
}

impl FromStr for Cid {
    type Err = NotACid;

    fn from_str(text: &str) -> Result<Self, NotACid> {
        if text.len() > MAX_TEXT {
            return Err(NotACid);
        }
        if text.len() == 46 && text.starts_with("Qm") {
            let multihash = multibase::Base::Base58Btc.decode(text).map_err(|_| NotACid)?;
            // Version 0 is always dag-pb.
            return Ok(Self { codec: 0x70, multihash: checked(&multihash)? });
        }
        let (_, bytes) = multibase::decode(text).map_err(|_| NotACid)?;
        let (version, rest) = unsigned_varint::decode::u64(&bytes).map_err(|_| NotACid)?;
        let (codec, multihash) = unsigned_varint::decode::u64(rest).map_err(|_| NotACid)?;
        if version != 1 {
            return Err(NotACid);
        }
        Ok(Self { codec, multihash: checked(multihash)? })
    }
}

/// A multihash whose length is right.
fn checked(bytes: &[u8]) -> Result<Vec<u8>, NotACid> {
    let (_, rest) = unsigned_varint::decode::u64(bytes).map_err(|_| NotACid)?;
    let (length, digest) = unsigned_varint::decode::usize(rest).map_err(|_| NotACid)?;
    if length == digest.len() { Ok(bytes.to_vec()) } else { Err(NotACid) }
}

/// A peer id in one of its forms: a CID of a key, or base58.
pub(crate) fn peer_id(text: &str) -> Option<PeerId> {
    let plain = if text.len() <= MAX_TEXT { text.parse().ok() } else { None };
    plain.or_else(|| {
        let cid: Cid = text.parse().ok()?;
        if cid.codec == LIBP2P_KEY { PeerId::from_bytes(&cid.multihash).ok() } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cids_of_all_forms_are_read() {
        // The forms of one CID, from the documentation of IPFS: version 0, version 1 in base32 and in base58.
        let zero: Cid = "QmbWqxBEKC3P8tqsKc98xmWNzrzDtRLMiMPL8wBuTGsMnR".parse().unwrap();
        let one: Cid = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi".parse().unwrap();
        assert_eq!(one, zero);
        assert!(one.sha2_256().is_some());
        for wrong in [
            "",
            "b",
            "Qm",
            "hello world",
            "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzd",
            &"b".repeat(300),
        ] {
            assert_eq!(wrong.parse::<Cid>(), Err(NotACid), "{wrong}");
        }
    }

    #[test]
    fn peer_ids_are_read_as_base58_and_as_cids() {
        let peer: PeerId = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA".parse().unwrap();
        let bytes = [&[1, 0x72], peer.to_bytes().as_slice()].concat();
        for base in [multibase::Base::Base32Lower, multibase::Base::Base36Lower, multibase::Base::Base58Btc] {
            assert_eq!(peer_id(&multibase::encode(base, &bytes)), Some(peer));
        }
        assert_eq!(peer_id(&peer.to_string()), Some(peer));
        assert_eq!(peer_id("bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"), None, "content is no peer");
        assert_eq!(peer_id("nobody"), None);
    }
}
