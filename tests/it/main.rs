//! The one integration binary: the whole product from outside, and the rules its source is held to.
//!
//! A file per subject; `support` has what they share. Claims wait for events (a line, a gate, the end of a stream); a time limit is
//! only there so that a broken build fails instead of hanging.
#![cfg(test)]

mod agreeing;
mod architecture;
mod blame;
mod bodies;
mod breaker;
mod check;
mod classify;
mod config;
mod crowds;
mod demo;
mod deploying;
mod downstream;
mod drill;
mod endpoints;
mod expect;
mod fallback;
mod forcing;
mod frames;
mod fuzz;
mod grpc;
mod headers;
mod hostile;
mod init;
mod isolation;
mod keyed;
mod leaving;
mod limits;
mod logs;
mod lossy;
mod metrics;
mod names;
mod ours;
mod pages;
mod paused;
mod peers;
mod places;
mod probe;
mod questions;
mod ramp;
mod readme;
mod recall;
mod reload;
mod resting;
mod retry;
mod routing;
mod scarce;
mod shutdown;
mod signals;
mod start;
mod starving;
mod state;
mod streams;
mod strict;
mod support;
mod throttle;
mod timeouts;
mod torture;
mod tunnel;
mod turns;
mod upstream;
mod websocket;
mod windows;
