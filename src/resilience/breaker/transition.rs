//! A change of what a breaker does, with the evidence for it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::resilience::breaker::exemplar::Exemplar;
use crate::resilience::breaker::force::Author;
use crate::resilience::breaker::labels::LabelCount;
use crate::resilience::breaker::state::{Standing, State};
use crate::resilience::breaker::window::WindowCounts;
use crate::resilience::ratio::Ratio;

/// Why a breaker changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Enough failures in a row.
    ConsecutiveFailures,
    /// Too large a share of the window failed.
    FailureRatio,
    /// Too large a share of the window was slow.
    SlowRatio,
    /// A probe failed.
    ProbeFailed,
    /// Enough probes succeeded.
    ProbesSucceeded,
    /// It was open for its reset timeout.
    ResetTimeout,
    /// A probe was out for the half-open timeout without a verdict.
    HalfOpenTimeout,
    /// An operator's order, or the end of a hold.
    Forced,
    /// A reload changed the enforcement.
    Config,
}

/// A value that was observed, or the threshold it met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Nothing was measured: an order.
    Nothing,
    /// A number of calls.
    Count(u32),
    /// A share, rounded down.
    Share(Ratio),
    /// A time.
    Time(Duration),
}

/// What led to a transition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// What was observed.
    pub observed: Measure,
    /// The threshold that it met.
    pub threshold: Measure,
    /// What the window held.
    pub window: WindowCounts,
    /// The failures that led to it by label, most frequent first: those of the run for `consecutive_failures`, those of the window
    /// for the ratios, the one of the probe for `probe_failed`; at most 16.
    pub labels: Vec<LabelCount>,
    /// The latest calls among them (for `slow_ratio` the latest slow ones), oldest first; at most 5.
    pub exemplars: Vec<Arc<Exemplar>>,
}

/// A change of what a breaker does. `before` and `after` always differ, and `after` is the next one's `before`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// How it stood.
    pub before: Standing,
    /// How it stands.
    pub after: Standing,
    /// When it happened. For a change by time alone, the instant it was due, however late it was noticed.
    pub at: Instant,
    /// Why.
    pub cause: Cause,
    /// What led to it.
    pub evidence: Evidence,
    /// Who forced it.
    pub author: Option<Author>,
}

impl Cause {
    /// All of them, in the order of declaration.
    pub const ALL: [Self; 9] = [
        Self::ConsecutiveFailures,
        Self::FailureRatio,
        Self::SlowRatio,
        Self::ProbeFailed,
        Self::ProbesSucceeded,
        Self::ResetTimeout,
        Self::HalfOpenTimeout,
        Self::Forced,
        Self::Config,
    ];

    /// The word for it in logs, metrics and JSON.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::ConsecutiveFailures => "consecutive_failures",
            Self::FailureRatio => "failure_ratio",
            Self::SlowRatio => "slow_ratio",
            Self::ProbeFailed => "probe_failed",
            Self::ProbesSucceeded => "probes_succeeded",
            Self::ResetTimeout => "reset_timeout",
            Self::HalfOpenTimeout => "half_open_timeout",
            Self::Forced => "forced",
            Self::Config => "config",
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("-"),
            Self::Count(count) => write!(f, "{count}"),
            Self::Share(ratio) => write!(f, "{ratio}"),
            Self::Time(time) => write!(f, "{time:?}"),
        }
    }
}

impl Evidence {
    /// The evidence of a time that is over.
    pub(super) const fn waited(time: Duration, window: WindowCounts) -> Self {
        let time = Measure::Time(time);
        Self {
            observed: time,
            threshold: time,
            window,
            labels: Vec::new(),
            exemplars: Vec::new(),
        }
    }

    /// No evidence but the window: orders and reloads need none.
    pub(super) const fn none(window: WindowCounts) -> Self {
        Self {
            observed: Measure::Nothing,
            threshold: Measure::Nothing,
            window,
            labels: Vec::new(),
            exemplars: Vec::new(),
        }
    }
}

impl Transition {
    /// The state in force before.
    #[must_use]
    pub const fn from(&self) -> State {
        self.before.state()
    }

    /// The state in force after. Equal to [`Transition::from`] when the change happened underneath a hold, or was one of mode or
    /// enforcement only.
    #[must_use]
    pub const fn to(&self) -> State {
        self.after.state()
    }

    /// Whether the state in force changed: what the log calls opened, closed or half-opened.
    #[must_use]
    pub fn changes_state(&self) -> bool {
        self.from() != self.to()
    }
}
