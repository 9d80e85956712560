//! What the caller gets instead of a refusal, or of a failure where the operator wants that.
//!
//! A route's fallbacks are tried in their order, and the first that can answer does: `respond` always can, `stale` if an answer
//! is kept, `route` if the other route brings one. If none can, the caller gets what it would have got without them. No answer
//! from here moves the route's breaker: it has its verdict already.

mod alternate;
mod coalesce;
mod respond;
mod stale;

use std::time::Instant;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};

use super::call::Call;
use super::carry::{Answer, Context, carry};
use super::ending::Inherited;
use super::reply::{self, Refusal};
use crate::config::plan::{FallbackKind, FallbackPlan};
use crate::failure::Failure;
use crate::resilience::Outcome;
use crate::snapshot::{Route, Way};
use crate::telemetry::Exchange;
use crate::telemetry::names::FallbackLabel;
use crate::time::now;

/// Says that an answer is no answer of the route's upstream to this call, and what it is.
pub(super) const X_SIDEFUSE_FALLBACK: HeaderName = HeaderName::from_static("x-sidefuse-fallback");

/// What the caller gets.
pub(super) enum Reply {
    /// An upstream's answer, its body still to come.
    Upstream(Answer),
    /// An answer that is whole: fixed, kept, or shared.
    Whole(Response<Bytes>),
}

/// Why the caller may get something else.
enum Why {
    /// There is no answer.
    Refused(Refusal),
    /// There is one, but it is a failure.
    Answered(Answer),
}

/// When a fallback is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Occasion {
    /// We refused to call.
    Refused,
    /// The call failed.
    Failed,
}

/// Carries a call to the upstream of its route, or gives what the route has instead.
///
/// # Errors
/// Why the caller gets a refusal.
pub(super) async fn answer(
    context: &Context<'_>,
    exchange: &mut Exchange,
    call: &mut Call,
    way: &Way,
) -> Result<Reply, Refusal> {
    let route = &context.current.snapshot.routes[way.route];
    if route.plan.fallback.is_empty() {
        return carry(context, exchange, call, way)
            .await
            .map(Reply::Upstream);
    }
    // Boxed: a call without fallbacks needs none of this room, and the future is recursive, since a fallback may be another
    // route.
    Box::pin(answer_or_instead(context, exchange, call, way)).await
}

async fn answer_or_instead(
    context: &Context<'_>,
    exchange: &mut Exchange,
    call: &mut Call,
    way: &Way,
) -> Result<Reply, Refusal> {
    let route = &*context.current.snapshot.routes[way.route];
    let asked = stale::asked(context, call, way);
    let outlives =
        |entry: &FallbackPlan| entry.on_failure && matches!(entry.kind, FallbackKind::Route(_));
    if route.plan.fallback.iter().any(outlives) {
        call.keep_for_another();
    }
    let carried = match &asked {
        Some(asked) if asked.may_share() => {
            coalesce::carry_for_many(context, exchange, call, (way, asked)).await
        }
        Some(asked) => stale::carry_and_keep(context, exchange, call, (way, asked)).await,
        None => carry(context, exchange, call, way)
            .await
            .map(Reply::Upstream),
    };
    let why = match carried {
        Ok(Reply::Upstream(answer)) => Why::Answered(answer),
        Ok(Reply::Whole(response)) => return Ok(Reply::Whole(response)),
        Err(refusal) => Why::Refused(refusal),
    };
    let Some(occasion) = why.occasion() else {
        return why.unchanged();
    };
    let is_stuck = why.is_stuck();
    for entry in &route.plan.fallback {
        if occasion == Occasion::Failed && !entry.on_failure {
            continue;
        }
        let (instead, kind) = match &entry.kind {
            FallbackKind::Respond(plan) => {
                let told = Told::of(&why, exchange, route, now());
                let response = respond::respond(plan, &told);
                (Some(Reply::Whole(response)), FallbackLabel::Respond)
            }
            FallbackKind::Stale(_) => {
                let response = asked
                    .as_ref()
                    .and_then(|asked| stale::serve(context, exchange, route, asked));
                let marked = response.map(|mut response| {
                    why.mark(response.headers_mut(), &route.name);
                    Reply::Whole(response)
                });
                (marked, FallbackLabel::Stale)
            }
            FallbackKind::Route(other) => {
                let reply = alternate::carry_elsewhere(context, exchange, call, (way, other)).await;
                (reply, FallbackLabel::Route)
            }
        };
        if let Some(reply) = instead {
            let upload = match &reply {
                Reply::Whole(_) => Inherited::ByNobody,
                Reply::Upstream(_) if is_stuck => Inherited::WhileStuck,
                Reply::Upstream(_) => Inherited::ByAnother,
            };
            why.give_up(exchange, upload);
            route.meters.fell_back(kind);
            exchange.fell_back(kind);
            return Ok(reply);
        }
    }
    why.unchanged()
}

impl Why {
    fn occasion(&self) -> Option<Occasion> {
        match self {
            Self::Refused(refusal) => occasion(refusal.failure),
            Self::Answered(answer) => match answer.upstream.judged.verdict.outcome {
                // 101 is no failure, whatever a rule says: both sides have switched protocols.
                _ if answer.switch.is_some() => None,
                Outcome::Failure | Outcome::Throttled => Some(Occasion::Failed),
                Outcome::Success | Outcome::Alive | Outcome::Ignored => None,
            },
        }
    }

    /// Whether there is an answer whose connection still waits for the upstream to read the request body.
    fn is_stuck(&self) -> bool {
        match self {
            Self::Refused(_) => false,
            Self::Answered(answer) => answer.upstream.upload.is_stuck(),
        }
    }

    /// What the caller gets without a fallback.
    fn unchanged(self) -> Result<Reply, Refusal> {
        match self {
            Self::Refused(refusal) => Err(refusal),
            Self::Answered(answer) => Ok(Reply::Upstream(answer)),
        }
    }

    /// Records why there is a fallback, and gives up an answer that the caller does not get.
    fn give_up(self, exchange: &mut Exchange, upload: Inherited) {
        match self {
            Self::Refused(refusal) => {
                exchange.failed(refusal.failure);
                if let Some(state) = refusal.state {
                    exchange.breaker_state(state);
                }
            }
            Self::Answered(answer) => {
                answer.upstream.give_up(exchange, upload);
            }
        }
    }

    /// Says in an answer why it is not the upstream's.
    fn mark(&self, headers: &mut http::HeaderMap, route: &str) {
        match self {
            Self::Refused(refusal) => reply::mark(headers, refusal, Some(route)),
            Self::Answered(answer) => {
                let status = answer.response.status();
                let text = format!("sidefuse; received-status={}", status.as_str());
                if let Ok(value) = HeaderValue::try_from(text) {
                    headers.insert(reply::PROXY_STATUS, value);
                }
            }
        }
    }
}

/// What a fixed answer is made from besides its plan.
struct Told<'a> {
    why: &'a Why,
    /// The status without a fallback.
    status: StatusCode,
    /// In how many seconds to come back, where that is known.
    retry_after: Option<u64>,
    correlation: &'a str,
    route: &'a str,
}

impl<'a> Told<'a> {
    fn of(why: &'a Why, exchange: &'a Exchange, route: &'a Route, now: Instant) -> Self {
        let (status, retry_after) = match why {
            Why::Refused(refusal) => (refusal.failure.answer().0, refusal.wait(now)),
            Why::Answered(answer) => {
                let wait = answer.response.headers().get(RETRY_AFTER);
                let wait = wait.and_then(|wait| wait.to_str().ok()?.trim().parse().ok());
                (answer.response.status(), wait)
            }
        };
        Self {
            why,
            status,
            retry_after,
            correlation: exchange.correlation_id().as_str(),
            route: &route.name,
        }
    }
}

/// When fallbacks are asked after this failure; `None` where the caller must see it. A rate-limited caller must see the 429, or it
/// would not slow down.
fn occasion(failure: Failure) -> Option<Occasion> {
    match failure {
        Failure::CircuitOpen
        | Failure::ForcedOpen
        | Failure::Ramping
        | Failure::Throttled
        | Failure::Overloaded
        | Failure::Exhausted => Some(Occasion::Refused),
        Failure::Dns
        | Failure::Connect
        | Failure::ConnectTimeout
        | Failure::Tls
        | Failure::Reset
        | Failure::SharedLoss
        | Failure::Protocol
        | Failure::Timeout
        | Failure::CutShort
        | Failure::IdleTimeout
        | Failure::Truncated => Some(Occasion::Failed),
        Failure::NoRoute
        | Failure::HostNotAllowed
        | Failure::BadRequest
        | Failure::MethodNotAllowed
        | Failure::UriTooLong
        | Failure::HeadersTooLarge
        | Failure::RequestTimeout
        | Failure::RateLimited
        | Failure::Draining
        | Failure::CallerDeadline
        | Failure::MaxDuration
        | Failure::ClientGone
        | Failure::Internal => None,
    }
}
