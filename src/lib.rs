//! sidefuse

pub mod app;
pub mod config;
pub mod failure;
pub mod net;
pub mod proxy;
pub mod resilience;
pub mod snapshot;
pub mod telemetry;
pub mod time;
pub mod upstream;
