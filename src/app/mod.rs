//! The program around the data path: starting, reloading, ending.
//!
//! One control thread (the one that calls [`run`]) does everything except carry traffic: it accepts connections and hands each
//! to the worker with the fewest, serves operators and health checks, watches the configuration and the signals. Each worker is
//! a thread with a runtime of its own.
//!
//! Start: file → plan → listeners bound → live objects → workers → ready. A failure on the way ends the process with one
//! message: it never runs half started. How it ends: `drain`.

mod accept;
mod addresses;
mod aside;
mod drain;
mod error;
mod holds;
mod listeners;
mod loader;
mod logs;
mod reload;
mod resolve;
mod signals;
mod start;
mod state;
mod watch;
mod workers;

pub use addresses::Addresses;
pub use error::StartError;
pub use loader::Environment;
pub use start::{Options, run};
