//! What can be observed of the traffic: correlation ids, log lines and metrics.
//!
//! Knows time, failures and outcomes, nothing of connections or breakers. [`Exchange`] is the front door for the data path: the record of
//! one request, and the only place that emits its access line and its metrics.
//!
//! # Life of an access line
//! [`Exchange::finish`] → [`AccessRecord`] → the worker's own buffer ([`WorkerLog`]; level and [`Sample`] decide) → in batches
//! through a bounded queue → the writing thread ([`LogWriter`]). Nothing on this way waits: what does not fit is dropped and
//! counted in `sidefuse_log_lines_dropped_total`. Life-cycle events ([`Logging`]) join at the queue.
//!
//! # Life of a number
//! A [`RouteMeters`] is found once per exchange, with its route; counting is one addition into an atomic. [`Meters::render`] reads
//! them all, and its caller adds what only live objects know. The names stand in [`names`], all of them.

pub mod access_log;
mod begin;
mod byte_count;
pub mod correlation;
mod escape;
pub mod exchange;
pub mod exposition;
pub mod histogram;
mod limit_label;
pub mod line;
pub mod logging;
pub mod meters;
pub mod names;
mod outcome;
mod pretty;
mod process;
pub mod refusal;
pub mod route_meters;
mod route_series;
pub mod sample;
mod target;
mod waits;
mod worker;
pub mod worker_log;
mod write_result;
pub mod writer;

pub use access_log::{AccessRecord, Hosts};
pub use begin::{Begin, End};
pub use byte_count::ByteCount;
pub use correlation::{Acceptance, Correlation, CorrelationId};
pub use exchange::Exchange;
pub use exposition::Exposition;
pub use line::{Level, LineFormat, Stamp};
pub use logging::Logging;
pub use meters::Meters;
pub use route_meters::{InFlight, RouteMeters};
pub use sample::Sample;
pub use target::Target;
pub use waits::HeldBy;
pub use worker::WorkerTelemetry;
pub use worker_log::{LogSpec, WorkerLog};
pub use write_result::WriteResult;
pub use writer::{LogHandle, LogWriter};
