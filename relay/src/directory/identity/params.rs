//! The parameters of the authentication scheme, read from a header.

use data_encoding::BASE64URL_NOPAD;

use super::{AuthError, MAX_HEADER, SCHEME};

/// What one header says; unknown parameters are skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Params<'a> {
    pub(crate) bearer: Option<&'a str>,
    pub(crate) challenge_client: Option<&'a str>,
    pub(crate) challenge_server: Option<&'a str>,
    pub(crate) opaque: Option<&'a str>,
    pub(crate) public_key: Option<&'a str>,
    pub(crate) sig: Option<&'a str>,
}

impl<'a> Params<'a> {
    /// Reads a header of this scheme. Each parameter is a quoted string, as all implementations write it, and stands once.
    pub(crate) fn parse(header: &'a str) -> Result<Self, AuthError> {
        if header.len() > MAX_HEADER {
            return Err(AuthError::Header);
        }
        let mut rest = without_scheme(header).ok_or(AuthError::Header)?;
        let mut params = Self::default();
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            if rest.is_empty() {
                return Ok(params);
            }
            let (name, quoted) = rest.split_once("=\"").ok_or(AuthError::Header)?;
            let (value, after) = quoted.split_once('"').ok_or(AuthError::Header)?;
            rest = after;
            let place = match name.trim() {
                "bearer" => &mut params.bearer,
                "challenge-client" => &mut params.challenge_client,
                "challenge-server" => &mut params.challenge_server,
                "opaque" => &mut params.opaque,
                "public-key" => &mut params.public_key,
                "sig" => &mut params.sig,
                _ => continue,
            };
            if place.replace(value).is_some() {
                return Err(AuthError::Header);
            }
        }
    }
}

/// What stands behind the scheme's name, which is read without regard to case (RFC 9110, 11.1).
pub(crate) fn without_scheme(header: &str) -> Option<&str> {
    let (scheme, rest) = header.trim_start().split_once(' ')?;
    scheme.eq_ignore_ascii_case(SCHEME).then_some(rest)
}

/// Base64 in the URL alphabet; the padding may be left out.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64URL_NOPAD.decode(text.trim_end_matches('=').as_bytes()).ok()
}
