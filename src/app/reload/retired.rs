//! Snapshots that are no longer in force.

use std::sync::Arc;

use crate::app::aside::aside;
use crate::snapshot::Snapshot;

/// Holds each until it is the last holder, so that no worker has to free 10 000 routes between two calls.
#[derive(Default)]
pub(super) struct Retired(Vec<Arc<Snapshot>>);

impl Retired {
    /// Adds one that was just replaced.
    pub(super) fn take(&mut self, snapshot: Arc<Snapshot>) {
        self.0.push(snapshot);
    }

    /// Frees those that have no other holder, on another thread.
    pub(super) async fn free(&mut self) {
        let free = self
            .0
            .extract_if(.., |snapshot| Arc::strong_count(snapshot) == 1);
        let free: Vec<Arc<Snapshot>> = free.collect();
        if !free.is_empty() {
            // A panic in there is logged.
            let _ = aside(move || drop(free)).await;
        }
    }
}
