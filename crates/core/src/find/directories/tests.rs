use proptest::prelude::*;

use super::*;

#[test]
fn targets_are_escaped_as_a_segment_of_a_path() {
    assert_eq!(escaped("chess"), "chess");
    assert_eq!(escaped("a b%c"), "a%20b%25c");
    assert_eq!(escaped("шах@12D3"), "%D1%88%D0%B0%D1%85@12D3");
}

proptest! {
    /// What is escaped leaves the path's segment by no character.
    #[test]
    fn no_target_leaves_its_segment(text in any::<String>()) {
        let escaped = escaped(&text);
        prop_assert!(escaped.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~@%".contains(&byte)));
    }
}
