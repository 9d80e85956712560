//! Where a worker's exchanges are recorded.

use std::cell::Cell;

use super::meters::Meters;
use super::worker_log::WorkerLog;

/// Where a worker's exchanges are recorded.
#[derive(Debug)]
pub struct WorkerTelemetry {
    /// The metrics of the process.
    pub meters: Meters,
    /// The worker's own lines.
    pub log: WorkerLog,
    /// Set when the worker cuts off what is in flight: an exchange that is dropped then was not left by its caller.
    pub is_cutting: Cell<bool>,
}
