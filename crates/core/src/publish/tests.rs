use super::*;

fn publisher() -> Publisher {
    Publisher::new(Keypair::ed25519_from_bytes([7; 32]).expect("32 bytes are a key"))
}

#[test]
fn sequence_and_cursor_survive_and_never_go_back() {
    let mut before = publisher();
    (before.sequence, before.cursor) = (1_795_000_000_123, Position::of(b"somewhere"));
    let memory = before.memory();
    let mut after = publisher();
    after.restore(&memory);
    assert_eq!((after.sequence, after.cursor), (before.sequence, before.cursor));
    after.sequence += 5;
    after.restore(&memory);
    assert_eq!(after.sequence, before.sequence + 5, "an old memory takes nothing back");
}

#[test]
fn a_memory_that_cannot_be_is_passed_over() {
    let good = publisher().memory();
    let longer = [&good[..], &[0]].concat();
    let other_version = [&[9][..], &good[1..]].concat();
    for memory in [&[][..], &[1], &good[1..], &longer, &other_version, &[0xff; 41]] {
        let mut publisher = publisher();
        publisher.restore(memory);
        assert_eq!((publisher.sequence, publisher.cursor), (0, Position::from_bytes([0; 32])));
    }
    let mut most = publisher();
    most.restore(&[&[MEMORY][..], &u64::MAX.to_be_bytes(), &[0; 32]].concat());
    assert_eq!(most.sequence, 0, "no record may carry that");
}
