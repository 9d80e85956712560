//! HTTP/1.1 and HTTP/2, relayed.
//!
//! Read `relay` first: it is one exchange from top to bottom. `call` is what the caller sent, `destination` finds its route, `carry` is
//! the straight line to that route's upstream (`outgoing`: the call rewritten; `attempt`: one try; `retrying`: whether another follows),
//! `ending` what happens last. `tunnel` is what becomes of a CONNECT.
//!
//! Below that is the caller's connection: `connection` serves it, `front` stands between its bytes and the HTTP library,
//! `sieve` lets the library see only what passes the strict reading, and through `gate` these talk to each other. `stream` runs
//! the streams of one over HTTP/2.

mod allowance;
mod attempt;
mod body;
mod bounds;
mod call;
mod carry;
mod classify;
mod clock;
mod connecting;
pub(crate) mod connection;
mod destination;
mod detail;
mod ending;
mod fallback;
mod framing;
mod front;
mod gate;
mod grpc;
mod headers;
mod kept;
mod key;
mod losing;
mod object;
mod ours;
mod outgoing;
mod peek;
pub(crate) mod probing;
mod recall;
mod relay;
mod reply;
mod retrying;
mod shield;
mod sieve;
pub(crate) mod state;
mod stream;
mod target;
mod tunnel;
mod upgrade;
mod waiting;

pub use connection::{refuse, serve};
