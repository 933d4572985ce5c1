//! What a node keeps from one life to the next: where it gets it from and to whom it hands it.
//!
//! The core decides what is worth keeping and how it is written; to the shell it is bytes. A [`Keeper`] takes them. Natively
//! `platform/native/memory_file.rs` writes them to a file; a page puts them into its own storage.

use std::fmt;

use crate::platform::MaybeSend;

/// Takes what the node wants to remember, each time in the place of what it took before.
pub struct Keeper(Box<dyn Keep>);

trait Keep: MaybeSend {
    fn keep(&mut self, memory: Vec<u8>);
}

impl<F: FnMut(Vec<u8>) + MaybeSend> Keep for F {
    fn keep(&mut self, memory: Vec<u8>) {
        self(memory);
    }
}

impl Keeper {
    /// `keep` is called by the node's own task and must return at once: slow storage is written to elsewhere.
    pub fn new(keep: impl FnMut(Vec<u8>) + MaybeSend + 'static) -> Self {
        Self(Box::new(keep))
    }

    pub(crate) fn keep(&mut self, memory: Vec<u8>) {
        self.0.keep(memory);
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keeper")
    }
}
