//! The answers that a route keeps for an outage.

use serde::Serialize;

use crate::snapshot::Route;

/// The kept answers.
#[derive(Serialize)]
pub(super) struct KeptAnswers {
    entries: usize,
    bytes: u64,
}

impl KeptAnswers {
    /// The route's kept answers; `None` if its settings keep none.
    pub(super) fn of(route: &Route) -> Option<Self> {
        let store = route.stale.as_ref()?;
        Some(Self {
            entries: store.entries(),
            bytes: store.bytes(),
        })
    }
}
