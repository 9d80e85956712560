//! Problems that exist only at certain times: reading a configuration uses no clock.

use std::time::SystemTime;

/// When a problem exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// From that moment on.
    From(SystemTime),
    /// Until that moment.
    Before(SystemTime),
}

impl When {
    /// Whether it exists at `wall`.
    pub(crate) fn holds_at(self, wall: SystemTime) -> bool {
        match self {
            Self::From(moment) => moment <= wall,
            Self::Before(moment) => wall < moment,
        }
    }
}
