//! The breakers of a route's keys, counted by state.

use crate::resilience::breaker::state::State;

/// Counts of breakers by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyCounts {
    /// All of them.
    pub total: usize,
    /// In force closed.
    pub closed: usize,
    /// In force open.
    pub open: usize,
    /// In force half-open.
    pub half_open: usize,
    /// Held by an operator, open or closed.
    pub forced: usize,
    /// Calls whose key found no room for a breaker, since the route began.
    pub untracked: u64,
}

impl KeyCounts {
    /// How many have this state in force.
    #[must_use]
    pub const fn of(&self, state: State) -> usize {
        match state {
            State::Closed => self.closed,
            State::Open => self.open,
            State::HalfOpen => self.half_open,
        }
    }
}
