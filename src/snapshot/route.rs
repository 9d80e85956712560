//! A live route: everything that one request needs, found once and then carried along.

use std::sync::Arc;
use std::time::Instant;

use http::header::{HeaderName, HeaderValue};
use http::uri::{Authority, Scheme};

use crate::config::plan::RoutePlan;
use crate::resilience::{Breaker, Doubt, Key, Keyed, Permit, Rejection, RetryBudget, Shadows};
use crate::snapshot::limits::Limits;
use crate::stale::Store;
use crate::telemetry::RouteMeters;
use crate::upstream::{Probe, Upstream};

/// A named destination with its policies and its live objects.
#[derive(Debug)]
pub struct Route {
    /// Its name.
    pub name: Arc<str>,
    /// What it was made from.
    pub plan: Arc<RoutePlan>,
    /// Its breaker.
    pub breaker: Arc<Breaker>,
    /// The breakers of its keys, if it has keys.
    pub keyed: Option<Arc<Keyed>>,
    /// Candidates that watch its calls, if it has some.
    pub shadows: Option<Arc<Shadows>>,
    /// How many retries it may make yet, if it makes any.
    pub retry_budget: Option<Arc<RetryBudget>>,
    /// Its limits besides the breaker.
    pub limits: Limits,
    /// Whether a call with too little time was cut short, so that no other such call is sent.
    pub doubt: Doubt,
    /// Its connections.
    pub upstream: Arc<Upstream>,
    /// Its answers kept for an outage, if it keeps any.
    pub stale: Option<Arc<Store>>,
    /// Its active probe, if it has one.
    pub probe: Option<Arc<Probe>>,
    /// Its counters.
    pub meters: Arc<RouteMeters>,
    /// `host:port` of the upstream, for log lines.
    pub upstream_label: Arc<str>,
    /// Scheme and authority of the upstream, for HTTP/2.
    pub origin: (Scheme, Authority),
    /// Changes of request headers, with secrets read.
    pub request_headers: Edits,
    /// Changes of response headers, with secrets read.
    pub response_headers: Edits,
}

impl Route {
    /// Asks the route's breaker and its key's for a permit; candidates only watch.
    ///
    /// # Errors
    /// Which breaker rejects it.
    pub fn admit(&self, key: Option<Key>, now: Instant) -> Result<Permit, Rejection> {
        let permit = match (&self.keyed, key) {
            (Some(keyed), Some(key)) => keyed.admit(&self.breaker, key, now)?,
            (Some(_) | None, _) => self.breaker.admit(now)?,
        };
        Ok(match &self.shadows {
            Some(shadows) => shadows.watch(permit, now),
            None => permit,
        })
    }

    /// Asks the route's breaker and its key's whether a call would be admitted, without taking a permit.
    ///
    /// # Errors
    /// Which breaker rejects it; that is counted as any other rejection.
    pub fn check(&self, key: Option<Key>, now: Instant) -> Result<(), Rejection> {
        match (&self.keyed, key) {
            (Some(keyed), Some(key)) => keyed.check(&self.breaker, key, now),
            (Some(_) | None, _) => Ok(self.breaker.check(now)?),
        }
    }
}

impl Route {
    /// Whether `is_so` holds for a breaker that a call has to pass: the one of its key, if that exists, or the route's own.
    pub fn any_breaker(&self, key: Option<Key>, is_so: impl Fn(&Breaker) -> bool) -> bool {
        let child = self.keyed.as_ref().zip(key);
        let child = child.and_then(|(keyed, key)| keyed.get(key));
        child.is_some_and(|child| is_so(&child)) || is_so(&self.breaker)
    }

    /// Ends the holds of its breakers whose time has come by `now`.
    pub fn end_holds(&self, now: Instant) {
        self.breaker.end_hold(now);
        if let Some(keyed) = &self.keyed {
            keyed.end_holds(now);
        }
    }
}

/// Changes to a header section with their values read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// Removed first.
    pub remove: Box<[HeaderName]>,
    /// Then set, replacing what was there.
    pub set: Box<[(HeaderName, HeaderValue)]>,
}
