//! From a request whose route is known to the upstream's response headers: a straight line.

use std::rc::Rc;
use std::time::{Duration, Instant};

use http::header::{HeaderValue, UPGRADE};
use http::{Response, StatusCode};
use hyper::upgrade::OnUpgrade;

use super::attempt::Attempt;
use super::call::Call;
use super::classify::{Certainty, Judged, classify, look_into, of_failure, sample};
use super::connection::Connection;
use super::detail::detail;
use super::ending::settle;
use super::outgoing::Outgoing;
use super::peek::{Patience, Source};
use super::reply::Refusal;
use crate::failure::{Blame, Failure};
use crate::proxy::worker::Current;
use crate::resilience::{Key, Permit, RefusalKind, Rejection, explain};
use crate::snapshot::{Route, Way};
use crate::stale::Collector;
use crate::telemetry::Exchange;
use crate::time::{Deadline, now, wall_at};
use crate::upstream::{Lease, UploadProgress};

/// What an exchange goes on in.
pub(super) struct Context<'a> {
    pub(super) connection: &'a Connection,
    pub(super) current: &'a Current,
}

/// The upstream's answer, its body still to come.
pub(super) struct Answer {
    pub(super) response: Response<Source>,
    /// The place of the route.
    pub(super) route: usize,
    pub(super) lease: Lease,
    pub(super) upload: Rc<UploadProgress>,
    /// The right to the attempt, if its verdict waits for the body's end.
    pub(super) permit: Option<Permit>,
    pub(super) judged: Judged,
    /// Both sides leave HTTP.
    pub(super) switch: Option<Switch>,
    /// Keeps a copy of the answer.
    pub(super) collector: Option<Box<Collector>>,
}

/// A switch of protocols that the upstream has agreed to.
pub(super) struct Switch {
    pub(super) protocol: HeaderValue,
    pub(super) caller: OnUpgrade,
    pub(super) upstream: OnUpgrade,
}

/// Carries a call to the upstream of its route.
///
/// # Errors
/// Why the caller gets an answer of ours instead.
pub(super) async fn carry(
    context: &Context<'_>,
    exchange: &mut Exchange,
    call: &mut Call,
    way: &Way,
) -> Result<Answer, Refusal> {
    let route = &*context.current.snapshot.routes[way.route];
    exchange.routed(&route.meters, way.strip);
    call.find_key(route, way);
    exchange.keyed(call.key);
    let mut outgoing = Outgoing::new(call, route, way)?;
    let begin = call.begin;
    let permit = admit(route, call.key, begin)?;
    let mut attempt = Attempt {
        context,
        exchange,
        call,
        outgoing: &mut outgoing,
        deadline: deadline(route, &permit, begin),
        queued: Duration::ZERO,
        avoid: None,
    };
    match attempt.make().await {
        Ok((response, mut lease)) => {
            let at_headers = now();
            let latency = attempt.latency(begin, at_headers);
            let patience = Patience {
                until: attempt.deadline,
                idle_timeout: route.plan.idle_timeout,
            };
            let rules = &route.plan.classify;
            let response = look_into(response, rules, patience).await;
            exchange.waited(now().saturating_duration_since(at_headers));
            let (verdict, certainty) = classify(&response, rules, permit.is_probe());
            let judged = Judged {
                verdict,
                certainty,
                latency,
                rules: rules.clone(),
            };
            let permit = match certainty {
                Certainty::AtEnd | Certainty::InTrailers => Some(permit),
                Certainty::AtHeaders => {
                    let sample = sample(verdict, latency);
                    lease.record(sample, now());
                    permit.finish_as(sample, now(), || exchange.identity());
                    None
                }
            };
            Ok(answer(call, way.route, (permit, judged), response, lease))
        }
        Err(failure) => {
            let latency = attempt.latency(begin, now());
            let verdict = of_failure(failure, &route.plan.classify);
            if failure.blame() == Blame::Upstream {
                exchange.attempt_failed(failure);
                settle(exchange, verdict);
            }
            permit.finish_as(sample(verdict, latency), now(), || exchange.identity());
            Err(Refusal::new(failure, detail(failure, route)))
        }
    }
}

/// A probe may have less time than other calls.
fn deadline(route: &Route, permit: &Permit, begin: Instant) -> Deadline {
    let deadline = Deadline::after(begin, route.plan.timeout);
    match route.plan.breaker.keys().probe_timeout {
        Some(timeout) if permit.is_probe() => deadline.min(Deadline::after(begin, timeout)),
        Some(_) | None => deadline,
    }
}

fn admit(route: &Route, key: Option<Key>, now: Instant) -> Result<Permit, Refusal> {
    route.admit(key, now).map_err(|rejection| {
        let Rejection {
            refusal: refused,
            by_key,
        } = rejection;
        let failure = match refused.kind {
            RefusalKind::CircuitOpen | RefusalKind::HalfOpenFull => Failure::CircuitOpen,
            RefusalKind::ForcedOpen => Failure::ForcedOpen,
            RefusalKind::Ramping => Failure::Ramping,
        };
        let breaker = by_key.as_ref().unwrap_or(&route.breaker);
        let sentence = explain(&breaker.view(now), |at| clock(at, now));
        let detail = match key.filter(|_| by_key.is_some()) {
            Some(key) => format!("the breaker of this call's key ({key}) alone: {sentence}"),
            None => sentence,
        };
        Refusal {
            failure,
            detail,
            state: Some(refused.state.label()),
            retry_at: refused.retry_at,
        }
    })
}

/// The time of day in UTC, to the second.
fn clock(at: Instant, now: Instant) -> String {
    let stamp = humantime::format_rfc3339_seconds(wall_at(at, now)).to_string();
    stamp.get(11..19).unwrap_or_default().to_owned()
}

/// The upstream's answer with all that hangs on it.
fn answer(
    call: &mut Call,
    route: usize,
    verdict: (Option<Permit>, Judged),
    mut response: Response<Source>,
    lease: Lease,
) -> Answer {
    let is_switching = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let upgrade = if is_switching {
        call.upgrade.take()
    } else {
        None
    };
    let switch = upgrade.map(|(asked, caller)| Switch {
        // Of several that the caller would speak, the upstream has chosen.
        protocol: response.headers().get(UPGRADE).cloned().unwrap_or(asked),
        caller,
        upstream: hyper::upgrade::on(&mut response),
    });
    let (permit, judged) = verdict;
    Answer {
        response,
        route,
        lease,
        upload: Rc::clone(&call.upload),
        permit,
        judged,
        switch,
        collector: None,
    }
}
