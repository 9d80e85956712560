//! One pause, of a route or of a key.

use std::time::{Duration, Instant};

/// A pause, or what is left of it.
#[derive(Debug)]
pub(super) struct Pause {
    pub(super) epoch: u64,
    pub(super) since: Instant,
    pub(super) until: Instant,
    /// When it began for this process, which may be later: what an earlier one waited it counted itself.
    pub(super) counted_from: Instant,
    /// Wishes without a success between.
    pub(super) in_a_row: u32,
    /// A call is out that will decide.
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

    /// The part of it that is over and that this process counts.
    pub(super) fn took(&self, now: Instant) -> Duration {
        self.until
            .min(now)
            .saturating_duration_since(self.counted_from)
    }
}
