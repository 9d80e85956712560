//! The calls of a route that wait, so that they can be woken when waiting has become pointless.

use std::sync::{Arc, OnceLock};

use tokio::sync::Notify;

use crate::resilience::{Bulkhead, BulkheadSpec, Throttle};

/// The queues in which a route's calls wait. They outlive reloads, so that the route's breakers can always wake them.
#[derive(Debug)]
pub(super) struct Waiters {
    pub(super) throttle: Arc<Throttle>,
    bulkhead: OnceLock<Arc<Bulkhead>>,
    /// Wakes calls that wait for a connection, on every worker and for every upstream that the route has had.
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

    /// The route's bulkhead, which lives as long as the route: calls may be in flight under one that a reload removes and
    /// another brings back.
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
