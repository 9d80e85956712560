//! One reading of both clocks, so that all times of one answer belong together.

use std::time::{Instant, SystemTime};

use crate::time::moved;

/// One instant on both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// The monotonic clock.
    pub(super) now: Instant,
    /// The wall clock.
    wall: SystemTime,
}

impl Moment {
    /// Reads both clocks.
    pub(super) fn read() -> Self {
        Self {
            now: crate::time::now(),
            wall: crate::time::wall(),
        }
    }

    /// An instant as JSON shows it: RFC 3339 in UTC, to the millisecond.
    pub(super) fn stamp(&self, instant: Instant) -> String {
        stamp(self.at(instant))
    }

    /// An instant as a sentence says it: RFC 3339 in UTC, to the second.
    pub(super) fn phrase(&self, instant: Instant) -> String {
        humantime::format_rfc3339_seconds(self.at(instant)).to_string()
    }

    fn at(&self, instant: Instant) -> SystemTime {
        moved(self.wall, instant, self.now)
    }
}

/// A wall clock time as JSON shows it.
pub(super) fn stamp(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}
