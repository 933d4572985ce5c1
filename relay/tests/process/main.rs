//! The real program, started as a process: what an operator and a script see of it.

mod commands;
mod directory;
mod directory_command;
mod http;
mod members;
#[allow(dead_code, reason = "the stories of the store use the rest")]
#[path = "../../src/directory/store/postgres/server.rs"]
mod postgres;
mod relay;
mod shared_database;
mod stun;
mod support;
