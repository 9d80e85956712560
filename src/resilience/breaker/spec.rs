//! What a breaker is asked to do, checked once so that no breaker has to doubt it.

use std::time::Duration;

use crate::resilience::ratio::Ratio;

/// What the breaker remembers for its ratio rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowSpec {
    /// The calls of the last so long, in ten buckets that expire by themselves.
    Time(Duration),
    /// The last so many calls.
    Calls(u32),
}

/// How `reset_timeout` grows with each reopening in a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ResetBackoff {
    /// Multiplies the timeout for each reopening in a row; 1 or more.
    pub factor: f64,
    /// The longest it may become (jitter included).
    pub max: Duration,
    /// Spreads the timeout up to this share *above* its value, so that a fleet does not probe in step.
    pub jitter: Ratio,
}

/// What a breaker does with its decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enforcement {
    /// Rejects while open.
    Enforce,
    /// Decides and reports, never rejects.
    Shadow,
    /// Does nothing.
    Off,
}

/// The keys of a breaker as they are written; [`BreakerSpec::try_new`] checks them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BreakerKeys {
    /// What the breaker does with its decision.
    pub enforcement: Enforcement,
    /// Opens after so many failures in a row; 0 turns the rule off.
    pub failure_threshold: u32,
    /// Opens when that share of the window's calls failed.
    pub failure_ratio: Option<Ratio>,
    /// Opens when that share of the window's calls was slow.
    pub slow_ratio: Option<Ratio>,
    /// From when on a call is slow (time to the response headers).
    pub slow_after: Option<Duration>,
    /// What the ratio rules look at.
    pub window: WindowSpec,
    /// The ratio rules wait for so many calls in the window.
    pub min_calls: u32,
    /// So many successful probes close a half-open breaker.
    pub success_threshold: u32,
    /// So many probes may be out at once.
    pub half_open_max: u32,
    /// How long one probe may take; `None` leaves it to the route's timeout.
    pub probe_timeout: Option<Duration>,
    /// Without a verdict so long after the first probe was admitted the breaker reopens.
    pub half_open_timeout: Duration,
    /// How long the breaker stays open before it probes.
    pub reset_timeout: Duration,
    /// How that grows.
    pub reset_backoff: ResetBackoff,
}
