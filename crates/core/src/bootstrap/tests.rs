use proptest::prelude::*;

use super::*;

/// Entries as region and address.
fn read(text: &str) -> (Vec<(String, String)>, Vec<RejectedLine>) {
    let (list, rejected) = BootstrapList::parse(text, false);
    let entries = list.entries().iter().map(|entry| (entry.region.clone(), entry.address.to_string()));
    (entries.collect(), rejected)
}

#[test]
fn regions_comments_and_every_form_of_address() {
    let (entries, rejected) = read(
        "\u{feff}# relays of the community\r\n\
         eu https://relay.example/#fragment  # the oldest\r\n\
         \n\
         * relay.example:8080\n\
         /ip4/203.0.113.7/tcp/443/tls/ws\n\
         \tAsia   /dns/asia.example/udp/4001/quic-v1\n",
    );
    assert_eq!(rejected, []);
    let expected = [
        ("eu", "https://relay.example/#fragment"),
        ("", "relay.example:8080"),
        ("", "/ip4/203.0.113.7/tcp/443/tls/ws"),
        ("asia", "/dns/asia.example/udp/4001/quic-v1"),
    ];
    assert_eq!(entries, expected.map(|(region, address)| (region.to_owned(), address.to_owned())));
}

#[test]
fn every_rejected_line_says_why_and_costs_the_others_nothing() {
    let long = "x".repeat(40);
    let (entries, rejected) = read(&format!(
        "eu relay.example\nrelay.example:1 relay.example:2 relay.example:3\n{long} a.example:1\n\
         good.example:1\neu good.example:1\nftp://a.example\n/ip4/0.0.0.0/tcp/1/ws\n"
    ));
    assert_eq!(entries, [(String::new(), "good.example:1".to_owned())]);
    let expected = [
        (1, "there is no port"),
        (2, "more than a region and an address"),
        (3, "longer than 32 bytes"),
        (5, "in the list already"),
        (6, "ftp:// is none of"),
        (7, "can be listened on"),
    ];
    assert_eq!(rejected.len(), expected.len(), "{rejected:?}");
    for (line, (number, words)) in rejected.iter().zip(expected) {
        assert!(line.number == number && line.reason.contains(words), "{line}");
    }
}

#[test]
fn a_list_is_bounded_in_bytes_entries_and_reasons() {
    let many: String = (0..3000).map(|i| format!("r{i}.example:80\n")).collect();
    let (list, rejected) = BootstrapList::parse(&many, false);
    assert_eq!(list.entries().len(), MAX_ENTRIES);
    assert_eq!(rejected.len(), 1);
    assert!(rejected[0].to_string().contains("line 1025: a list has at most 1024"), "{}", rejected[0]);

    let long = format!("a.example:1\n# {}\nb.example:1\n", "-".repeat(MAX_BYTES));
    let (list, rejected) = BootstrapList::parse(&long, false);
    assert_eq!(list.entries().len(), 1, "what stands before the end of the budget counts");
    assert!(rejected[0].reason.contains("longer than 65536 bytes"), "{}", rejected[0]);

    let page: String = (0..500).map(|i| format!("<li class=\"relay\">{i}</li>\n")).collect();
    let (list, rejected) = BootstrapList::parse(&page, false);
    assert!(list.is_empty());
    assert_eq!(rejected.len(), MAX_REJECTED);
    assert_eq!(rejected[MAX_REJECTED - 1].number, MAX_REJECTED);
    assert!(rejected[MAX_REJECTED - 1].reason.contains("484 more"), "{}", rejected[MAX_REJECTED - 1]);
}

#[test]
fn lists_unite_without_repeating_anybody() {
    let (mut one, _) = BootstrapList::parse("a.example:1\nb.example:1", false);
    let (other, _) = BootstrapList::parse("eu b.example:1\nc.example:1", false);
    one.extend(other);
    let addresses: Vec<_> = one.entries().iter().map(|entry| entry.address.to_string()).collect();
    assert_eq!(addresses, ["a.example:1", "b.example:1", "c.example:1"]);
}

proptest! {
    #[test]
    fn any_text_is_read_within_the_bounds(text in "(?s).{0,2000}", secure in any::<bool>()) {
        let (list, rejected) = BootstrapList::parse(&text, secure);
        prop_assert!(list.entries().len() <= MAX_ENTRIES && rejected.len() <= MAX_REJECTED);
    }
}
