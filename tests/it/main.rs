//! The one integration binary: the whole product from outside, and the rules its source is held to.
//!
//! A file per subject; `support` has what they share. Claims wait for events (a line, a gate, the end of a stream); a time limit is
//! only there so that a broken build fails instead of hanging.
#![cfg(test)]

mod bodies;
mod breaker;
mod downstream;
mod headers;
mod routing;
mod support;
mod upstream;
mod websocket;
