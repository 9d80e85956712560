//! From a request to the upstream's response headers: a straight line.

use std::rc::Rc;
use std::time::Instant;

use http::header::{HeaderValue, UPGRADE};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use super::classify::{Certainty, classify};
use super::connection::Connection;
use super::detail::detail;
use super::ending::verdict;
use super::outgoing::Outgoing;
use super::reply::Refusal;
use crate::failure::{Blame, Failure};
use crate::net::Phase;
use crate::proxy::worker::Current;
use crate::resilience::{Permit, RefusalKind, Sample, explain};
use crate::snapshot::Route;
use crate::telemetry::Exchange;
use crate::time::{Deadline, now, wall_at};
use crate::upstream::{Lease, UploadProgress};

/// What an attempt is made with.
pub(super) struct Attempt<'a> {
    pub(super) connection: &'a Connection,
    pub(super) current: &'a Current,
    /// When the request was accepted.
    pub(super) start: Instant,
}

/// The upstream's answer, its body still to come.
pub(super) struct Answer {
    pub(super) response: Response<Incoming>,
    /// The place of the route.
    pub(super) route: usize,
    pub(super) lease: Lease,
    pub(super) upload: Rc<UploadProgress>,
    /// The right to the attempt, if its verdict waits for the body's end.
    pub(super) permit: Option<Permit>,
    pub(super) sample: Sample,
    /// Both sides leave HTTP.
    pub(super) switch: Option<Switch>,
}

/// A switch of protocols that the upstream has agreed to.
pub(super) struct Switch {
    pub(super) protocol: HeaderValue,
    pub(super) caller: OnUpgrade,
    pub(super) upstream: OnUpgrade,
}

/// A refusal, with the place of the route if one was found.
pub(super) type Refused = (Refusal, Option<usize>);

impl Refusal {
    /// Where no route is known.
    pub(super) fn anywhere(self) -> Refused {
        (self, None)
    }
}

/// Carries a request to its upstream.
///
/// # Errors
/// Why the caller gets an answer of ours instead.
pub(super) async fn attempt(
    context: &Attempt<'_>,
    exchange: &mut Exchange,
    request: Request<Incoming>,
) -> Result<Answer, Refused> {
    if context.connection.worker.shared().phases.now() == Phase::Closing {
        return Err(Refusal::new(
            Failure::Draining,
            "shutting down; call again, another instance answers",
        )
        .anywhere());
    }
    let way = context.find_way(&request).map_err(Refusal::anywhere)?;
    let route = &context.current.snapshot.routes[way.route];
    exchange.routed(&route.meters, way.strip);
    let permit = admit(route, context.start).map_err(|refusal| (refusal, Some(way.route)))?;
    let deadline = deadline(route, &permit, context.start);
    let mut call = Outgoing::new(context, exchange, route, &way, request)
        .map_err(|refusal| (refusal, Some(way.route)))?;
    match call.make(context, exchange, route, deadline).await {
        Ok((response, lease)) => {
            let took = now().saturating_duration_since(context.start);
            let latency = took.saturating_sub(call.queued());
            let (sample, certainty) = classify(&response, latency, permit.is_probe());
            let permit = match certainty {
                Certainty::AtEnd => Some(permit),
                Certainty::AtHeaders => {
                    permit.finish_as(sample, now(), || exchange.identity());
                    None
                }
            };
            Ok(answer(call, way.route, (permit, sample), response, lease))
        }
        Err(failure) => {
            let took = now().saturating_duration_since(context.start);
            if failure.blame() == Blame::Upstream {
                exchange.attempt_failed(failure);
            }
            permit.finish_as(
                verdict(failure, Some(took.saturating_sub(call.queued()))),
                now(),
                || exchange.identity(),
            );
            let detail = detail(failure, route);
            Err((Refusal::new(failure, detail), Some(way.route)))
        }
    }
}

/// A probe may have less time than other calls.
fn deadline(route: &Route, permit: &Permit, start: Instant) -> Deadline {
    let deadline = Deadline::after(start, route.plan.timeout);
    match route.plan.breaker.keys().probe_timeout {
        Some(timeout) if permit.is_probe() => deadline.min(Deadline::after(start, timeout)),
        Some(_) | None => deadline,
    }
}

fn admit(route: &Route, now: Instant) -> Result<Permit, Refusal> {
    route.breaker.admit(now).map_err(|refused| {
        let failure = match refused.kind {
            RefusalKind::CircuitOpen | RefusalKind::HalfOpenFull => Failure::CircuitOpen,
            RefusalKind::ForcedOpen => Failure::ForcedOpen,
        };
        let detail = explain(&route.breaker.view(now), |at| clock(at, now));
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
    call: Outgoing,
    route: usize,
    verdict: (Option<Permit>, Sample),
    mut response: Response<Incoming>,
    lease: Lease,
) -> Answer {
    let is_switching = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let switch = call
        .upgrade
        .filter(|_| is_switching)
        .map(|(asked, caller)| Switch {
            // Of several that the caller would speak, the upstream has chosen.
            protocol: response.headers().get(UPGRADE).cloned().unwrap_or(asked),
            caller,
            upstream: hyper::upgrade::on(&mut response),
        });
    let (permit, sample) = verdict;
    Answer {
        response,
        route,
        lease,
        upload: call.upload,
        permit,
        sample,
        switch,
    }
}
