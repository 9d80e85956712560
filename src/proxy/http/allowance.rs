//! How long an attempt may take, and which limit decides: the route's, the attempt's, the probe's or the caller's.

use std::time::{Duration, Instant};

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

use super::call::Call;
use crate::config::plan::RoutePlan;
use crate::failure::Failure;
use crate::resilience::Chance;
use crate::time::Deadline;
use crate::wire;

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const X_REQUEST_TIMEOUT: HeaderName = HeaderName::from_static("x-request-timeout");

/// A time limit and its owner.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    pub(super) until: Deadline,
    owner: Owner,
    /// The length of the limit, counted from where its owner counts.
    pub(super) span: Duration,
    /// The time after which the upstream's silence counts as its failure in any case.
    fair: Duration,
}

/// Whose limit it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Route,
    Attempt,
    Probe,
    Caller,
}

/// The failure of an attempt that ran out of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Named {
    /// What the caller is told.
    pub(super) told: Failure,
    /// What breaker, endpoint and metrics record.
    pub(super) charged: Failure,
}

impl From<Failure> for Named {
    /// The same for all.
    fn from(failure: Failure) -> Self {
        Self {
            told: failure,
            charged: failure,
        }
    }
}

impl Allowance {
    /// The allowance of a whole call on a route. A caller's own deadline shortens it and never lengthens it.
    pub(super) fn of_call(call: &Call, plan: &RoutePlan) -> Self {
        let own = Self {
            until: Deadline::after(call.begin, plan.timeout),
            owner: Owner::Route,
            span: plan.timeout,
            fair: plan.timeout / 2,
        };
        match &call.patience {
            Some(patience) if patience.until < own.until => Self {
                until: patience.until,
                owner: Owner::Caller,
                span: patience.until.remaining(call.begin),
                ..own
            },
            Some(_) | None => own,
        }
    }

    /// The allowance of one attempt that begins at `begin`: its own, or what is left of the call's.
    ///
    /// The upstream's silence counts as its failure after half of what the route gives an attempt. If the caller gives less, it
    /// counts after `slow_after` if the route has one: by the operator's own word that is too long.
    pub(super) fn of_attempt(self, plan: &RoutePlan, is_probe: bool, begin: Instant) -> Self {
        let keys = plan.breaker.keys();
        let probe_timeout = keys.probe_timeout.filter(|_| is_probe);
        let mut allowance = self;
        for (owner, span) in [
            (Owner::Attempt, plan.attempt_timeout),
            (Owner::Probe, probe_timeout),
        ] {
            let Some(span) = span else { continue };
            allowance.fair = allowance.fair.min(span / 2);
            let until = Deadline::after(begin, span);
            if until < allowance.until {
                allowance = Self {
                    until,
                    owner,
                    span,
                    ..allowance
                };
            }
        }
        if let (Owner::Caller, Some(slow)) = (allowance.owner, keys.slow_after) {
            allowance.fair = slow;
        }
        allowance
    }

    /// How much time the upstream must have of it if the call waited for `held` before.
    pub(super) fn chance(self, held: Duration) -> Chance {
        let held = match self.owner {
            Owner::Caller => Duration::MAX,
            Owner::Route => held,
            // An attempt's own time begins after all waits, so they take nothing of it.
            Owner::Attempt | Owner::Probe => Duration::ZERO,
        };
        Chance {
            fair: self.fair,
            held,
        }
    }

    /// Whether so little is left at `now`, after the call waited for `held`, that a timeout would prove nothing about the
    /// upstream.
    pub(super) fn is_scant(self, held: Duration, now: Instant) -> bool {
        !self.chance(held).was_given(self.until.remaining(now))
    }

    /// Whether the caller's own deadline leaves so little at `now`.
    pub(super) fn is_hurried(self, now: Instant) -> bool {
        self.owner == Owner::Caller && self.is_scant(Duration::ZERO, now)
    }

    /// The last moment at which a call can be sent and still leave the upstream its fair time.
    pub(super) fn fair_until(self, now: Instant) -> Deadline {
        Deadline::after(now, self.until.remaining(now).saturating_sub(self.fair))
    }

    /// Decides what a failure is called if the upstream had the call for `had` until `now`.
    pub(super) fn judge(
        self,
        failure: Failure,
        (had, now): (Duration, Instant),
        chance: Chance,
    ) -> Named {
        let charged = if failure == Failure::Timeout && !chance.was_given(had) {
            Failure::CutShort
        } else {
            failure
        };
        let is_late = matches!(
            charged,
            Failure::Timeout | Failure::ConnectTimeout | Failure::CutShort
        );
        if !(is_late && self.is_over_for_caller(now)) {
            return charged.into();
        }
        Named {
            told: Failure::CallerDeadline,
            // The caller gave it less time than the route does, which proves nothing.
            charged: if charged == Failure::CutShort {
                Failure::CallerDeadline
            } else {
                charged
            },
        }
    }

    /// Whether a caller that leaves at `now` does so because its own deadline is over. Clients tell a deadline rounded up: gRPC's C core
    /// by as much as a hundredth of it. And they count from before they send the request.
    pub(super) fn is_nearly_over_for_caller(self, now: Instant) -> bool {
        const UNDER_WAY: Duration = Duration::from_millis(10);
        let early = (self.span / 50).max(UNDER_WAY);
        self.owner == Owner::Caller && self.until.remaining(now) <= early
    }

    /// Whether the caller's own deadline is over, so that it no longer waits for the answer.
    pub(super) fn is_over_for_caller(self, now: Instant) -> bool {
        self.owner == Owner::Caller && self.until.has_passed(now)
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
            // Of several fields the shortest: a hop before us may have added its own to its caller's.
            let told = headers.get_all(name).iter();
            let timeout = told.filter_map(|value| read(value.as_bytes())).min()?;
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

    /// Tells the upstream what is left of the caller's deadline. Our own limits are not told: they end at the response headers,
    /// and a stream lives longer.
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
