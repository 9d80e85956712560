//! A route that is alive: everything that one request needs, found once and then carried.

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
    /// The breakers of its keys, where it has keys.
    pub keyed: Option<Arc<Keyed>>,
    /// Candidates that watch its calls, where it has some.
    pub shadows: Option<Arc<Shadows>>,
    /// How many retries it may make yet, if it makes any.
    pub retry_budget: Option<Arc<RetryBudget>>,
    /// What bounds its calls besides.
    pub limits: Limits,
    /// Whether a call with little time left is worth sending to it.
    pub doubt: Doubt,
    /// Its connections.
    pub upstream: Arc<Upstream>,
    /// Its answers kept for a bad day, if it keeps any.
    pub stale: Option<Arc<Store>>,
    /// Its active probe, if it has one.
    pub probe: Option<Arc<Probe>>,
    /// Its counters.
    pub meters: Arc<RouteMeters>,
    /// `host:port` of the upstream, for log lines.
    pub upstream_label: Arc<str>,
    /// Scheme and authority of the upstream, for HTTP/2.
    pub origin: (Scheme, Authority),
    /// Header changes on the way up, secrets read.
    pub request_headers: Edits,
    /// Header changes on the way back, secrets read.
    pub response_headers: Edits,
}

impl Route {
    /// Asks everybody who has a say for the right to make one call; candidates have none and watch.
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

    /// Asks everybody who has a say whether a call would be admitted, without taking anything for it.
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
    /// Whether that is so of a breaker that a call has to pass: the one of its key, if there is one yet, or the route's own.
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
    /// Taken away first.
    pub remove: Box<[HeaderName]>,
    /// Then set, replacing what was there.
    pub set: Box<[(HeaderName, HeaderValue)]>,
}
