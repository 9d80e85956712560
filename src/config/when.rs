//! Problems that are some at certain times only: what reads a configuration knows no clock.

use std::time::SystemTime;

/// When a problem is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// From that moment on.
    From(SystemTime),
    /// Until that moment.
    Before(SystemTime),
}

impl When {
    /// Whether it is one at `wall`.
    pub(crate) fn holds_at(self, wall: SystemTime) -> bool {
        match self {
            Self::From(moment) => moment <= wall,
            Self::Before(moment) => wall < moment,
        }
    }
}
