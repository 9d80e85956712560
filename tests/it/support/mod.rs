//! What integration tests share: the real process, an origin that can be told how to misbehave, a client that shows every byte.

pub(crate) mod answer;
pub(crate) mod blocks;
mod caller;
pub(crate) mod client;
pub(crate) mod config;
pub(crate) mod executor;
pub(crate) mod gate;
pub(crate) mod http2;
pub(crate) mod identity;
mod keys;
pub(crate) mod memory;
pub(crate) mod message;
pub(crate) mod metrics;
pub(crate) mod nameserver;
pub(crate) mod namespaces;
pub(crate) mod origin;
mod pipes;
pub(crate) mod process;
pub(crate) mod raw;
pub(crate) mod recorder;
mod said;
pub(crate) mod source;
mod speech;
pub(crate) mod tools;
pub(crate) mod traffic;

use std::time::Duration;

/// How long anything here waits before it calls the test broken; never part of a claim.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
