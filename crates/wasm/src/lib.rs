//! The raw wasm-bindgen binding under the npm package `@openred/node`.
//!
//! It is small on purpose: it turns JavaScript values into calls of `openred-node` and back, and nothing else. What a
//! web developer sees is the TypeScript in `web/src`, of which one file imports this binding. Every value that crosses is
//! plain (objects with camelCase names, strings, numbers, `Uint8Array`), so that the node could live in a worker.
//!
//! On other targets than wasm the crate is empty.
#![cfg(target_family = "wasm")]

mod calls;
mod convert;
mod crash;
mod node;
mod plain;
mod stream;

pub use crash::on_crash;
pub use node::{RawNode, check_name, generate_identity, peer_id_of};
pub use stream::RawStream;
