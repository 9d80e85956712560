//! sidefuse

pub mod failure;
pub mod telemetry;
pub mod time;
