//! The connection of an attempt: the wait for it, and what may stop the call between its permit and its sending.

use std::cell::Cell;
use std::pin::pin;
use std::time::{Duration, Instant};

use super::allowance::Allowance;
use super::attempt::{Again, Attempt, Failed};
use super::recall::Standing;
use super::reply::Refusal;
use crate::failure::Failure;
use crate::resilience::Chance;
use crate::telemetry::{Exchange, HeldBy};
use crate::time::now;
use crate::upstream::{Checkout, Lease, Recall, Unconnected, Wanted};

/// Records the wait for a connection of a call whose caller leaves meanwhile.
struct Leaving<'a> {
    exchange: &'a mut Exchange,
    held: &'a Cell<Duration>,
    since: Instant,
    allowance: Allowance,
    /// How long the upstream must have been waited for.
    chance: Chance,
    left: &'a mut Option<Failure>,
    is_over: bool,
}

impl Attempt<'_, '_> {
    /// Gets a connection for the call, requested at `begin`, and says when it got it.
    pub(super) async fn connect(&mut self, begin: Instant) -> Result<(Lease, Instant), Failed> {
        let route = self.outgoing.route;
        let pool = self.context.connection.worker.pool(route);
        let standing = Standing::of(route, self.call, self.time.is_probe);
        let is_off = |now| standing.is_off(now);
        let held = Cell::default();
        let wanted = Wanted {
            start: begin,
            deadline: self.time.allowance.until,
            chance: self.chance(),
            purpose: self.purpose,
            avoid: self.outgoing.avoid,
            recall: Some(Recall {
                roused: route.limits.roused(),
                is_off: &is_off,
            }),
            held: Some(&held),
        };
        let has_been_out = self.exchange.attempts() > 0;
        let chance = self.chance();
        let leaving = Leaving {
            exchange: &mut *self.exchange,
            held: &held,
            since: begin,
            allowance: self.time.allowance,
            chance: Chance {
                fair: chance.fair.min(route.plan.upstream.connect_timeout / 2),
                ..chance
            },
            left: &mut self.left,
            is_over: false,
        };
        let checkout = {
            let connecting = pin!(pool.checkout(wanted));
            let context = self.context;
            context.unless_called_off(has_been_out, connecting).await
        };
        let end = now();
        let Some(checkout) = checkout else {
            drop(leaving);
            return Err(Failed {
                named: Failure::Draining.into(),
                again: Again::Unseen,
                at: end,
                refusal: Some(Box::new(Refusal::draining(self.exchange))),
            });
        };
        leaving.stays();
        let way = match &checkout {
            Ok(Checkout { way, .. }) | Err(Unconnected { way, .. }) => way,
        };
        let queued = way.queued.unwrap_or_default();
        if way.queued.is_some() {
            route.meters.waited_for_connection(queued);
            self.queued(queued);
        }
        for failure in &way.passed_over {
            self.exchange.attempt_failed(*failure);
        }
        let took = end.saturating_duration_since(begin).saturating_sub(queued);
        self.exchange.waited(took);
        let failed = |named| Failed {
            named,
            again: Again::Unseen,
            at: end,
            refusal: None,
        };
        let may_be_off = match &checkout {
            Ok(Checkout { lease, way }) => {
                way.queued.is_some() || !lease.is_reused() || self.outgoing.was_resent
            }
            Err(Unconnected { failure, .. }) => *failure == Failure::CircuitOpen,
        };
        // Since the call was let pass, the drain may have ended or a breaker opened; then it must not be sent.
        let called_off = match self.context.refuse_when_closing(self.exchange) {
            Err(refusal) => Some((Box::new(refusal), Failure::Draining)),
            Ok(()) if may_be_off && standing.is_off(end) => standing
                .refusal(end)
                .map(|refusal| (refusal, Failure::CircuitOpen)),
            Ok(()) => None,
        };
        if let Some((refusal, failure)) = called_off {
            if let Ok(Checkout { lease, .. }) = checkout {
                lease.keep(end);
            }
            return Err(Failed {
                refusal: Some(refusal),
                ..failed(failure.into())
            });
        }
        match checkout {
            Ok(Checkout { lease, .. }) => {
                let allowance = self.time.allowance;
                let held = self.held();
                let is_over = !queued.is_zero() && allowance.until.has_passed(end);
                let is_in_vain = || route.doubt.exists() && allowance.is_scant(held, end);
                if is_over || !held.is_zero() && is_in_vain() {
                    // The connection came too late: the time went in our queue, not at the upstream.
                    lease.keep(end);
                    return Err(failed(Failure::Overloaded.into()));
                }
                self.exchange.attempting(lease.endpoint().label());
                Ok((lease, end))
            }
            Err(Unconnected {
                failure, endpoint, ..
            }) => {
                if let Some(endpoint) = endpoint {
                    self.exchange.attempting(endpoint.label());
                    self.outgoing.avoid = Some(endpoint.id());
                }
                let allowance = self.time.allowance;
                let named = allowance.judge(failure, (took, end), self.chance());
                self.doubt(named);
                Err(failed(named))
            }
        }
    }

    /// Records the wait for a connection. An attempt's own time begins after it.
    fn queued(&mut self, wait: Duration) {
        self.exchange.held_back(HeldBy::Pool, wait);
        let time = &mut self.time;
        time.queued += wait;
        let plan = &self.outgoing.route.plan;
        let begin = time.begin + time.queued;
        time.allowance = time.total.of_attempt(plan, time.is_probe, begin);
    }
}

impl Leaving<'_> {
    /// The caller has not left: the result of the wait says how long it was.
    fn stays(mut self) {
        self.held.take();
        self.is_over = true;
    }
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let queued = self.held.take();
        self.exchange.held_back(HeldBy::Pool, queued);
        if self.is_over {
            return;
        }
        let now = now();
        if !self.allowance.is_nearly_over_for_caller(now) {
            return;
        }
        let end = now.max(self.allowance.until.instant());
        let took = end.saturating_duration_since(self.since);
        if self.chance.was_given(took.saturating_sub(queued)) {
            *self.left = Some(Failure::ConnectTimeout);
        }
    }
}
