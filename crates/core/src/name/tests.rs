use proptest::prelude::*;
use unicode_normalization::UnicodeNormalization;

use super::*;

const PEER: &str = "12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5";

fn rule(text: &str) -> (Rule, Option<String>) {
    match text.parse::<ServiceName>() {
        Err(NameError::Service { rule, suggestion, .. }) => (rule, suggestion),
        other => panic!("{text:?} gave {other:?}"),
    }
}

#[test]
fn plain_and_foreign_names_are_valid() {
    for text in
        ["chess", "chess-club.v2", "a", "шахматы", "象棋", "café", "ß", "👩‍👩‍👧", "x:y_z~!$&'()*+,;=%", &"a".repeat(128)]
    {
        assert_eq!(text.parse::<ServiceName>().expect(text).as_str(), text);
    }
}

#[test]
fn each_rule_is_named_with_character_place_and_a_way_out() {
    let hint = |text: &str| Some(text.to_owned());
    assert_eq!(rule(""), (Rule::Empty, None));
    assert_eq!(rule("Chess Club"), (Rule::WhiteSpace { found: ' ', at: 5 }, hint("chess-club")));
    assert_eq!(rule("a\u{a0}b"), (Rule::WhiteSpace { found: '\u{a0}', at: 1 }, hint("a-b")));
    assert_eq!(rule("a\u{7}b"), (Rule::Control { found: '\u{7}', at: 1 }, hint("ab")));
    assert_eq!(rule("é/b"), (Rule::Reserved { found: '/', at: 2 }, hint("éb")));
    assert_eq!(rule("Chess"), (Rule::UpperCase { found: 'C', at: 0 }, hint("chess")));
    assert_eq!(rule("éÉ"), (Rule::UpperCase { found: 'É', at: 2 }, hint("éé")));
    assert_eq!(rule("cafe\u{301}"), (Rule::NotNfc { found: 'e', at: 3 }, hint("café")));
    assert_eq!(rule("@@@"), (Rule::Reserved { found: '@', at: 0 }, None));
    assert_eq!(rule(&"é".repeat(65)), (Rule::TooLong { bytes: 130 }, Some("é".repeat(64))));
}

#[test]
fn the_message_says_all_of_it() {
    let error = "Chess".parse::<ServiceName>().unwrap_err();
    assert_eq!(error.code(), "INVALID_NAME");
    assert_eq!(
        error.to_string(),
        "service name \"Chess\" has a character that is not lower case ('C', U+0043) at byte 0; \
         for example \"chess\" would do"
    );
    let long = "long ".repeat(1000).parse::<ServiceName>().unwrap_err().to_string();
    assert!(long.contains("too long: 5000 bytes") && long.len() < 400, "{long}");
}

#[test]
fn capital_letters_without_a_simple_lower_case_still_get_a_suggestion() {
    // The lower case of İ is two characters, and that of a final Σ depends on its place.
    for text in ["İ", "ΟΔΟΣ", "\u{1E9E}", "ǅ", "Å\u{323}"] {
        let (_, suggestion) = rule(text);
        suggestion.expect(text).parse::<ServiceName>().expect(text);
    }
}

#[test]
fn every_character_is_normalized_as_another_implementation_does() {
    // Beyond these planes there are variation selectors, tags and private use, which nothing composes with.
    for c in '\0'..='\u{3ffff}' {
        // Between two letters, where marks and syllables compose with what stands beside them.
        let text = String::from_iter(['e', c, 'a', '\u{1100}', c, '\u{11a8}']);
        assert!(nfc(&text).chars().eq(text.nfc()), "U+{:04X}", u32::from(c));
    }
}

#[test]
fn network_names_are_plain() {
    for text in ["main", "test-1", "0", &"n".repeat(32)] {
        assert_eq!(text.parse::<NetworkName>().expect(text).to_string(), text);
    }
    for text in ["", "Main", "ma in", "a/b", "é", "a_b", &"n".repeat(33)] {
        assert_eq!(text.parse::<NetworkName>().expect_err(text).code(), "INVALID_OPTION");
    }
    let main = NetworkName::default();
    assert_eq!(main.kad_protocol(), "/openred/main/kad/1.0.0");
    assert_eq!(main.stream_protocol(), "/openred/main/stream/1.0.0");
}

#[test]
fn a_target_names_a_service_and_perhaps_one_provider() {
    let anybody: ServiceTarget = "chess".parse().unwrap();
    assert_eq!((anybody.name.as_str(), anybody.provider), ("chess", None));

    let text = format!("chess@{PEER}");
    let one: ServiceTarget = text.parse().unwrap();
    assert_eq!(one.provider, Some(PEER.parse().unwrap()));
    assert_eq!(one.to_string(), text);

    for text in ["chess@", "chess@nobody", "Chess@x", "@", "", &format!("chess@{PEER}@{PEER}")] {
        assert_eq!(text.parse::<ServiceTarget>().expect_err(text).code(), "INVALID_NAME");
    }
    let message = "chess@nobody".parse::<ServiceTarget>().unwrap_err().to_string();
    assert!(message.starts_with("\"nobody\" after `@` is not a peer id"), "{message}");
}

proptest! {
    #[test]
    fn any_text_is_a_valid_name_or_a_clear_error(text in "\\PC{0,140}|.{0,40}") {
        match text.parse::<ServiceName>() {
            Ok(name) => {
                prop_assert!((1..=128).contains(&text.len()));
                prop_assert_eq!(text.to_lowercase(), text.as_str());
                prop_assert!(text.nfc().eq(text.chars()));
                prop_assert!(!text.contains(|c: char| c.is_whitespace() || c.is_control() || RESERVED.contains(&c)));
                prop_assert_eq!(name.to_string(), text);
            }
            Err(error) => {
                prop_assert_eq!(error.code(), "INVALID_NAME");
                let NameError::Service { suggestion, .. } = error else { panic!("{error:?}") };
                if let Some(suggestion) = suggestion {
                    prop_assert!(suggestion.parse::<ServiceName>().is_ok(), "{suggestion:?}");
                }
            }
        }
    }
}
