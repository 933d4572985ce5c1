//! Session descriptions that nobody sends: each end writes the other's out of what the address tells.
//!
//! Source: [Browser to public
//! Server](https://github.com/libp2p/specs/blob/master/webrtc/webrtc-direct.md#browser-to-public-server).

use std::net::SocketAddr;

use rand::{RngExt, distr::Alphanumeric};

use crate::{Fingerprint, MAX_MSG_LEN, SHA256};

/// How a user name begins; it tells a server which version of the protocol is spoken.
pub const UFRAG_PREFIX: &str = "libp2p+webrtc+v1/";

/// Random characters behind it. The name is also the ICE password, and ICE allows 256 characters.
const UFRAG_RANDOM: usize = 64;

/// What the server at `addr`, which has this certificate, would answer to an offer with this user name. The user name
/// is the password too.
pub fn answer(addr: SocketAddr, server_fingerprint: Fingerprint, client_ufrag: &str) -> String {
    // ICE lite and a passive DTLS role: a server with a public address waits to be called. There is one candidate, the
    // address itself, of the priority that RFC 8445 (section 5.1.2.1) gives a lone host candidate. Lines stand in the
    // order of RFC 8866, section 9.
    let lines = [
        "v=0",
        "o=- 0 0 IN {ip_version} {target_ip}",
        "s=-",
        "t=0 0",
        "a=ice-lite",
        "m=application {target_port} UDP/DTLS/SCTP webrtc-datachannel",
        "c=IN {ip_version} {target_ip}",
        "a=mid:0",
        "a=ice-options:ice2",
        "a=ice-ufrag:{ufrag}",
        "a=ice-pwd:{pwd}",
        "a=fingerprint:{fingerprint_algorithm} {fingerprint_value}",
        "a=setup:passive",
        "a=sctp-port:5000",
        &format!("a=max-message-size:{MAX_MSG_LEN}"),
        "a=candidate:1 1 UDP 2130706431 {target_ip} {target_port} typ host",
        "a=end-of-candidates",
        "",
    ];
    render_description(&lines.join("\r\n"), addr, server_fingerprint, client_ufrag)
}

/// The description that our side made, with the user name that [`answer`] has. The user name is the password too.
pub fn with_credentials(description: &str, ufrag: &str) -> String {
    let line = |line: &str| match line.split_once(':') {
        Some((name @ ("a=ice-ufrag" | "a=ice-pwd"), _)) => format!("{name}:{ufrag}\r\n"),
        _ => format!("{line}\r\n"),
    };
    description.lines().map(line).collect()
}

/// The sha-256 fingerprint of the certificate that a description names first.
pub fn fingerprint(description: &str) -> Option<Fingerprint> {
    let named = |line: &str| {
        let (algorithm, value) = line.strip_prefix("a=fingerprint:")?.split_once(' ')?;
        algorithm.eq_ignore_ascii_case(SHA256).then(|| Fingerprint::from_sdp_format(value.trim()))?
    };
    description.lines().find_map(named)
}

/// Fills in a description: `{ip_version}` (`IP4` or `IP6`), `{target_ip}`, `{target_port}`, `{fingerprint_algorithm}`,
/// `{fingerprint_value}`, `{ufrag}`, `{pwd}` (the same). Other words in braces stay as they are.
pub fn render_description(template: &str, addr: SocketAddr, fingerprint: Fingerprint, ufrag: &str) -> String {
    let value = |name: &str| match name {
        "ip_version" => Some(if addr.is_ipv4() { "IP4" } else { "IP6" }.to_owned()),
        "target_ip" => Some(addr.ip().to_string()),
        "target_port" => Some(addr.port().to_string()),
        "fingerprint_algorithm" => Some(fingerprint.algorithm()),
        "fingerprint_value" => Some(fingerprint.to_sdp_format()),
        "ufrag" | "pwd" => Some(ufrag.to_owned()),
        _ => None,
    };
    let mut description = String::with_capacity(2 * template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        description.push_str(before);
        match after.split_once('}').and_then(|(name, after)| Some((value(name)?, after))) {
            Some((value, after)) => {
                description.push_str(&value);
                rest = after;
            }
            None => {
                description.push('{');
                rest = after;
            }
        }
    }
    description + rest
}

/// A new user name, which nobody guesses: it is the ICE password too.
pub fn random_ufrag() -> String {
    let random = rand::rng().sample_iter(Alphanumeric).take(UFRAG_RANDOM).map(char::from);
    UFRAG_PREFIX.chars().chain(random).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_names_address_certificate_and_user() {
        let server = Fingerprint::from_certificate(b"abc");
        for (socket, ip, version) in
            [("192.0.2.1:4001", "192.0.2.1", "IP4"), ("[2001:db8::1]:4001", "2001:db8::1", "IP6")]
        {
            let answer = answer(socket.parse().unwrap(), server, "somebody");
            for line in [
                format!("c=IN {version} {ip}"),
                "m=application 4001 UDP/DTLS/SCTP webrtc-datachannel".to_owned(),
                "a=ice-ufrag:somebody".to_owned(),
                "a=ice-pwd:somebody".to_owned(),
                format!("a=fingerprint:sha-256 {}", server.to_sdp_format()),
                "a=max-message-size:16384".to_owned(),
                format!("a=candidate:1 1 UDP 2130706431 {ip} 4001 typ host"),
            ] {
                assert!(answer.contains(&format!("{line}\r\n")), "no {line} in {answer}");
            }
            assert!(!answer.contains(['{', '}']));
        }
    }

    #[test]
    fn what_is_filled_in_is_not_filled_in_again() {
        let address = "127.0.0.1:1".parse().unwrap();
        let render = |template, ufrag| render_description(template, address, Fingerprint::FF, ufrag);
        assert_eq!(render("{ufrag} {", "{target_ip}"), "{target_ip} {");
        assert_eq!(render("{nothing} {pwd}", "me"), "{nothing} me");
    }

    #[test]
    fn credentials_are_replaced_and_nothing_else() {
        let made = "v=0\r\na=ice-ufrag:abcd\r\na=ice-pwd:secret\r\na=ice-options:trickle\r\n";
        let expected = "v=0\r\na=ice-ufrag:me\r\na=ice-pwd:me\r\na=ice-options:trickle\r\n";
        assert_eq!(with_credentials(made, "me"), expected);
    }

    #[test]
    fn the_fingerprint_of_a_description() {
        let server = Fingerprint::from_certificate(b"abc");
        let answer = answer("192.0.2.1:4001".parse().unwrap(), server, "somebody");
        assert_eq!(fingerprint(&answer), Some(server));
        assert_eq!(fingerprint(&answer.replace("sha-256", "SHA-256")), Some(server));
        for other in ["", "a=fingerprint:sha-1 00:11", "a=fingerprint:sha-256 00:11", "a=fingerprint:sha-256"] {
            assert_eq!(fingerprint(other), None, "{other}");
        }
    }

    #[test]
    fn user_names_are_fit_for_ice_and_differ() {
        let (one, other) = (random_ufrag(), random_ufrag());
        assert_ne!(one, other);
        let random = one.strip_prefix(UFRAG_PREFIX).expect("the prefix of the specification");
        assert!(random.len() == UFRAG_RANDOM && random.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }
}
