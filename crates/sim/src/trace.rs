//! A hash over everything that reaches or leaves a machine: two runs with the same hash were the same run.

use std::{
    fmt::{self, Write},
    time::Duration,
};

use crate::NodeId;

/// FNV-1a, 64 bits: simple, and the same on every platform and version.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: u64,
    lines: u64,
    print: bool,
}

impl Trace {
    pub(crate) fn new(seed: u64) -> Self {
        let print = std::env::var_os("OPENRED_SIM_TRACE").is_some();
        Self { hash: 0xcbf2_9ce4_8422_2325 ^ seed, lines: 0, print }
    }

    pub(crate) fn note(&mut self, at: Duration, node: NodeId, what: &dyn fmt::Debug) {
        self.lines += 1;
        if self.print {
            eprintln!("{:>10.3} ms  {node}  {what:?}", at.as_secs_f64() * 1e3);
        }
        // Writing to a hash does not fail.
        let _ = write!(self, "{} {} {what:?}", at.as_nanos(), node.0);
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn lines(&self) -> u64 {
        self.lines
    }
}

impl Write for Trace {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Ok(())
    }
}
