//! The calls of a route that wait for each other, so that what makes their waiting vain can wake them.

use std::sync::{Arc, OnceLock};

use tokio::sync::Notify;

use crate::resilience::{Bulkhead, BulkheadSpec, Throttle};

/// The lines in which a route's calls wait. Its breakers know them, whichever reload brings a bulkhead.
#[derive(Debug)]
pub(super) struct Waiters {
    pub(super) throttle: Arc<Throttle>,
    bulkhead: OnceLock<Arc<Bulkhead>>,
    /// Wakes those who wait for a connection, in whichever worker and for whichever upstream the route had then.
    pub(super) connection: Notify,
}

impl Waiters {
    pub(super) fn new(throttle: Arc<Throttle>) -> Self {
        Self {
            throttle,
            bulkhead: OnceLock::new(),
            connection: Notify::new(),
        }
    }

    /// The route's bulkhead, for all its life: calls may be out under one that a reload took away and another brings back.
    pub(super) fn bulkhead(&self, spec: BulkheadSpec) -> Arc<Bulkhead> {
        Arc::clone(self.bulkhead.get_or_init(|| Bulkhead::new(spec)))
    }

    /// Wakes all that wait.
    pub(super) fn rouse(&self) {
        self.throttle.rouse();
        self.connection.notify_waiters();
        if let Some(bulkhead) = self.bulkhead.get() {
            bulkhead.rouse();
        }
    }
}
