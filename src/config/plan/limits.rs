//! The plan of `limits:`.

use http::HeaderName;

use crate::resilience::{BulkheadSpec, RateSpec};

/// The limits on a route's calls.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LimitsPlan {
    /// At once.
    pub concurrency: Option<BulkheadSpec>,
    /// Per second; boxed, as most routes have none.
    pub rate: Option<Box<RatePlan>>,
}

/// A rate limit.
#[derive(Clone, Debug, PartialEq)]
pub struct RatePlan {
    /// As it is written.
    pub per_second: f64,
    /// The checked rate and burst.
    pub spec: RateSpec,
    /// The calls that are counted together; `None` for all of the route's.
    pub key: Option<RateKey>,
}

/// The calls that are counted together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RateKey {
    /// Those that have the same value in this header field; those without it are one more.
    Header(HeaderName),
    /// Those of one client's address.
    ClientIp,
}
