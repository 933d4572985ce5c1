//! The real program, started as a process: what an operator and a script see of it.

mod commands;
mod directory;
mod directory_command;
mod http;
mod members;
mod relay;
mod shared_database;
mod stun;
mod support;
