//! What is told when a breaker changes: one log event with its evidence, one step of a counter.

use std::sync::Arc;

use crate::resilience::{Cause, Observer, State, Transition};
use crate::telemetry::RouteMeters;
use crate::telemetry::route_meters::TransitionLabels;

/// The observer of a route's breaker.
pub(super) fn observer(route: Arc<str>, meters: Arc<RouteMeters>) -> Observer {
    meters.expect_transitions(USUAL);
    Box::new(move |transition| {
        if transition.changes_state() {
            meters.transitioned(labels(transition));
        }
        tell(&route, transition);
    })
}

/// The changes whose counters exist from the start.
const USUAL: [TransitionLabels; 13] = [
    usual(State::Closed, State::Open, Cause::ConsecutiveFailures),
    usual(State::Closed, State::Open, Cause::FailureRatio),
    usual(State::Closed, State::Open, Cause::SlowRatio),
    usual(State::Open, State::HalfOpen, Cause::ResetTimeout),
    usual(State::HalfOpen, State::Open, Cause::ProbeFailed),
    usual(State::HalfOpen, State::Open, Cause::HalfOpenTimeout),
    usual(State::HalfOpen, State::Closed, Cause::ProbesSucceeded),
    usual(State::Closed, State::Open, Cause::Forced),
    usual(State::Closed, State::HalfOpen, Cause::Forced),
    usual(State::Open, State::Closed, Cause::Forced),
    usual(State::Open, State::HalfOpen, Cause::Forced),
    usual(State::HalfOpen, State::Open, Cause::Forced),
    usual(State::HalfOpen, State::Closed, Cause::Forced),
];

const fn usual(from: State, to: State, cause: Cause) -> TransitionLabels {
    TransitionLabels {
        from: from.label(),
        to: to.label(),
        cause: cause.label(),
    }
}

fn labels(transition: &Transition) -> TransitionLabels {
    usual(transition.from(), transition.to(), transition.cause)
}

/// An opening is a warning: a human may have to act, traffic is being refused.
fn tell(route: &str, transition: &Transition) {
    let evidence = &transition.evidence;
    let labels: Vec<String> = evidence.labels.iter().map(ToString::to_string).collect();
    let author = transition.author.as_ref();
    let calls = evidence.exemplars.iter();
    let calls: Vec<&str> = calls
        .filter_map(|one| Some(&*one.call.as_ref()?.id))
        .collect();
    let calls = (!calls.is_empty()).then(|| calls.join(", "));
    macro_rules! event {
        ($level:expr, $message:literal) => {
            tracing::event!(
                $level,
                breaker = route,
                from = transition.from().label(),
                to = transition.to().label(),
                mode = transition.after.mode.label(),
                cause = transition.cause.label(),
                observed = %evidence.observed,
                threshold = %evidence.threshold,
                windowCalls = evidence.window.calls,
                windowFailed = evidence.window.failed,
                windowSlow = evidence.window.slow,
                failures = labels.join(", "),
                calls = calls.as_deref(),
                by = author.map(|author| &*author.by),
                reason = author.and_then(|author| author.reason.as_deref()),
                $message
            )
        };
    }
    if !transition.changes_state() {
        return event!(tracing::Level::INFO, "Circuit breaker changed");
    }
    match transition.to() {
        State::Open => event!(tracing::Level::WARN, "Circuit breaker opened"),
        State::HalfOpen => event!(tracing::Level::INFO, "Circuit breaker half-opened"),
        State::Closed => event!(tracing::Level::INFO, "Circuit breaker closed"),
    }
}
