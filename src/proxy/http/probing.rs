//! Active probes: one GET per route and pause, whatever callers do.
//!
//! | the breaker is | a probe |
//! |---|---|
//! | closed | is made and shown, and moves nothing: calls judge, and a probe must not open a breaker whose calls go well |
//! | open | the same; it does not shorten the time until half-open |
//! | half-open | counts as one of its probes, follows the one before after a second, and so closes it without any caller |
//! | forced open | is not made: an operator wants no traffic |
//!
//! None is made while the route is paused or while a call tests whether the pause is over. The other way round, a probe neither
//! pauses callers nor ends their pause: upstreams limit their health page apart from their work. A pause that a probe is asked
//! for delays the next probe only.
//!
//! Worker 0 makes them, over pooled connections like any call. There is no access line, since there is no caller.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{HOST, RETRY_AFTER};
use http::uri::PathAndQuery;
use http::{HeaderName, Request, Response, Version};
use http_body_util::BodyExt;
use hyper::body::Bytes;

use super::classify::{self, of_failure};
use super::framing::is_ambiguous;
use super::kept::hinted;
use super::{headers, target};
use crate::failure::{Blame, Failure};
use crate::resilience::{Chance, Identity, Label, Mode, Outcome, Permit, Rules, Sample, State};
use crate::snapshot::{Route, Snapshot};
use crate::telemetry::CorrelationId;
use crate::telemetry::names::ProbeResult;
use crate::time::{Deadline, now, timeout_at};
use crate::upstream::{
    Checkout, Download, Fate, Lease, Pool, ProbeNews, ProbeTurn, Purpose, Report, Upload, Urgency,
    Wanted,
};

/// The longest answer that is read to its end. A longer one costs its connection.
const LONGEST_ANSWER: u64 = 64 * 1024;

/// Begins the probes that are due at `now`; `pool` gives a route's connections.
pub(in crate::proxy) fn probe_due(
    snapshot: &Snapshot,
    now: Instant,
    pool: impl Fn(&Route) -> Rc<Pool>,
) {
    for route in &snapshot.probed {
        let Some(probe) = &route.probe else {
            continue;
        };
        // Random, so that the probes of a fleet do not come in step.
        let Some(turn) = probe.turn(urgency(route, now), now, fastrand::u64(..)) else {
            continue;
        };
        let permit = match may_probe(route, now) {
            Leave::Decide(permit) => Some(permit),
            Leave::Look => None,
            Leave::None => {
                route.meters.probed(ProbeResult::Skipped);
                continue;
            }
        };
        let attempt = Attempt {
            route: Arc::clone(route),
            pool: pool(route),
            correlation: (
                snapshot.plan.correlation.header.clone(),
                CorrelationId::random(),
            ),
        };
        tokio::task::spawn_local(attempt.run(turn, permit));
    }
}

/// How urgent a verdict of the route's probe is.
fn urgency(route: &Route, now: Instant) -> Urgency {
    match route.breaker.in_force(now) {
        (State::HalfOpen, _) => Urgency::Wanted,
        (State::Closed | State::Open, _) => Urgency::Usual,
    }
}

/// What a probe may do.
enum Leave {
    /// Decide a half-open breaker.
    Decide(Permit),
    /// Be made and shown.
    Look,
    /// Not even that.
    None,
}

fn may_probe(route: &Route, now: Instant) -> Leave {
    if route.limits.throttle.is_shut(now) {
        return Leave::None;
    }
    if let Some(permit) = route.breaker.try_probe(now) {
        return Leave::Decide(permit);
    }
    match route.breaker.in_force(now) {
        // An operator wants no traffic; or all of the breaker's probes are out as calls.
        (_, Mode::ForcedOpen) | (State::HalfOpen, _) => Leave::None,
        (State::Closed | State::Open, _) => Leave::Look,
    }
}

/// One probe.
struct Attempt {
    route: Arc<Route>,
    pool: Rc<Pool>,
    correlation: (HeaderName, CorrelationId),
}

/// The answer to a probe.
struct Answered {
    status: u16,
    wish: Wish,
}

/// Whether it asks for a pause.
#[derive(Clone, Copy)]
enum Wish {
    None,
    /// Yes; for how long, if it says.
    Pause(Option<Duration>),
}

impl Attempt {
    async fn run(self, turn: ProbeTurn, permit: Option<Permit>) {
        let route = &self.route;
        let plan = turn.probe().plan().clone();
        let mut deadline = Deadline::after(turn.began(), plan.timeout);
        if let (Some(_), Some(timeout)) = (&permit, route.plan.breaker.keys().probe_timeout) {
            deadline = deadline.min(Deadline::after(turn.began(), timeout));
        }
        let answered = self.ask(&plan.path, deadline).await;
        let now = now();
        if let Err(failure) = &answered
            && failure.blame() != Blame::Upstream
        {
            // The probe was never sent, so it says nothing about the upstream.
            route.meters.probed(ProbeResult::Skipped);
            return;
        }
        let wish = answered
            .as_ref()
            .map_or(Wish::None, |answered| answered.wish);
        if let (Wish::Pause(wish), Some(spec)) = (wish, route.plan.throttle) {
            turn.put_off(now + spec.pause(wish, 1));
        }
        let (report, news) = turn.finish(answered.map(|answered| answered.status), now);
        if let Some(permit) = permit {
            let (_, id) = &self.correlation;
            let identity = || Identity::new(id.as_str(), "GET", plan.path.path());
            let rules = &route.plan.classify;
            permit.finish_as(sample(&report, wish, rules), now, identity);
        }
        route.meters.probed(if report.is_good {
            ProbeResult::Success
        } else {
            ProbeResult::Failure
        });
        tell(route, &report, news);
    }

    /// Sends the probe; once more if a kept-alive connection closed under it.
    async fn ask(&self, path: &PathAndQuery, deadline: Deadline) -> Result<Answered, Failure> {
        let (mut is_again, begin) = (false, now());
        let mut chance = Chance {
            fair: deadline.remaining(begin) / 2,
            held: Duration::ZERO,
        };
        loop {
            let wanted = Wanted {
                start: now(),
                deadline,
                chance,
                purpose: Purpose::Call,
                avoid: None,
                recall: None,
                held: None,
            };
            let checkout = self.pool.checkout(wanted).await;
            let Checkout { mut lease, way } =
                checkout.map_err(|unconnected| unconnected.failure)?;
            let sent = now();
            chance = chance.after(way.queued.unwrap_or_default());
            let request = self.request(&lease, path)?;
            let is_reused = lease.is_reused();
            match timeout_at(deadline, lease.send(request)).await {
                Ok(Ok(response)) => {
                    let read = read(response, lease, deadline).await;
                    return read.map_err(|failure| in_time(failure, sent, chance));
                }
                Ok(Err(error)) if is_reused && !is_again && error.fate != Fate::Unknown => {
                    is_again = true;
                }
                Ok(Err(error)) => return Err(error.failure),
                Err(_) => {
                    lease.timed_out();
                    return Err(in_time(Failure::Timeout, sent, chance));
                }
            }
        }
    }

    fn request(&self, lease: &Lease, path: &PathAndQuery) -> Result<Request<Upload>, Failure> {
        let route = &self.route;
        let mut request = Request::new(Upload::empty());
        let (header, id) = &self.correlation;
        let correlation = (header, id.header_value());
        headers::prepare_probe(request.headers_mut(), correlation, &route.request_headers);
        if lease.is_http2() {
            let (scheme, authority) = route.origin.clone();
            let target = target::absolute_form(path.clone(), scheme, authority);
            *request.uri_mut() = target.map_err(|_| Failure::Internal)?;
            *request.version_mut() = Version::HTTP_2;
        } else {
            let host = route.plan.upstream.authority.clone();
            request.headers_mut().insert(HOST, host);
            *request.uri_mut() = target::origin_form(path.clone());
        }
        Ok(request)
    }
}

/// Decides what a failure is called: if our own queue left the probe too little time, it proves nothing. There is no caller to blame.
fn in_time(failure: Failure, sent: Instant, chance: Chance) -> Failure {
    let had = || now().saturating_duration_since(sent);
    if failure.blame() == Blame::Caller {
        Failure::Protocol
    } else if failure == Failure::Timeout && !chance.was_given(had()) {
        Failure::CutShort
    } else {
        failure
    }
}

/// The answer, once its body has ended well or has proved long.
async fn read(
    mut response: Response<Download>,
    lease: Lease,
    deadline: Deadline,
) -> Result<Answered, Failure> {
    if is_ambiguous(response.version(), response.headers()) {
        return Err(Failure::Protocol);
    }
    let body = async {
        let mut length = 0;
        while let Some(frame) = response.body_mut().frame().await {
            let frame = frame.map_err(|_| Failure::Truncated)?;
            length += frame.data_ref().map_or(0, Bytes::len) as u64;
            if length > LONGEST_ANSWER {
                return Ok(false);
            }
        }
        Ok(true)
    };
    match timeout_at(deadline, body).await {
        Ok(is_whole) => {
            if is_whole? {
                lease.keep(now());
            }
        }
        Err(_) => return Err(Failure::Timeout),
    }
    let status = response.status().as_u16();
    let headers = response.headers();
    let wish = match Outcome::of_status(status, headers.contains_key(RETRY_AFTER)) {
        Outcome::Throttled => Wish::Pause(hinted(headers)),
        Outcome::Success | Outcome::Failure | Outcome::Alive | Outcome::Ignored => Wish::None,
    };
    Ok(Answered { status, wish })
}

/// The sample for a half-open breaker. An expected status is a success, whatever it is; a wish for a pause is neither success
/// nor failure.
fn sample(report: &Report, wish: Wish, rules: &Rules) -> Sample {
    match report.answer {
        Ok(_) if report.is_good => Sample::new(Outcome::Success).after(report.took),
        Ok(_) if matches!(wish, Wish::Pause(_)) => {
            Sample::new(Outcome::Throttled).after(report.took)
        }
        Ok(status) => Sample::failure(Label::Status(status)).after(report.took),
        Err(failure) => classify::sample(of_failure(failure, rules), report.took),
    }
}

fn tell(route: &Route, report: &Report, news: ProbeNews) {
    let name = &*route.name;
    let status = report.answer.ok();
    let reason = report.answer.err().map(Failure::label);
    match news {
        ProbeNews::None => {}
        ProbeNews::Failed => {
            tracing::warn!(route = name, status, reason, "Probe failed");
        }
        ProbeNews::Recovered => {
            tracing::info!(route = name, status, "Probe succeeded again");
        }
    }
}
