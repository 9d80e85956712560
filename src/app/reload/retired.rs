//! Snapshots that are no longer in force.

use std::sync::Arc;

use crate::app::aside::aside;
use crate::snapshot::Snapshot;

/// Holds each until nobody else does, so that no worker is the one who frees 10 000 routes between two calls.
#[derive(Default)]
pub(super) struct Retired(Vec<Arc<Snapshot>>);

impl Retired {
    /// Takes one that was just replaced.
    pub(super) fn take(&mut self, snapshot: Arc<Snapshot>) {
        self.0.push(snapshot);
    }

    /// Frees those that nobody else holds any more, beside the control thread.
    pub(super) async fn free(&mut self) {
        let free = self
            .0
            .extract_if(.., |snapshot| Arc::strong_count(snapshot) == 1);
        let free: Vec<Arc<Snapshot>> = free.collect();
        if !free.is_empty() {
            // A panic in there is told by the log.
            let _ = aside(move || drop(free)).await;
        }
    }
}
