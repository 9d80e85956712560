//! The plan of `probe:`.

use std::ops::RangeInclusive;
use std::time::Duration;

use http::uri::PathAndQuery;

/// An active probe: a GET that is made whatever callers do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbePlan {
    /// Its target, the upstream's base path included.
    pub path: PathAndQuery,
    /// The time from one to the next.
    pub every: Duration,
    /// From its beginning to the end of its answer.
    pub timeout: Duration,
    /// The statuses that are good, as ranges.
    pub expect: Vec<RangeInclusive<u16>>,
}

impl ProbePlan {
    /// Whether that status is an expected one.
    #[must_use]
    pub fn expects(&self, status: u16) -> bool {
        self.expect.iter().any(|range| range.contains(&status))
    }
}
