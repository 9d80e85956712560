//! How many calls of a route may go.

use http::HeaderName;

use crate::resilience::{BulkheadSpec, RateSpec};

/// How many calls of a route may go.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LimitsPlan {
    /// At once.
    pub concurrency: Option<BulkheadSpec>,
    /// Per second; boxed, as most routes have none.
    pub rate: Option<Box<RatePlan>>,
}

/// How many calls may go per second.
#[derive(Clone, Debug, PartialEq)]
pub struct RatePlan {
    /// As it is written.
    pub per_second: f64,
    /// What that means.
    pub spec: RateSpec,
    /// Whose calls are counted together; `None`: all of the route's.
    pub key: Option<RateKey>,
}

/// Whose calls are counted together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RateKey {
    /// Those that have the same value in this header field; those without it are one more.
    Header(HeaderName),
    /// Those of one client's address.
    ClientIp,
}
