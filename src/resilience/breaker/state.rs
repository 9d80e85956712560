//! The standing of a breaker: its automatic state, the mode beside it, and which of them is in force.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::resilience::breaker::spec::Enforcement;

/// The state of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Calls pass and are watched.
    Closed,
    /// Calls are rejected until the reset time has passed.
    Open,
    /// A few calls pass as probes.
    HalfOpen,
}

/// Who decides: an axis beside the state, not more states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The automatic state.
    Auto,
    /// An operator holds it open: nothing passes.
    ForcedOpen,
    /// An operator holds it closed: everything passes.
    ForcedClosed,
}

/// Everything that decides what happens to the next call; a [`Transition`](super::Transition) is a change of this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct Standing {
    /// The state that the outcomes lead to, hold or no hold.
    pub automatic: State,
    /// Who decides.
    pub mode: Mode,
    /// What is done with the automatic decision.
    pub enforcement: Enforcement,
}

/// The automatic state with what belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Closed,
    Open {
        until: Instant,
    },
    HalfOpen {
        out: u32,
        succeeded: u32,
        /// The wait for a verdict: it begins with the first probe since the last verdict, however many end without one
        /// meanwhile.
        verdict: Option<Wait>,
        /// Another probe was admitted meanwhile.
        is_tried_again: bool,
    },
}

/// A wait with both its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    pub(super) since: Instant,
    pub(super) until: Instant,
}

impl State {
    /// All of them, in the order of declaration.
    pub const ALL: [Self; 3] = [Self::Closed, Self::Open, Self::HalfOpen];

    /// The word for it in logs, metrics and JSON.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

impl Mode {
    /// The word for it in logs, metrics and JSON.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::ForcedOpen => "forced_open",
            Self::ForcedClosed => "forced_closed",
        }
    }
}

impl Standing {
    /// The state in force: the held one under a hold, else the automatic one. Gauge, admin view and log line all show this.
    #[must_use]
    pub const fn state(self) -> State {
        match self.mode {
            Mode::Auto => self.automatic,
            Mode::ForcedOpen => State::Open,
            Mode::ForcedClosed => State::Closed,
        }
    }

    /// Whether calls that the automatic state would reject pass all the same: shadow, off, or held closed.
    #[must_use]
    pub const fn lets_all_pass(self) -> bool {
        match (self.mode, self.enforcement) {
            (Mode::ForcedOpen, _) | (Mode::Auto, Enforcement::Enforce) => false,
            (Mode::ForcedClosed, _) | (Mode::Auto, Enforcement::Shadow | Enforcement::Off) => true,
        }
    }
}

impl Phase {
    /// The state without what belongs to it.
    pub(super) const fn state(self) -> State {
        match self {
            Self::Closed => State::Closed,
            Self::Open { .. } => State::Open,
            Self::HalfOpen { .. } => State::HalfOpen,
        }
    }
}
