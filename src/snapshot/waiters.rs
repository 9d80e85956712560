//! The calls of a route that wait for each other, so that what makes their waiting vain can wake them.

use std::sync::{Arc, OnceLock};

use crate::resilience::{Bulkhead, BulkheadSpec, Throttle};

/// The lines in which a route's calls wait. Its breakers know them, whichever reload brings a bulkhead.
#[derive(Debug)]
pub(super) struct Waiters {
    pub(super) throttle: Arc<Throttle>,
    bulkhead: OnceLock<Arc<Bulkhead>>,
}

impl Waiters {
    pub(super) fn new(throttle: Arc<Throttle>) -> Self {
        Self {
            throttle,
            bulkhead: OnceLock::new(),
        }
    }

    /// The route's bulkhead, for all its life: calls may be out under one that a reload took away and another brings back.
    pub(super) fn bulkhead(&self, spec: BulkheadSpec) -> Arc<Bulkhead> {
        Arc::clone(self.bulkhead.get_or_init(|| Bulkhead::new(spec)))
    }

    /// Wakes all that wait.
    pub(super) fn rouse(&self) {
        self.throttle.rouse();
        if let Some(bulkhead) = self.bulkhead.get() {
            bulkhead.rouse();
        }
    }
}
