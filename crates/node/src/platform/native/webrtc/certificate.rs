//! The certificate of a node and its key.
//!
//! As PEM text it is three blocks: `EXPIRES` with the seconds since 1970 as eight bytes, least first, `PRIVATE_KEY`
//! (PKCS#8) and `CERTIFICATE`. That is the form in which webrtc-rs keeps certificates, and data directories hold it.
//! Nobody looks at the expiry, since nobody checks certificates but by their hash.

use dtls::crypto;
use libp2p_webrtc_utils::Fingerprint;
use pem::Pem;
use thiserror::Error;

/// The name of the block with the expiry.
const EXPIRES: &str = "EXPIRES";

/// When a certificate that we make expires: on the first of January 4096, what `rcgen` writes into it.
const EXPIRY: u64 = 67_090_118_400;

/// See the module's documentation.
#[derive(Clone, Debug)]
pub(super) struct Certificate {
    dtls: crypto::Certificate,
    expiry: [u8; 8],
}

/// Why a text is no certificate.
#[derive(Debug, Error)]
pub(super) enum NoCertificate {
    /// The text is not PEM.
    #[error("it is not PEM: {0}")]
    Pem(#[from] pem::PemError),
    /// The first block is another.
    #[error("its expiry is missing")]
    NoExpiry,
    /// The other two blocks are not a key and a certificate.
    #[error("{0}")]
    Damaged(#[from] dtls::Error),
}

impl Certificate {
    /// A new one, with a P-256 key, which every browser takes.
    ///
    /// # Panics
    ///
    /// If the system has no source of randomness.
    pub(super) fn generate() -> Self {
        let name = libp2p_webrtc_utils::sdp::random_ufrag().replace(['+', '/'], "-");
        let dtls = crypto::Certificate::generate_self_signed([name[name.len() - 16..].to_owned()])
            .expect("a key pair can be generated");
        Self { dtls, expiry: EXPIRY.to_le_bytes() }
    }

    /// Reads what [`Certificate::to_pem`] wrote.
    pub(super) fn from_pem(text: &str) -> Result<Self, NoCertificate> {
        let blocks = pem::parse_many(text)?;
        let (first, rest) = blocks.split_first().ok_or(NoCertificate::NoExpiry)?;
        let expiry = first.contents().try_into().ok().filter(|_| first.tag() == EXPIRES);
        let expiry = expiry.ok_or(NoCertificate::NoExpiry)?;
        Ok(Self { dtls: crypto::Certificate::from_pem(&pem::encode_many(rest))?, expiry })
    }

    /// The text, with the private key in it.
    pub(super) fn to_pem(&self) -> String {
        let expiry = pem::encode(&Pem::new(EXPIRES, self.expiry.to_vec()));
        format!("{expiry}\n{}", self.dtls.serialize_pem())
    }

    /// What addresses name it by.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        Fingerprint::from_certificate(&self.dtls.certificate[0])
    }

    /// What DTLS shows.
    pub(super) fn dtls(&self) -> &crypto::Certificate {
        &self.dtls
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_read_as_it_was_written() {
        let certificate = Certificate::generate();
        let text = certificate.to_pem();
        let read = Certificate::from_pem(&text).unwrap();
        assert_eq!(read.fingerprint(), certificate.fingerprint());
        assert_eq!(read.to_pem(), text);
        assert_ne!(Certificate::generate().fingerprint(), certificate.fingerprint());
    }

    #[test]
    fn what_webrtc_rs_kept_is_read() {
        let kept = libp2p_webrtc::tokio::Certificate::generate(&mut rand::rng()).unwrap();
        let read = Certificate::from_pem(&kept.serialize_pem()).unwrap();
        assert_eq!(read.fingerprint().to_sdp_format(), kept.fingerprint().to_sdp_format());
        assert_eq!(read.to_pem(), kept.serialize_pem());
        let ours = libp2p_webrtc::tokio::Certificate::from_pem(&Certificate::generate().to_pem());
        assert!(ours.is_ok(), "and the other way round");
    }

    #[test]
    fn what_is_missing_is_named() {
        let text = Certificate::generate().to_pem();
        let error = |text: &str| Certificate::from_pem(text).unwrap_err().to_string();
        assert_eq!(error(""), "its expiry is missing");
        let (_, rest) = text.split_once("\n\n").or_else(|| text.split_once("\r\n\r\n")).unwrap();
        assert_eq!(error(rest), "its expiry is missing");
        assert!(error(&text[..text.len() / 2]).contains("expected at least two PEM blocks"), "{}", error(&text[..200]));
    }
}
