//! What went wrong with an upstream, in a sentence for the caller's log.

use super::allowance::Allowance;
use super::reply::Refusal;
use crate::failure::Failure;
use crate::snapshot::Route;
use crate::telemetry::{Exchange, HeldBy};
use crate::time::now;

/// The refusal of a call whose caller no longer waits.
pub(super) fn over_for_caller(route: &Route, total: Allowance, exchange: &Exchange) -> Refusal {
    let failure = Failure::CallerDeadline;
    Refusal::new(failure, detail(failure, route, total, exchange))
}

/// The sentence for a failure on a route. It names the upstream and the limit that was met, never anything that the upstream sent.
pub(super) fn detail(
    failure: Failure,
    route: &Route,
    allowance: Allowance,
    exchange: &Exchange,
) -> String {
    let plan = &route.plan;
    let to = &route.upstream_label;
    match failure {
        Failure::Dns => format!("cannot find the address of {to}"),
        Failure::Connect => format!("cannot connect to {to}"),
        Failure::ConnectTimeout => format!(
            "no connection to {to} within {:?}",
            plan.upstream.connect_timeout.min(allowance.span)
        ),
        Failure::Tls => format!(
            "the TLS handshake with {to} failed: its certificate or protocol was not accepted"
        ),
        Failure::Reset => format!("{to} closed the connection before it answered"),
        Failure::SharedLoss => {
            format!("{to} gave up the connection, for the sake of another call on it")
        }
        Failure::Protocol => format!("{to} sent what is not HTTP"),
        Failure::Timeout => format!("no response headers from {to} within {:?}", allowance.span),
        Failure::CutShort => {
            let (held, by) = exchange.held();
            if held.is_zero() {
                return format!(
                    "the request took most of {:?} to go up, and {to} had what was left",
                    allowance.span
                );
            }
            let by = by.map_or("a limit of the route", HeldBy::label);
            format!(
                "the call was held back for {held:?}, most of it by `{by}`, and {to} had what was left of {:?}",
                allowance.span
            )
        }
        Failure::CallerDeadline => {
            format!(
                "{to} has not answered within the {:?} that the caller gives it",
                allowance.span
            )
        }
        Failure::Overloaded => match exchange.held() {
            (held, Some(by)) if by != HeldBy::Pool => format!(
                "the call was held back for {held:?}, most of it by `{}`, and what was left of {:?} is too little for {to}, which left \
                 the last such call without an answer",
                by.label(),
                allowance.span
            ),
            _ => format!(
                "all {} connections to {to} stayed in use",
                plan.upstream.pool.max
            ),
        },
        Failure::Exhausted => format!(
            "sidefuse has no descriptor, no memory or no local port left for a connection to {to}; its log says what and what to do"
        ),
        Failure::RequestTimeout if allowance.until.has_passed(now()) => {
            format!("the request body was not whole within {:?}", allowance.span)
        }
        Failure::RequestTimeout => format!("the request body paused for {:?}", plan.idle_timeout),
        Failure::BadRequest => {
            format!("{to} reset the request's stream as malformed (PROTOCOL_ERROR)")
        }
        Failure::HeadersTooLarge => format!(
            "{to} gave up the call when it had its head, which is larger than many servers take"
        ),
        Failure::NoRoute
        | Failure::HostNotAllowed
        | Failure::MethodNotAllowed
        | Failure::UriTooLong
        | Failure::CircuitOpen
        | Failure::ForcedOpen
        | Failure::Ramping
        | Failure::Throttled
        | Failure::RateLimited
        | Failure::Draining
        | Failure::MaxDuration
        | Failure::IdleTimeout
        | Failure::Truncated
        | Failure::ClientGone
        | Failure::Internal => failure.label().to_owned(),
    }
}
