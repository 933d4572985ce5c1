use std::time::{Duration, Instant};

use futures::{AsyncReadExt, AsyncWriteExt};
use proptest::prelude::*;

use super::*;
use crate::testing::{Pair, pair};

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn the_first_bytes_pass_at_once_and_the_debt_is_waited_for() {
    let mut bucket = Bucket::new(1000);
    let now = millis(10_000);
    assert_eq!(bucket.wait(now), None);
    bucket.charge(now, 1000);
    // A quarter of a second had been saved up.
    assert_eq!(bucket.wait(now), Some(millis(750)));
    assert_eq!(bucket.wait(now + millis(749)), Some(millis(1)));
    assert_eq!(bucket.wait(now + millis(750)), None);
}

#[test]
fn a_rate_of_nothing_is_one() {
    let mut bucket = Bucket::new(0);
    bucket.charge(millis(0), 1);
    assert_eq!(bucket.wait(millis(0)), Some(millis(1000)));
    bucket.charge(millis(0), usize::MAX);
    assert!(bucket.wait(millis(0)).is_some());
}

proptest! {
    /// Whatever streams do, in the long run the rate is kept.
    #[test]
    fn the_rate_is_kept(
        rate in 1_000_u64..10_000_000,
        turns in prop::collection::vec((0_usize..8, 1_usize..=TURN, 0_u64..50), 200),
    ) {
        let mut bucket = Bucket::new(rate);
        let mut now = Duration::from_secs(1);
        let start = now;
        let mut moved = 0_u64;
        // Some streams ask together, which is when their turns coincide.
        for (others, bytes, idle) in turns {
            now += millis(idle);
            now += bucket.wait(now).unwrap_or_default();
            for _ in 0..=others {
                bucket.charge(now, bytes);
                moved += bytes as u64;
            }
        }
        let allowed = (now - start).as_secs_f64() * rate as f64;
        let slack = 0.25 * rate as f64 + (8 * TURN) as f64;
        prop_assert!(moved as f64 <= allowed + slack, "{moved} of {allowed} + {slack}");
    }
}

/// Moves `length` bytes over each of `streams` streams at once and returns the time it took.
async fn transfer(pair: &mut Pair, streams: usize, length: usize) -> (Duration, Vec<Duration>) {
    let mut ends = Vec::new();
    for _ in 0..streams {
        ends.push(pair.open().await);
    }
    let start = Instant::now();
    let transfers = ends.into_iter().map(|(mut near, mut far)| async move {
        let send = async {
            near.write_all(&vec![1; length]).await.unwrap();
            near.close().await.unwrap();
        };
        let mut received = Vec::new();
        let (_, end) = futures::join!(send, far.read_to_end(&mut received));
        assert_eq!((end.unwrap(), received.len()), (length, length));
        start.elapsed()
    });
    let times = futures::future::join_all(transfers).await;
    (start.elapsed(), times)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_byte_is_counted_once() {
    const LENGTH: u64 = 1_000_000;
    let (near, far) = (Meter::new(None), Meter::new(None));
    let mut pair = pair(&near, &far).await;
    transfer(&mut pair, 2, LENGTH as usize / 2).await;
    // What is not payload are negotiations, here of two streams.
    for (counted, least) in
        [(near.bytes_out(), LENGTH), (far.bytes_in(), LENGTH), (near.bytes_in(), 0), (far.bytes_out(), 0)]
    {
        assert!((least..least + 1000).contains(&counted), "{counted} instead of {least}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limit_is_kept_and_used() {
    const RATE: u64 = 2_000_000;
    const STREAMS: usize = 4;
    const LENGTH: usize = 800_000;
    let mut pair = pair(&Meter::new(Some(RATE)), &Meter::new(None)).await;
    let (took, times) = transfer(&mut pair, STREAMS, LENGTH).await;
    let ratio = (STREAMS * LENGTH) as f64 / (took.as_secs_f64() * RATE as f64);
    // A quarter of a second may have been saved up; a busy machine may lose some.
    assert!((0.7..1.3).contains(&ratio), "{ratio:.2} of the limit in {took:?}");
    // All had the same to move, so all end at about the same time.
    let first = times.iter().min().unwrap();
    assert!(first.as_secs_f64() > 0.75 * took.as_secs_f64(), "the first after {first:?} of {took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receiving_is_limited_too() {
    const RATE: u64 = 2_000_000;
    const LENGTH: usize = 2_500_000;
    let mut pair = pair(&Meter::new(None), &Meter::new(Some(RATE))).await;
    let (took, _) = transfer(&mut pair, 1, LENGTH).await;
    let ratio = LENGTH as f64 / (took.as_secs_f64() * RATE as f64);
    assert!((0.7..1.3).contains(&ratio), "{ratio:.2} of the limit in {took:?}");
}
