//! How long an attempt may take, and who says so: route, attempt, probe or caller.

use std::time::{Duration, Instant};

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

use super::call::Call;
use crate::config::plan::RoutePlan;
use crate::failure::Failure;
use crate::resilience::Permit;
use crate::time::Deadline;
use crate::wire;

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const X_REQUEST_TIMEOUT: HeaderName = HeaderName::from_static("x-request-timeout");

/// Until when something may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    pub(super) until: Deadline,
    owner: Owner,
    /// How long that is, counted from where its owner counts.
    pub(super) span: Duration,
}

/// Whose limit it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Route,
    Attempt,
    Probe,
    Caller,
}

impl Allowance {
    /// That of a whole call on a route. A caller's own deadline shortens it and never lengthens it.
    pub(super) fn of_call(call: &Call, plan: &RoutePlan) -> Self {
        let own = Self::new(Owner::Route, call.begin, plan.timeout);
        match &call.patience {
            Some(patience) => own.or_sooner(Self {
                until: patience.until,
                owner: Owner::Caller,
                span: patience.until.remaining(call.begin),
            }),
            None => own,
        }
    }

    /// That of one attempt that begins at `begin`: its own, or what is left of the call's.
    pub(super) fn of_attempt(self, plan: &RoutePlan, permit: &Permit, begin: Instant) -> Self {
        let mut allowance = self;
        if let Some(timeout) = plan.attempt_timeout {
            allowance = allowance.or_sooner(Self::new(Owner::Attempt, begin, timeout));
        }
        if let Some(timeout) = plan.breaker.keys().probe_timeout
            && permit.is_probe()
        {
            allowance = allowance.or_sooner(Self::new(Owner::Probe, begin, timeout));
        }
        allowance
    }

    /// Names an attempt's end rightly: that a caller gave the upstream less time than its route does proves nothing about the upstream.
    pub(super) fn judge(self, failure: Failure, now: Instant) -> Failure {
        let is_late = matches!(failure, Failure::Timeout | Failure::ConnectTimeout);
        if is_late && self.is_over_for_caller(now) {
            Failure::CallerDeadline
        } else {
            failure
        }
    }

    /// Whether nobody waits for the answer any more.
    pub(super) fn is_over_for_caller(self, now: Instant) -> bool {
        self.owner == Owner::Caller && self.until.has_passed(now)
    }

    fn new(owner: Owner, begin: Instant, span: Duration) -> Self {
        Self {
            until: Deadline::after(begin, span),
            owner,
            span,
        }
    }

    fn or_sooner(self, other: Self) -> Self {
        if other.until < self.until {
            other
        } else {
            self
        }
    }
}

/// Until when a caller will wait, as its request says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    until: Deadline,
    grpc: Option<Deadline>,
    plain: Option<Deadline>,
}

impl Patience {
    /// What a request that was accepted at `begin` says; `None` when it says nothing that can be understood.
    pub(super) fn of(headers: &HeaderMap, begin: Instant) -> Option<Self> {
        let read = |name, read: fn(&[u8]) -> Option<Duration>| {
            let timeout = read(headers.get(name)?.as_bytes())?;
            Some(Deadline::after(begin, timeout))
        };
        let grpc = read(GRPC_TIMEOUT, wire::grpc_timeout);
        let plain = read(X_REQUEST_TIMEOUT, wire::request_timeout);
        let until = match (grpc, plain) {
            (Some(grpc), Some(plain)) => grpc.min(plain),
            (one, other) => one.or(other)?,
        };
        Some(Self { until, grpc, plain })
    }

    /// Tells the upstream what is left of it. Not of our own limits: those end at the response headers, and a stream lives longer.
    pub(super) fn tell(&self, headers: &mut HeaderMap, now: Instant) {
        let mut tell = |name, until: Option<Deadline>, write: fn(Duration) -> String| {
            let left = until.map(|until| write(until.remaining(now)));
            if let Some(value) = left.and_then(|left| HeaderValue::try_from(left).ok()) {
                headers.insert(name, value);
            }
        };
        tell(GRPC_TIMEOUT, self.grpc, wire::write_grpc_timeout);
        tell(X_REQUEST_TIMEOUT, self.plain, wire::write_request_timeout);
    }
}
