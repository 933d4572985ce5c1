//! Which addresses a client of delegated routing can use (IPIP-484).

use multiaddr::Multiaddr;

/// The word that stands for peers without addresses or protocols.
const UNKNOWN: &str = "unknown";

/// Names of one filter that are looked at.
const MOST_NAMES: usize = 32;

/// A filter, read.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    wanted: Vec<String>,
    unwanted: Vec<String>,
    without_addresses: bool,
    /// Whether peers may stay whose protocols are not known.
    without_protocols: bool,
}

impl Filter {
    pub(crate) fn new(addresses: Option<&str>, protocols: Option<&str>) -> Self {
        let (addresses, protocols) = (names(addresses), names(protocols));
        let (unwanted, wanted): (Vec<_>, Vec<_>) =
            addresses.iter().filter(|name| *name != UNKNOWN).cloned().partition(|name| name.starts_with('!'));
        Self {
            without_addresses: addresses.is_empty() || addresses.iter().any(|name| name == UNKNOWN),
            wanted,
            unwanted: unwanted.iter().map(|name| name[1..].to_owned()).collect(),
            without_protocols: protocols.is_empty() || protocols.iter().any(|name| name == UNKNOWN),
        }
    }

    /// The addresses that pass; none if the peer itself does not.
    pub(crate) fn apply(&self, addresses: &[Multiaddr]) -> Option<Vec<Multiaddr>> {
        if !self.without_protocols {
            return None;
        }
        if addresses.is_empty() || (self.wanted.is_empty() && self.unwanted.is_empty()) {
            return (self.without_addresses || !addresses.is_empty()).then(|| addresses.to_vec());
        }
        let passing: Vec<_> = addresses.iter().filter(|address| self.passes(address)).cloned().collect();
        (!passing.is_empty()).then_some(passing)
    }

    fn passes(&self, address: &Multiaddr) -> bool {
        let text = address.to_string();
        let has = |name: &String| text.split('/').any(|part| part == name);
        !self.unwanted.iter().any(has) && (self.wanted.is_empty() || self.wanted.iter().any(has))
    }
}

fn names(list: Option<&str>) -> Vec<String> {
    let items = list.into_iter().flat_map(|list| list.split(','));
    let names = items.map(|name| name.trim().to_ascii_lowercase()).filter(|name| !name.is_empty() && name != "!");
    names.take(MOST_NAMES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_pass_by_what_is_in_them() {
        let all: Vec<Multiaddr> =
            ["/ip4/192.0.2.1/tcp/1/ws", "/ip4/192.0.2.1/udp/1/quic-v1", "/ip4/192.0.2.1/tcp/1/ws/p2p-circuit"]
                .iter()
                .map(|text| text.parse().unwrap())
                .collect();
        let pass = |addresses: &str, protocols: &str, given: &[Multiaddr]| {
            Filter::new(Some(addresses), Some(protocols)).apply(given).map(|passing| passing.len())
        };
        assert_eq!(pass("", "", &all), Some(3));
        assert_eq!(pass("ws", "", &all), Some(2));
        assert_eq!(pass("ws,!p2p-circuit", "", &all), Some(1));
        assert_eq!(pass("!p2p-circuit", "", &all), Some(2));
        assert_eq!(pass("webtransport", "", &all), None);
        assert_eq!(pass("webtransport,unknown", "", &[]), Some(0));
        assert_eq!(pass("ws", "", &[]), None);
        assert_eq!(pass("", "", &[]), Some(0));
        assert_eq!(pass("", "transport-bitswap", &all), None);
        assert_eq!(pass("", "transport-bitswap,unknown", &all), Some(3));
    }
}
