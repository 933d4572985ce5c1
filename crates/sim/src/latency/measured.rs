//! Nodes at the hosts of a real measurement: round-trip times between 99 hosts in 481 successive time slices.
//!
//! The data is the "Seattle" part of NetLatency-Data (R. Zhu, B. Liu, D. Niu, Z. Li, H. V. Zhao, "Network Latency
//! Estimation for Personal Devices: A Matrix Completion Approach", IEEE/ACM Transactions on Networking, 2017; MIT licence),
//! as gzip of little-endian 16-bit milliseconds `[slice][source][destination]`; 0 is no measurement, 65535 off the scale.
//! It is read from the path in `OPENRED_DATA` (the file or its directory), or from `../shared/data/` beside the project or
//! above it; without it this world cannot be made.
//!
//! The hosts are personal devices: a median of 220 ms, and one pair in twenty above 900 ms. A node stands at a host drawn
//! from the seed. Two nodes at one host are as far from each other as the host's nearest neighbour. Where a pair was not
//! measured in a slice, the other direction counts, then the nearest earlier slice, then the median of all. A slice lasts
//! [`SLICE`] of virtual time, so that a run sees times change; the measurement's own slices were hours long.

use std::{io::Read, path::PathBuf, sync::Arc, time::Duration};

use super::place;
use crate::NodeId;

/// Virtual time of a slice; a guess, see the module's documentation.
pub const SLICE: Duration = Duration::from_secs(30);

const HOSTS: usize = 99;
const SLICES: usize = 481;
const FILE: &str = "rtt-seattle.u16.gz";
const OFF: u16 = u16::MAX;

/// A world of measured hosts.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Round trips in milliseconds, with every gap filled.
    times: Arc<Vec<u16>>,
}

impl Measured {
    /// Reads the Seattle measurement.
    ///
    /// # Errors
    ///
    /// Says where it was looked for, or what is wrong with the file.
    pub fn seattle() -> Result<Self, String> {
        let places = places();
        let path = places.iter().find(|path| path.is_file()).ok_or_else(|| {
            let places: Vec<_> = places.iter().map(|path| path.display().to_string()).collect();
            format!("{FILE} is at none of {}; set OPENRED_DATA to its path", places.join(", "))
        })?;
        let wrong = |error: std::io::Error| format!("{}: {error}", path.display());
        let file = std::fs::File::open(path).map_err(wrong)?;
        let expected = HOSTS * HOSTS * SLICES * 2;
        let mut bytes = Vec::with_capacity(expected + 1);
        flate2::read::GzDecoder::new(file).take(expected as u64 + 1).read_to_end(&mut bytes).map_err(wrong)?;
        if bytes.len() != expected {
            return Err(format!("{}: {} bytes in the place of {expected}", path.display(), bytes.len()));
        }
        let times = bytes.as_chunks::<2>().0.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
        Ok(Self { times: Arc::new(filled(times)) })
    }

    pub(crate) fn one_way(&self, seed: u64, from: NodeId, to: NodeId, now: Duration) -> Duration {
        let slice = (now.as_secs() / SLICE.as_secs()) as usize % SLICES;
        let (from, to) = (place(seed, from, HOSTS), place(seed, to, HOSTS));
        Duration::from_micros(500 * u64::from(self.times[(slice * HOSTS + from) * HOSTS + to]))
    }
}

fn places() -> Vec<PathBuf> {
    if let Some(path) = std::env::var_os("OPENRED_DATA").map(PathBuf::from) {
        return vec![path.join(FILE), path];
    }
    let here = std::env::current_dir().unwrap_or_default();
    here.ancestors().map(|above| above.join("../shared/data").join(FILE)).collect()
}

/// Fills what was not measured.
fn filled(mut times: Vec<u16>) -> Vec<u16> {
    let measured = |time: u16| time != 0 && time != OFF;
    let mut all: Vec<u16> = times.iter().copied().filter(|time| measured(*time)).collect();
    all.sort_unstable();
    let median = all.get(all.len() / 2).copied().unwrap_or(1);
    let mut last = vec![median; HOSTS * HOSTS];
    for slice in times.chunks_mut(HOSTS * HOSTS) {
        let before = slice.to_vec();
        for from in 0..HOSTS {
            for to in (0..HOSTS).filter(|to| *to != from) {
                let (there, back) = (before[from * HOSTS + to], before[to * HOSTS + from]);
                let known = [there, back].into_iter().find(|time| measured(*time));
                last[from * HOSTS + to] = known.unwrap_or(last[from * HOSTS + to]);
            }
            let others = (0..HOSTS).filter(|to| *to != from).map(|to| last[from * HOSTS + to]);
            last[from * HOSTS + from] = others.min().unwrap_or(median);
        }
        slice.copy_from_slice(&last);
    }
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_filled_from_the_other_direction_the_past_and_the_median() {
        let mut times = vec![0; 2 * HOSTS * HOSTS];
        times[1] = 30;
        times[2] = 10;
        times[HOSTS * HOSTS + 2] = OFF;
        times[HOSTS * HOSTS + 5] = 70;
        let filled = filled(times);
        assert_eq!(filled[HOSTS], 30, "the other direction");
        assert_eq!(filled[HOSTS * HOSTS + 2], 10, "the slice before");
        assert_eq!(filled[3 * HOSTS + 7], 30, "the median of 10, 30 and 70");
        assert_eq!(filled[0], 10, "as far as the nearest neighbour");
    }

    #[test]
    fn the_measurement_is_read_where_it_is_there() {
        match Measured::seattle() {
            Ok(world) => {
                let time = world.one_way(1, NodeId(0), NodeId(1), Duration::ZERO);
                assert!(time > Duration::ZERO);
                let later = (1..100).map(|slice| world.one_way(1, NodeId(0), NodeId(1), SLICE * slice));
                assert!(later.into_iter().any(|other| other != time), "times change");
            }
            Err(reason) => assert!(reason.contains(FILE), "{reason}"),
        }
    }
}
