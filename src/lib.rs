//! sidefuse

pub mod failure;
pub mod resilience;
pub mod time;
