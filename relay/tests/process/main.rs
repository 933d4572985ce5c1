//! The real program, started as a process: what an operator and a script see of it.

mod commands;
mod http;
mod relay;
mod stun;
mod support;
