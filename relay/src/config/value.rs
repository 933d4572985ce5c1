//! Parsers of single values. Each says in its error what would be right; the option and the value are named around it.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use ipnet::IpNet;
use libp2p_identity::{PeerId, PublicKey};
use openred_core::{
    name::ServiceTarget,
    time::{TTL_MAX, TTL_MIN},
    wire::envelope::inline_key,
};

/// An address to listen on: `IP:PORT`, or `localhost:PORT` for 127.0.0.1.
pub(crate) fn socket_address(text: &str) -> Result<SocketAddr, String> {
    if let Some(port) = text.strip_prefix("localhost:").and_then(|port| port.parse().ok()) {
        return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    }
    text.parse().map_err(|_| {
        "give an IP address and a port from 0 to 65535, such as 127.0.0.1:8080, 0.0.0.0:8080 or [::]:8080".to_owned()
    })
}

/// A whole number from `least`.
pub(crate) fn number_from(least: u64) -> impl Fn(&str) -> Result<u64, String> {
    move |text| {
        let number = text.replace('_', "").parse::<u64>().ok().filter(|number| *number >= least);
        number.ok_or_else(|| format!("give a whole number of at least {least}, without a unit"))
    }
}

/// The life of a record, within what the network allows.
pub(crate) fn ttl(text: &str) -> Result<Duration, String> {
    let ttl = duration(text)?;
    if (TTL_MIN..=TTL_MAX).contains(&ttl) { Ok(ttl) } else { Err("give a time from 1m to 48h".to_owned()) }
}

/// A time: seconds, or a number with one of the units ms, s, m, h.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "give seconds, or a whole number with a unit, such as 500ms, 10s, 2m or 1h".to_owned();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let milliseconds = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    let total = number.checked_mul(milliseconds).filter(|total| (1..=LONGEST.as_millis() as u64).contains(total));
    total.map(Duration::from_millis).ok_or_else(|| "give a time from 1ms to 48h".to_owned())
}

/// A time that may be none at all.
pub(crate) fn age(text: &str) -> Result<Duration, String> {
    let number = text.trim_end_matches(['m', 's', 'h']);
    let none = !number.is_empty() && number.bytes().all(|byte| byte == b'0');
    if none { Ok(Duration::ZERO) } else { duration(text) }
}

/// No option of ours means more than this: the longest time a record may stand.
const LONGEST: Duration = Duration::from_secs(48 * 60 * 60);

/// A range of addresses such as 10.0.0.0/8, or one address.
pub(crate) fn network_range(text: &str) -> Result<IpNet, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address));
    }
    text.parse().map_err(|_| "give an address range such as 10.0.0.0/8 or fd00::/8, or one IP address".to_owned())
}

/// A region: a short word that stands in records and in `/bootstrap.json`.
pub(crate) fn region(text: &str) -> Result<String, String> {
    let right = (1..=32).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if right { Ok(text.to_owned()) } else { Err("give 1 to 32 of a-z, 0-9 and -, such as eu or us-east".to_owned()) }
}

/// A line of metadata: `key=value`, the key not empty.
pub(crate) fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("give a key, an equals sign and a value, such as title=Chess".to_owned()),
    }
}

/// Any text but none.
pub(crate) fn text(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("give at least one character".to_owned()) } else { Ok(text.to_owned()) }
}

/// A peer id. Of an id in which one character is wrong most are none; where it is still the form of an id, the key in it is one in
/// one case of two only.
pub(crate) fn peer_id(text: &str) -> Result<PeerId, String> {
    let peer = text.parse().map_err(|error| format!("this is no peer id ({error}); {PEER_ID}"))?;
    checked_peer(peer)
}

/// A service, `name` or `name@<peer id>`.
pub(crate) fn service_target(text: &str) -> Result<ServiceTarget, String> {
    if is_like_a_peer_id(text) {
        return Err(match peer_id(text) {
            Ok(peer) => format!("this is a peer id; write NAME@{peer} for a service of this node"),
            Err(error) => error,
        });
    }
    let target: ServiceTarget = parsed(text)?;
    target.provider.map(checked_peer).transpose()?;
    Ok(target)
}

/// Whether a text, right or wrong, is meant to be a peer id: names have no capitals.
pub(crate) fn is_like_a_peer_id(text: &str) -> bool {
    !text.contains('@') && (text.starts_with("12D3Koo") || text.starts_with("Qm"))
}

fn checked_peer(peer: PeerId) -> Result<PeerId, String> {
    /// What stands before the key itself in the peer id of an Ed25519 key: its type and its length, in protobuf.
    const ED25519: [u8; 4] = [8, 1, 18, 32];
    let key = inline_key(&peer).filter(|key| key.starts_with(&ED25519));
    match key.is_none_or(|key| PublicKey::try_decode_protobuf(key).is_ok()) {
        true => Ok(peer),
        false => Err(format!("`{peer}` is no peer id: there is no key in it; {PEER_ID}")),
    }
}

/// What would be right.
const PEER_ID: &str = "copy the whole id once more (52 characters of base58, 12D3Koo...)";

/// A type that says itself what is wrong with a text.
pub(crate) fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_to_listen_on() {
        assert_eq!(socket_address("127.0.0.1:8080"), Ok(SocketAddr::from(([127, 0, 0, 1], 8080))));
        assert_eq!(socket_address("localhost:0"), Ok(SocketAddr::from(([127, 0, 0, 1], 0))));
        assert!(socket_address("[::]:80").is_ok());
        for wrong in
            ["", "8080", ":8080", "127.0.0.1", "127.0.0.1:65536", "localhost:", "example.org:80", "http://127.0.0.1:80"]
        {
            assert!(socket_address(wrong).is_err_and(|reason| reason.contains("127.0.0.1:8080")), "{wrong}");
        }
    }

    #[test]
    fn times() {
        assert_eq!(duration("10"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("48h"), Ok(Duration::from_secs(48 * 3600)));
        for wrong in ["", "s", "-1", "1.5s", "10 s", "1d", "0", "49h", "99999999999999999999", "9223372036854775807h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ages() {
        for none in ["0", "0s", "0ms", "00"] {
            assert_eq!(age(none), Ok(Duration::ZERO), "{none}");
        }
        assert_eq!(age("30"), Ok(Duration::from_secs(30)));
        for wrong in ["", "s", "-1", "old"] {
            assert!(age(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ranges_of_addresses() {
        let contains =
            |range: &str, address: &str| network_range(range).unwrap().contains(&address.parse::<IpAddr>().unwrap());
        assert!(contains("10.0.0.0/8", "10.255.0.1"));
        assert!(!contains("10.0.0.0/8", "11.0.0.1"));
        assert!(contains("127.0.0.1", "127.0.0.1"));
        assert!(!contains("127.0.0.1", "127.0.0.2"));
        assert!(contains("fd00::/8", "fd12::1"));
        assert!(contains("0.0.0.0/0", "203.0.113.9"));
        for wrong in ["", "10.0.0.0/33", "10.0.0/8", "localhost", "10.0.0.0/-1", "::/129"] {
            assert!(network_range(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_peer_id_with_a_wrong_character_is_none() {
        let right = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";
        assert_eq!(peer_id(right).map(|peer| peer.to_string()).as_deref(), Ok(right));
        assert_eq!(service_target(&format!("chess@{right}")).map(|target| target.provider), Ok(right.parse().ok()));
        assert!(service_target(right).is_err_and(|reason| reason.contains(&format!("NAME@{right}"))));
        // Some of these are no base58, others have no key in them.
        let mut refused = 0;
        for (position, character) in (20..40).flat_map(|position| ['0', 'a', 'b', 'c'].map(|with| (position, with))) {
            let mut wrong = right.to_owned();
            wrong.replace_range(position..=position, &character.to_string());
            if let Err(reason) = peer_id(&wrong) {
                refused += 1;
                assert!(reason.contains("no peer id"), "{reason}");
                assert!(service_target(&format!("chess@{wrong}")).is_err_and(|reason| reason.contains("peer id")));
            }
        }
        assert!(refused >= 40, "{refused} of 80");
        assert!(service_target(&right[..30]).is_err_and(|reason| reason.contains("no peer id")));
    }

    #[test]
    fn numbers_and_words() {
        assert_eq!(number_from(0)("1_000"), Ok(1000));
        assert!(number_from(1)("0").is_err_and(|reason| reason.contains("at least 1")));
        assert!(number_from(0)("16M").is_err());
        assert!(number_from(0)("-1").is_err());
        assert!(region("us-east").is_ok());
        assert!(region("US East").is_err());
        assert_eq!(key_value("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert!(key_value("=x").is_err());
        assert!(key_value("x").is_err());
    }
}
