//! The directory: the HTTP registry on a relay, seen without HTTP.
//!
//! [`registry::Registry`] is what handlers talk to. It keeps who is alive in memory, lets [`openred_core::lifecycle`] decide
//! about the silent, and keeps everything else in a [`store::Store`]: SQLite beside the relay's identity, or PostgreSQL when
//! several instances share one directory.
//!
//! What stands here does not know HTTP, tokens or the network.

pub(crate) mod registry;
pub(crate) mod store;
