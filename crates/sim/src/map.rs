//! Maps by numbers that this crate gives itself: found in one step, and never walked through, so that their order cannot
//! reach a machine.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher},
};

/// A map whose keys are counted numbers.
pub(crate) type Ids<K, V> = HashMap<K, V, BuildHasherDefault<IdHasher>>;

/// A map by keys of any kind, the same in every run.
pub(crate) type Names<K, V> = HashMap<K, V, BuildHasherDefault<DefaultHasher>>;

/// Spreads counted numbers: Fibonacci hashing (Knuth, The Art of Computer Programming, volume 3, 6.4).
#[derive(Debug, Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A number that follows from others, for what must stay the same of a pair or a node.
pub(crate) fn mix(numbers: impl Hash) -> u64 {
    let mut hasher = IdHasher::default();
    numbers.hash(&mut hasher);
    // The finaliser of MurmurHash3 lets every bit depend on every other.
    let mut hash = hasher.finish();
    for factor in [0xff51_afd7_ed55_8ccd_u64, 0xc4ce_b9fe_1a85_ec53] {
        hash = (hash ^ (hash >> 33)).wrapping_mul(factor);
    }
    hash ^ (hash >> 33)
}

/// The same as a fraction from 0 up to 1.
pub(crate) fn fraction(numbers: impl Hash) -> f64 {
    (mix(numbers) >> 11) as f64 / (1u64 << 53) as f64
}
