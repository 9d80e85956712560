//! HTTP/1.1 and HTTP/2, relayed.
//!
//! Read `relay` first: it is one exchange from top to bottom. `attempt` is the straight line inside of it (`destination`: which route;
//! `outgoing`: the call itself), `ending` what happens last.

mod attempt;
mod body;
mod classify;
pub(crate) mod connection;
mod destination;
mod detail;
mod ending;
mod framing;
mod front;
mod headers;
mod outgoing;
mod relay;
mod reply;
mod shield;
mod target;
mod upgrade;

pub use connection::{refuse, serve};
