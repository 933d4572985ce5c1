//! A network of real [`openred_core::Machine`]s in virtual time, deterministic from a seed.
//!
//! The machines are those of the product; only the world around them is simulated. [`Net`] does for each of them what
//! the shell `openred-node` does: it carries out outputs and tells facts. Its verbs are the domain's, so that a test
//! reads as a story:
//!
//! ```
//! use openred_sim::{Net, Time};
//!
//! let mut net = Net::new(7);
//! let a = net.relay();
//! let b = net.relay_knowing(&[a]);
//! let alice = net.client(&[a]);
//! let bob = net.client(&[b]);
//! net.provide(alice, "chess");
//! net.run_until_idle_or(10.s());
//! assert_eq!(net.providers(bob, "chess"), [alice]);
//! net.kill(a);
//! net.run_for(30.s());
//! ```
//!
//! **What is simulated.** Packets travel with the [`Latency`] of their pair of nodes: all pairs alike, cities on the globe, or
//! hosts of a real measurement; lost ones are repeated as transports do. A *silent* node, a *lost* one, one that is *mute*
//! or *deaf*, or the other side of a *partition* is a black hole: what is on its way waits, as TCP would go on sending it,
//! and arrives one latency after the silence ends, if its connection has outlived that. A *killed* node's connections are
//! closed at once, and dials to it are refused. Connections run through a relay only as long as it holds a reservation of
//! their target and lives. Handshakes (WebSocket, and QUIC where [`Net::quic`] says so), stream negotiation, identify and
//! ping cost the round trips, and follow the intervals, of the real shell; ping has libp2p's one silent failure. HTTP
//! requests reach relays' directories and published lists, and a node's memory outlives it. Events at the same instant
//! happen in an order drawn from the seed, and timers are up to a millisecond late, so that an order of events that hurts
//! is found by some seed and returns with it. Clients with WebRTC agree on direct paths over a circuit, which must stand
//! until both have said what they have to say; how ICE ends is set for each pair ([`Ice`]), and a cut between two clients
//! leaves the circuits between them alone.
//!
//! **Larger stories.** [`crowd`] fills a network with people and asks who finds what; [`churn`] lets them come and go;
//! [`scenario`] reads worlds, events and expectations from files; [`figures`] measures what the project promises. The
//! command line runs the last two: `cargo run --release -p openred-sim -- figures --quick`.
//!
//! **What is not.** Bandwidth and congestion, packets of one connection waiting behind a lost one, limits on connections,
//! identify's push and libp2p's own bugs.
//!
//! **What is checked, always.** Every order of an application ends with exactly one answer within its limit; no machine
//! names a deadline in the past again and again; no instant goes on for ever.
//!
//! With `OPENRED_SIM_TRACE=1` in the environment everything that reaches or leaves a machine is printed.

pub mod churn;
pub mod crowd;
pub mod figures;
pub mod latency;
mod map;
mod net;
mod node;
mod queue;
pub mod scenario;
mod time;
mod trace;
mod wire;

pub use latency::{Latency, World};
pub use net::{Ice, Net, Order, Walk};
pub use node::{NodeId, Traffic};
pub use openred_core as core;
pub use time::Time;
