//! Times that outlive their process: saved as distances to the moment of saving, converted back in the next process.
//!
//! No clock is saved. The caller of `resume` says how long ago the moment of saving was.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// A distance in whole milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Millis(pub(super) u64);

/// Converts saved times to instants of this process.
#[derive(Clone, Copy)]
pub(super) struct Anchor {
    pub(super) now: Instant,
    /// The time since the moment of saving.
    pub(super) elapsed: Duration,
}

impl Millis {
    /// Rounded up, so that nothing ends earlier than it would have.
    pub(super) fn of(time: Duration) -> Self {
        Self(u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX))
    }

    pub(super) fn time(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

impl Anchor {
    pub(super) fn past(self, ago: Millis) -> Instant {
        let ago = ago.time().saturating_add(self.elapsed);
        self.now.checked_sub(ago).unwrap_or(self.now)
    }

    /// The instant at which `left` is over; it may have passed already.
    pub(super) fn end(self, left: Duration) -> Instant {
        let end = match left.checked_sub(self.elapsed) {
            Some(ahead) => self.now.checked_add(ahead),
            None => self.now.checked_sub(self.elapsed - left),
        };
        end.unwrap_or(self.now)
    }
}
