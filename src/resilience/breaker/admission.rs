//! The two answers to a call: an admission, or a refusal.

use std::time::Instant;

use crate::resilience::breaker::state::State;

/// The right to make one call, as [`Machine::admit`](super::Machine::admit) gives it and [`Machine::record`](super::Machine::record) or [`Machine::release`](super::Machine::release) takes it back, once.
#[derive(Debug, PartialEq, Eq)]
pub struct Admission {
    pub(super) generation: u64,
    pub(super) role: Role,
}

/// What the result of an admitted call may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Counts towards opening.
    Call,
    /// Decides a half-open breaker.
    Probe,
    /// Decides nothing: the call passed although the automatic state would have rejected it.
    Bystander,
}

/// Why a call was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusalKind {
    /// The breaker is open.
    CircuitOpen,
    /// It is half-open and all its probes are out.
    HalfOpenFull,
    /// An operator holds it open.
    ForcedOpen,
    /// It has closed and lets only a share of the calls pass yet.
    Ramping,
}

/// A call was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.kind.phrase())]
pub struct Refusal {
    /// Why.
    pub kind: RefusalKind,
    /// The state in force.
    pub state: State,
    /// When a call may pass again; `None` if that is unknown. It equals the view's `next_probe_at`, or the end of the hold if
    /// no probe follows that. While ramping it is `full_at`: before that only a share of the calls passes, and all refused
    /// callers would come back at once.
    pub retry_at: Option<Instant>,
}

impl Admission {
    /// Whether its result decides a half-open breaker.
    #[must_use]
    pub fn is_probe(&self) -> bool {
        self.role == Role::Probe
    }

    /// The admission of an ordinary call.
    pub(super) const fn of_call(generation: u64) -> Self {
        Self {
            generation,
            role: Role::Call,
        }
    }
}

impl RefusalKind {
    /// Fixed words for it.
    #[must_use]
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::CircuitOpen => "the breaker is open",
            Self::HalfOpenFull => "the breaker is half-open and all its probes are out",
            Self::ForcedOpen => "an operator holds the breaker open",
            Self::Ramping => "the breaker has closed and lets only a share of the calls pass yet",
        }
    }
}
