//! One pause, of a route or of a key.

use std::time::{Duration, Instant};

/// A pause that runs, or that is over and not yet released.
#[derive(Debug)]
pub(super) struct Pause {
    pub(super) epoch: u64,
    pub(super) since: Instant,
    pub(super) until: Instant,
    /// Since when this process counts it: an earlier process has counted its own part.
    pub(super) counted_from: Instant,
    /// Wishes without a success between.
    pub(super) in_a_row: u32,
    /// A deciding call is in flight.
    pub(super) is_tried: bool,
}

/// Whether calls of one scope may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    Free,
    /// One, which then decides.
    One,
    Shut,
}

impl Pause {
    pub(super) fn lane(pause: Option<&Self>, now: Instant) -> Lane {
        match pause {
            None => Lane::Free,
            Some(pause) if pause.is_tried || pause.until > now => Lane::Shut,
            Some(_) => Lane::One,
        }
    }

    /// The part of it until `now` that this process counts.
    pub(super) fn took(&self, now: Instant) -> Duration {
        self.until
            .min(now)
            .saturating_duration_since(self.counted_from)
    }
}
