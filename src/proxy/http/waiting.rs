//! What holds a call back before it goes: the route's rate, its bulkhead, the pause that its upstream asked for.
//!
//! The breaker goes first: while it is open it refuses at once, whatever else is full. A call does not keep its place under the
//! bulkhead while it waits out a pause.
//!
//! A wait here is for our own limits or for the upstream's wish: it is not the upstream's latency, and running out of time here
//! is not its failure.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::allowance::Allowance;
use super::bounds::refuse_outside;
use super::call::Call;
use super::carry::{Answer, Context, refusal};
use super::detail::over_for_caller;
use super::key::text_of;
use super::reply::Refusal;
use crate::config::plan::RateKey;
use crate::failure::Failure;
use crate::resilience::{Bulkhead, Halt, Key, Pass, Ticket, Wake};
use crate::snapshot::limits::Rate;
use crate::snapshot::{Route, Way};
use crate::telemetry::names::LimitLabel;
use crate::telemetry::{Exchange, HeldBy};
use crate::time::{Deadline, now, timeout_at};

/// A call that may be held back.
pub(super) struct Held<'c> {
    context: &'c Context<'c>,
    route: &'c Route,
    /// When the call must be over.
    deadline: Deadline,
    /// The place under the route's concurrency limit, once it has one.
    ticket: Option<Ticket>,
    has_waited: bool,
    /// Whether it is a retry, which includes waiting for the moment that the upstream named.
    is_retry: bool,
    /// Whether it was admitted before and gave its place back, so that the queue has room for it.
    returns: bool,
}

/// Wakes one call that waits.
#[derive(Default)]
struct Bell(Arc<Notify>);

impl Bell {
    fn wake(&self) -> Wake {
        let bell = Arc::clone(&self.0);
        // `Notify` keeps one wake-up for a call that does not wait yet.
        Arc::new(move || bell.notify_one())
    }

    /// Waits for the wake-up, or until the deadline.
    async fn wait(&self, until: Deadline) {
        let _ = timeout_at(until, self.0.notified()).await;
    }
}

impl<'c> Held<'c> {
    /// Takes the call to its route: finds its key and its time, and admits it. If the route has limits, breaker and throttle are asked,
    /// then the rate.
    ///
    /// # Errors
    /// `bad_request` where requests are read strictly; `caller_deadline`; the breaker's refusal or `throttled`, which use up nothing; or
    /// `rate_limited`.
    pub(super) fn enter(
        context: &'c Context<'c>,
        exchange: &mut Exchange,
        call: &mut Call,
        way: &Way,
    ) -> Result<(Self, Allowance), Refusal> {
        let snapshot = &context.current.snapshot;
        let route = &*snapshot.routes[way.route];
        exchange.routed(&route.meters, way.strip);
        if snapshot.plan.http.strict {
            refuse_outside(call, &route.plan, way)?;
        }
        call.find_key(route, way);
        exchange.keyed(call.key);
        let total = Allowance::of_call(call, &route.plan);
        if total.is_over_for_caller(call.free) {
            return Err(over_for_caller(route, total, exchange));
        }
        let held = Self {
            context,
            route,
            deadline: total.until,
            ticket: None,
            has_waited: false,
            is_retry: false,
            returns: false,
        };
        held.admit(call)?;
        Ok((held, total))
    }

    fn admit(&self, call: &Call) -> Result<(), Refusal> {
        let (limits, at) = (&self.route.limits, call.free);
        if limits.rate.is_some() || limits.bulkhead.is_some() {
            refuse_if_open(self.route, call.key, at)?;
        }
        if let Some(rate) = &limits.rate {
            if let Err(halt) = limits.throttle.look(call.key, at)
                && self.patience(halt, at).is_none()
            {
                return Err(throttled(self.route, call.key, (halt, at)));
            }
            let key = rate_key(self.route, call, self.context);
            rate.limit
                .admit(key, at)
                .map_err(|at| over_rate(rate, at))?;
        }
        Ok(())
    }

    /// Gets the right to call the upstream: the throttle's pass and a place under the bulkhead. `key` is the call's, if the
    /// route has keys.
    ///
    /// # Errors
    /// `overloaded` or `throttled`; or the breaker's refusal, without a wait for the other two.
    pub(super) async fn pass(
        &mut self,
        exchange: &mut Exchange,
        key: Option<Key>,
        mut at: Instant,
    ) -> Result<Pass, Refusal> {
        loop {
            let pass = match self.route.limits.throttle.admit(key, at) {
                Ok(pass) => pass,
                Err(halt) => self.wait_out(exchange, key, (halt, at)).await?,
            };
            let has_queued = self.take_place(exchange, key).await?;
            // A pause that began while it queued does not stop the call that tests whether the pause is over.
            if pass.decides() || !has_queued {
                return Ok(pass);
            }
            at = self.now(at);
        }
    }

    /// Moves the place under the bulkhead to the answer, so that it lives as long as the exchange.
    pub(super) fn hand_over(self, mut answer: Answer) -> Answer {
        answer.upstream.kept.ticket = self.into_ticket();
        answer
    }

    /// The place under the bulkhead, to be kept by what goes on.
    pub(super) fn into_ticket(self) -> Option<Ticket> {
        self.ticket
    }

    /// Gets a place under the bulkhead, where there is one; says whether the call had to queue for it.
    async fn take_place(
        &mut self,
        exchange: &mut Exchange,
        key: Option<Key>,
    ) -> Result<bool, Refusal> {
        let Some(bulkhead) = &self.route.limits.bulkhead else {
            return Ok(false);
        };
        if self.ticket.is_some() {
            return Ok(false);
        }
        if let Ok(ticket) = bulkhead.enter() {
            self.ticket = Some(ticket);
            return Ok(false);
        }
        let bell = Bell::default();
        let place = if self.returns {
            Some(bulkhead.rejoin(bell.wake()))
        } else {
            bulkhead.join(bell.wake())
        };
        let Some(place) = place else {
            return Err(overloaded(bulkhead));
        };
        let begin = now();
        exchange.holding(HeldBy::Concurrency, begin);
        let until = Deadline::after(begin, bulkhead.spec().queue_timeout).min(self.deadline);
        let result = loop {
            let now = now();
            match place.ask() {
                // Its turn came after its deadline.
                Ok(_) if self.deadline.has_passed(now) => break Err(overloaded(bulkhead)),
                Ok(ticket) => break Ok(ticket),
                Err(_) => {
                    if let Err(refusal) = refuse_if_open(self.route, key, now) {
                        break Err(refusal);
                    }
                    if until.has_passed(now) {
                        break Err(overloaded(bulkhead));
                    }
                    bell.wait(until).await;
                }
            }
        };
        self.waited(exchange, LimitLabel::Concurrency);
        self.ticket = Some(result?);
        Ok(true)
    }

    /// Waits out a pause, met at that instant, in the throttle's line and without a place under the bulkhead.
    async fn wait_out(
        &mut self,
        exchange: &mut Exchange,
        key: Option<Key>,
        (halt, at): (Halt, Instant),
    ) -> Result<Pass, Refusal> {
        let route = self.route;
        let throttle = &route.limits.throttle;
        refuse_if_open(route, key, at)?;
        let Some(until) = self.patience(halt, at) else {
            return Err(throttled(route, key, (halt, at)));
        };
        let bell = Bell::default();
        let Some(place) = throttle.join(key, bell.wake()) else {
            return Err(throttled(route, key, (halt, at)));
        };
        self.stand_aside();
        exchange.holding(HeldBy::Throttle, at);
        let result = loop {
            let now = now();
            match place.ask(now) {
                Ok(pass) if self.deadline.has_passed(now) => {
                    drop(pass);
                    break Err(throttled(route, key, (halt, now)));
                }
                Ok(pass) => break Ok(pass),
                Err(halt) => {
                    if let Err(refusal) = refuse_if_open(route, key, now) {
                        break Err(refusal);
                    }
                    if is_too_late(halt, until) || until.has_passed(now) {
                        break Err(throttled(route, key, (halt, now)));
                    }
                    let next = if halt.is_releasing {
                        until
                    } else {
                        Deadline::after(halt.retry_at, Duration::ZERO).min(until)
                    };
                    bell.wait(next).await;
                }
            }
        };
        self.waited(exchange, LimitLabel::Throttle);
        result
    }

    /// Gives the place under the bulkhead back during the wait for another attempt.
    pub(super) fn backs_off(&mut self) {
        self.is_retry = true;
        self.stand_aside();
    }

    /// Gives its place under the bulkhead back, if it has one, and keeps its right to queue for one again.
    fn stand_aside(&mut self) {
        self.ticket = None;
        self.returns = true;
    }

    /// How long a call that meets a pause at `at` waits for its end; `None` for a call whose time would not suffice: it is
    /// refused at once.
    fn patience(&self, halt: Halt, at: Instant) -> Option<Deadline> {
        let Route { plan, limits, .. } = self.route;
        let wait = limits.throttle.spec().map(|spec| spec.wait);
        let retry = plan.retry.as_ref().filter(|_| self.is_retry);
        let wait = wait.max(retry.map(|retry| retry.max_retry_after));
        let until = Deadline::after(at, wait.unwrap_or_default()).min(self.deadline);
        let is_in_vain = until.has_passed(at) || is_too_late(halt, until);
        (!is_in_vain).then_some(until)
    }

    /// The time now for a call that began at `begin`; reads no clock if the call has not waited.
    pub(super) fn now(&self, begin: Instant) -> Instant {
        if self.has_waited {
            begin.max(now())
        } else {
            begin
        }
    }

    fn waited(&mut self, exchange: &mut Exchange, limit: LimitLabel) {
        let wait = exchange.let_go(now());
        self.route.meters.waited_for_limit(limit, wait);
        self.has_waited = true;
    }
}

fn is_too_late(halt: Halt, until: Deadline) -> bool {
    !halt.is_releasing && halt.retry_at > until.instant()
}

/// The breaker's refusal, if it would refuse now; takes no permit.
pub(super) fn refuse_if_open(route: &Route, key: Option<Key>, now: Instant) -> Result<(), Refusal> {
    route
        .check(key, now)
        .map_err(|rejection| refusal(route, rejection, key, now))
}

/// The key by which the rate limit counts this call, if the route counts by callers.
pub(super) fn rate_key(route: &Route, call: &Call, context: &Context<'_>) -> Option<Key> {
    match route.limits.rate.as_ref()?.key.as_ref()? {
        RateKey::Header(name) => {
            let value = call.headers().get(name);
            Some(Key::of(value.map_or(b"", text_of)))
        }
        RateKey::ClientIp => Some(Key::of(context.connection.peer.as_bytes())),
    }
}

fn over_rate(rate: &Rate, at: Instant) -> Refusal {
    let whose = match &rate.key {
        None => "the route's rate limit",
        Some(RateKey::Header(_)) => "the rate limit of this caller's key",
        Some(RateKey::ClientIp) => "the rate limit of this caller's address",
    };
    Refusal {
        retry_at: Some(at),
        ..Refusal::new(
            Failure::RateLimited,
            format!("{whose} is used up (`limits.rate`)"),
        )
    }
}

fn overloaded(bulkhead: &Bulkhead) -> Refusal {
    let view = bulkhead.view();
    let calls = if view.max == 1 {
        "call is"
    } else {
        "calls are"
    };
    Refusal::new(
        Failure::Overloaded,
        format!(
            "{} {calls} out, as many as `limits.concurrency` allows, and {} wait",
            view.in_use, view.waiting
        ),
    )
}

/// The refusal of a pause. If only the call's key is paused, it tells the end of that pause, and not how many other keys have
/// one.
fn throttled(route: &Route, key: Option<Key>, (halt, now): (Halt, Instant)) -> Refusal {
    let throttle = &route.limits.throttle;
    let view = throttle.view(now);
    let own = key.filter(|_| view.since.is_none()).and_then(|key| {
        let sentence = throttle.view_of(key, now)?.explain()?;
        Some(format!("this call's key ({key}) alone: {sentence}"))
    });
    let detail = own.or_else(|| view.explain());
    Refusal {
        retry_at: Some(halt.retry_at),
        ..Refusal::new(
            Failure::Throttled,
            detail.unwrap_or_else(|| "throttled".to_owned()),
        )
    }
}
