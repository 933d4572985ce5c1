//! The operator's token, which opens the admin routes. Without one they are closed.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The least length of a token, in bytes: what nobody guesses if it was drawn (`openssl rand -hex 16`).
pub(crate) const SHORTEST: usize = 16;

/// The most, in bytes.
pub(crate) const LONGEST: usize = 512;

/// A token to compare with. The text itself is not kept.
#[derive(Clone)]
pub(crate) struct AdminToken {
    key: [u8; 32],
    tag: [u8; 32],
}

impl AdminToken {
    /// Checks the form of a token, without white space around it.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        let right = (SHORTEST..=LONGEST).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if !right {
            return Err(format!(
                "a token is {SHORTEST} to {LONGEST} visible ASCII characters, such as `openssl rand -hex 32` gives"
            ));
        }
        let key = rand::random();
        Ok(Self { key, tag: mac(&key, text).finalize().into_bytes().into() })
    }

    /// Whether `given` is the token. The time this takes tells nothing of where the two differ.
    pub(crate) fn is(&self, given: &str) -> bool {
        mac(&self.key, given).verify_slice(&self.tag).is_ok()
    }
}

fn mac(key: &[u8; 32], text: &str) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length").chain_update(text)
}

impl std::fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AdminToken")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_opens() {
        let token = AdminToken::new("0123456789abcdef").unwrap();
        assert!(token.is("0123456789abcdef"));
        for wrong in ["", "0123456789abcde", "0123456789abcdef0", "0123456789abcdeF"] {
            assert!(!token.is(wrong), "{wrong}");
        }
        for weak in ["", "short", "0123456789 bcdef", "0123456789abcd\n\n", &"a".repeat(513)] {
            assert!(AdminToken::new(weak).is_err(), "{weak}");
        }
        assert_eq!(format!("{token:?}"), "AdminToken");
    }
}
