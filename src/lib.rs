//! sidefuse

pub mod config;
/// Why an exchange was not simply relayed: one closed list with its projections.
pub mod failure;
/// When to stop calling an upstream that fails, as pure decisions.
pub mod resilience;
/// The only clock.
pub mod time;
