//! sidefuse

pub mod admin;
/// The configuration file: from its text to a plan.
pub mod config;
/// Why an exchange was not simply relayed: one closed list with its projections.
pub mod failure;
/// When to stop calling an upstream that fails, as pure decisions.
pub mod net;
pub mod proxy;
pub mod resilience;
pub mod snapshot;
pub mod telemetry;
/// The only clock.
pub mod time;
pub mod upstream;
