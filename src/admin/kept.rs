//! What a route keeps for a bad day.

use serde::Serialize;

use crate::snapshot::Route;

/// Answers that are kept.
#[derive(Serialize)]
pub(super) struct KeptAnswers {
    entries: usize,
    bytes: u64,
}

impl KeptAnswers {
    /// What the route keeps now; `None` where it keeps nothing by its settings.
    pub(super) fn of(route: &Route) -> Option<Self> {
        let store = route.stale.as_ref()?;
        Some(Self {
            entries: store.entries(),
            bytes: store.bytes(),
        })
    }
}
