//! The real program, started as a process: what an operator and a script see of it.

mod commands;
mod directory;
mod http;
#[allow(dead_code, reason = "the stories of the store use the rest")]
#[path = "../../src/directory/store/postgres/server.rs"]
mod postgres;
mod relay;
mod stun;
mod support;
