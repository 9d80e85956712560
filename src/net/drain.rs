//! The phase of the process: whether connections are kept and calls still served.

use std::sync::atomic::{AtomicU8, Ordering};

/// The phase of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Normal service.
    Serving,
    /// A termination signal came: calls are still served, connections are told to close after their next answer.
    Draining,
    /// The time to drain is over: calls are refused.
    Closing,
}

/// The phase, shared by all threads. It only ever moves forward.
#[derive(Debug, Default)]
pub struct Phases(AtomicU8);

impl Phases {
    /// The phase now.
    #[must_use]
    pub fn now(&self) -> Phase {
        match self.0.load(Ordering::Relaxed) {
            0 => Phase::Serving,
            1 => Phase::Draining,
            _ => Phase::Closing,
        }
    }

    /// Moves forward to `phase`; back is not possible.
    pub fn advance(&self, phase: Phase) {
        let number = match phase {
            Phase::Serving => 0,
            Phase::Draining => 1,
            Phase::Closing => 2,
        };
        self.0.fetch_max(number, Ordering::Relaxed);
    }
}
