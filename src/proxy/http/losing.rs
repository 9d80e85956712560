//! Attempts that bring nothing: the upstream fails, or the caller leaves.
//!
//! A caller leaves by dropping the call's future. Mostly that proves nothing about the upstream. But a caller that stated a deadline
//! leaves when that is over, and most often before our own timer fires, since it began to count earlier; a gRPC client always does. An
//! upstream that hangs would never be blamed, so such a call ends as if our timer had fired.

use std::time::Instant;

use super::allowance::Named;
use super::attempt::{Answered, Attempt, Lost};
use super::classify::{of_failure, sample};
use super::detail::detail;
use super::ending::settle;
use super::reply::Refusal;
use crate::failure::{Blame, Failure};
use crate::resilience::{Pass, Permit, Verdict};
use crate::snapshot::Route;
use crate::telemetry::Exchange;
use crate::time::now;
use crate::upstream::Lease;

/// Tells breaker and throttle what an attempt proved that brought nothing; gives the answer to the caller.
pub(super) fn give_up(
    attempt: &mut Attempt<'_, '_>,
    (permit, pass): (Permit, Pass),
    lost: Lost,
) -> Refusal {
    let Lost {
        named: Named { told, charged },
        is_unsent: _,
        at,
        refusal,
    } = lost;
    let latency = attempt.latency(at);
    let (exchange, route) = (&mut *attempt.exchange, attempt.outgoing.route);
    if let Some(state) = refusal.as_ref().and_then(|refusal| refusal.state) {
        exchange.breaker_state(state);
    }
    let verdict = prove(exchange, route, charged);
    let throttle = &route.limits.throttle;
    throttle.settle(pass, verdict.outcome, verdict.signal, at);
    if let Some(refusal) = refusal {
        permit.withdraw();
        *refusal
    } else {
        permit.finish_as(sample(verdict, latency), at, || exchange.identity());
        let allowance = attempt.time.allowance;
        Refusal::new(told, detail(told, route, allowance, exchange))
    }
}

/// Records what an attempt proved that failed in that way.
fn prove(exchange: &mut Exchange, route: &Route, charged: Failure) -> Verdict {
    let verdict = of_failure(charged, &route.plan.classify);
    if charged.blame() == Blame::Upstream {
        exchange.attempt_failed(charged);
        settle(exchange, verdict);
    }
    verdict
}

/// An attempt under way.
pub(super) struct Pending<'p, 'a, 'c> {
    attempt: &'p mut Attempt<'a, 'c>,
    permit: &'p mut Permit,
    is_over: bool,
}

impl<'p, 'a, 'c> Pending<'p, 'a, 'c> {
    /// The attempt, which `permit` allows.
    pub(super) fn of(attempt: &'p mut Attempt<'a, 'c>, permit: &'p mut Permit) -> Self {
        Self {
            attempt,
            permit,
            is_over: false,
        }
    }

    /// Makes the attempt.
    ///
    /// # Errors
    /// Why there are no response headers.
    pub(super) async fn made(mut self) -> Result<Answered, Lost> {
        let made = self.attempt.make().await;
        self.is_over = true;
        made
    }
}

impl Drop for Pending<'_, '_, '_> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let (attempt, now) = (&mut *self.attempt, now());
        if !attempt.time.allowance.is_nearly_over_for_caller(now) {
            return;
        }
        let charged = attempt.left.unwrap_or(Failure::CallerDeadline);
        let latency = attempt.latency(now);
        let exchange = &mut *attempt.exchange;
        let verdict = prove(exchange, attempt.outgoing.route, charged);
        let sample = sample(verdict, latency);
        self.permit
            .finish_dropped(sample, now, || exchange.identity());
        exchange.failed(Failure::CallerDeadline);
    }
}

/// A call that waits for the upstream's response headers.
pub(super) struct Out<'o, 'a, 'c> {
    pub(super) attempt: &'o mut Attempt<'a, 'c>,
    pub(super) lease: &'o mut Lease,
    since: Instant,
    is_over: bool,
}

impl<'o, 'a, 'c> Out<'o, 'a, 'c> {
    /// A call that is sent over that connection now.
    pub(super) fn of(
        attempt: &'o mut Attempt<'a, 'c>,
        lease: &'o mut Lease,
        since: Instant,
    ) -> Self {
        Self {
            attempt,
            lease,
            since,
            is_over: false,
        }
    }

    /// The wait is over, and the caller is still there.
    pub(super) fn ends(mut self) {
        self.is_over = true;
    }
}

impl Drop for Out<'_, '_, '_> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let (attempt, since, now) = (&mut *self.attempt, self.since, now());
        let took = now.saturating_duration_since(since);
        attempt.exchange.waited(took);
        let allowance = attempt.time.allowance;
        if !allowance.is_nearly_over_for_caller(now) || attempt.call.upload.is_waiting() {
            return;
        }
        self.lease.timed_out();
        let end = now.max(allowance.until.instant());
        let Named { charged, .. } = attempt.name(Failure::Timeout, (since, end));
        if charged.blame() == Blame::Upstream {
            self.lease.took(took);
        }
        attempt.record(self.lease, charged, (took, now));
        attempt.left = Some(charged);
    }
}
