//! Fingerprints of certificates.

use std::fmt;

use multihash::Multihash;
use sha2::{Digest, Sha256};

/// How SDP names the one hash that is supported (RFC 8122, section 5).
pub const SHA256: &str = "sha-256";

/// The multihash code of sha2-256.
const SHA2_256: u64 = 0x12;

/// The sha2-256 hash of a certificate.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// What stands in a session description whose fingerprint nobody checks.
    pub const FF: Self = Self([0xff; 32]);

    /// The fingerprint with this hash.
    pub const fn raw(hash: [u8; 32]) -> Self {
        Self(hash)
    }

    /// The fingerprint of a certificate in DER.
    pub fn from_certificate(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }

    /// The fingerprint in a `/certhash`, or `None` if its hash is not sha2-256 or has not 32 bytes.
    pub fn try_from_multihash(hash: Multihash<64>) -> Option<Self> {
        let digest = hash.digest().try_into().ok()?;
        (hash.code() == SHA2_256).then_some(Self(digest))
    }

    /// As it stands in a `/certhash`.
    pub fn to_multihash(self) -> Multihash<64> {
        Multihash::wrap(SHA2_256, &self.0).expect("64 bytes have room for 32")
    }

    /// As it stands in SDP: bytes in upper-case hexadecimal with colons between them (RFC 8122, section 5).
    pub fn to_sdp_format(self) -> String {
        self.0.map(|byte| format!("{byte:02X}")).join(":")
    }

    /// What [`Fingerprint::to_sdp_format`] gives, in either case, or `None`.
    pub fn from_sdp_format(text: &str) -> Option<Self> {
        let mut hash = [0; 32];
        let mut bytes = text.split(':');
        for place in &mut hash {
            let byte =
                bytes.next().filter(|byte| byte.len() == 2 && byte.bytes().all(|digit| digit.is_ascii_hexdigit()));
            *place = u8::from_str_radix(byte?, 16).ok()?;
        }
        bytes.next().is_none().then_some(Self(hash))
    }

    /// How SDP names the hash: [`SHA256`].
    pub fn algorithm(&self) -> String {
        SHA256.to_owned()
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_hashed_with_sha2_256() {
        // FIPS 180-2, the example of "abc".
        let fingerprint = Fingerprint::from_certificate(b"abc");
        assert_eq!(format!("{fingerprint:?}"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert!(fingerprint.to_sdp_format().starts_with("BA:78:16:BF:"));
        assert_eq!(fingerprint.to_sdp_format().len(), 32 * 3 - 1);
        let text = fingerprint.to_sdp_format();
        assert_eq!(Fingerprint::from_sdp_format(&text), Some(fingerprint));
        assert_eq!(Fingerprint::from_sdp_format(&text.to_lowercase()), Some(fingerprint));
        for wrong in ["", &text[3..], &format!("{text}:00"), &text.replace("BA", "+A"), &text.replace("BA", "BAA")] {
            assert_eq!(Fingerprint::from_sdp_format(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_multihash_and_back() {
        let fingerprint = Fingerprint::from_certificate(b"abc");
        assert_eq!(Fingerprint::try_from_multihash(fingerprint.to_multihash()), Some(fingerprint));
        assert_eq!(&fingerprint.to_multihash().to_bytes()[..3], [0x12, 0x20, 0xba]);
    }

    #[test]
    fn other_hashes_are_refused() {
        let (sha2_512, short) = (Multihash::wrap(0x13, &[0; 32]), Multihash::wrap(SHA2_256, &[0; 20]));
        assert_eq!(Fingerprint::try_from_multihash(sha2_512.unwrap()), None);
        assert_eq!(Fingerprint::try_from_multihash(short.unwrap()), None);
    }
}
