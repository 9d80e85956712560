//! What the outside sees of the traffic: correlation ids, log lines and metrics.
//!
//! Knows time and failures, nothing of HTTP connections or breakers. [`Exchange`] is the front door for the data path: the record
//! of one request, and the only place that emits its access line and its metrics.

pub mod correlation;
pub mod exposition;
pub mod histogram;
pub mod meters;
pub mod names;
mod process;
pub mod route_meters;

pub use correlation::{Acceptance, Correlation, CorrelationId};
pub use exposition::Exposition;
pub use meters::Meters;
pub use names::OutcomeLabel;
pub use route_meters::{InFlight, RouteMeters};
