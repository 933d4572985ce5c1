//! A hash over everything that reaches or leaves a machine: two runs with the same hash were the same run.
//!
//! A line of the trace is the time in nanoseconds, the node, and a number for what happened. Times are drawn from the seed
//! for every packet, so that two runs that differ anywhere differ in the times of all that follows; the whole text is made
//! only when it is printed.

use std::{fmt, time::Duration};

use openred_core::{Input, Output};

use crate::NodeId;

/// FNV-1a over 64-bit words: simple, and the same on every platform.
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

    pub(crate) fn note(&mut self, at: Duration, node: NodeId, mark: u64, what: &dyn fmt::Debug) {
        self.lines += 1;
        if self.print {
            eprintln!("{:>10.3} ms  {node}  {what:?}", at.as_secs_f64() * 1e3);
        }
        let nanos = u64::try_from(at.as_nanos()).unwrap_or(u64::MAX);
        for word in [nanos, node.0 as u64, mark] {
            self.hash = (self.hash ^ word).wrapping_mul(0x0100_0000_01b3).rotate_left(29);
        }
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn lines(&self) -> u64 {
        self.lines
    }
}

/// A number for what was told.
pub(crate) fn of_input(input: &Input) -> u64 {
    let (kind, what) = match input {
        Input::Connected { connection, .. } => (1, connection.0),
        Input::Disconnected { connection, .. } => (2, connection.0),
        Input::DialFailed { dial, .. } => (3, dial.0),
        Input::Identified { addresses, .. } => (4, addresses.len() as u64),
        Input::Ponged { connection, rtt, .. } => (5, connection.0 ^ u64::from(rtt.subsec_nanos()) << 32),
        Input::PingFailed { connection, .. } | Input::PingRefused { connection, .. } => (6, connection.0),
        Input::Answered { request, message } => (7, request.0 ^ (message.len() as u64) << 40),
        Input::Sent { request } => (8, request.0),
        Input::RequestFailed { request, .. } => (9, request.0),
        Input::Asked { inbound, message, .. } => (10, inbound.0 ^ (message.len() as u64) << 40),
        Input::Fetched { fetch, body } => (11, fetch.0 ^ (body.len() as u64) << 40),
        Input::FetchFailed { fetch, .. } => (12, fetch.0),
        Input::Opened { open } | Input::OpenRefused { open, .. } | Input::OpenFailed { open, .. } => (13, open.0),
        _ => (14, 0),
    };
    kind << 56 ^ what
}

/// A number for what is wanted.
pub(crate) fn of_output(output: &Output) -> u64 {
    let (kind, what) = match output {
        Output::Dial { dial, addresses, .. } => (1, dial.0 ^ (addresses.len() as u64) << 40),
        Output::CancelDial { dial } => (2, dial.0),
        Output::Disconnect { connection } => (3, connection.0),
        Output::Request { request, connection, message, .. } => {
            (4, request.0 ^ connection.0 << 20 ^ (message.len() as u64) << 40)
        }
        Output::CancelRequest { request } => (5, request.0),
        Output::Respond { inbound, .. } => (6, inbound.0),
        Output::OpenStream { open, connection, .. } => (7, open.0 ^ connection.0 << 20),
        Output::CancelOpen { open } => (8, open.0),
        Output::Fetch { fetch, .. } | Output::CancelFetch { fetch } => (9, fetch.0),
        Output::Remember(memory) => (10, memory.len() as u64),
        Output::Done { op, outcome } => (11, op.0 << 1 ^ u64::from(outcome.is_ok())),
        _ => (12, 0),
    };
    1 << 63 ^ kind << 56 ^ what
}
