//! Reports changes of breakers: one log event with its evidence, one step of a counter.

use std::sync::Arc;

use tokio::sync::Notify;

use super::waiters::Waiters;
use crate::resilience::{
    Cause, Key, KeyObserver, Mode, Observer, ShadowObserver, State, Transition,
};
use crate::telemetry::RouteMeters;
use crate::telemetry::route_meters::TransitionLabels;

/// The observer of a route's breaker. Calls that wait are woken when it opens: they would wait in vain.
pub(super) fn observer(
    route: Arc<str>,
    meters: Arc<RouteMeters>,
    changed: Arc<Notify>,
    waiters: Arc<Waiters>,
) -> Observer {
    meters.expect_transitions(&USUAL);
    Box::new(move |transition| {
        changed.notify_one();
        if transition.changes_state() {
            meters.transitioned(labels(transition));
        }
        tell(&route, Whose::Route, transition);
        rouse(&waiters, transition);
    })
}

/// The observer of the breakers of a route's keys; it wakes calls as well. Their changes are logged and not counted: as a
/// label, the number of keys would have no bound.
pub(super) fn key_observer(
    route: Arc<str>,
    changed: Arc<Notify>,
    waiters: Arc<Waiters>,
) -> KeyObserver {
    Arc::new(move |key, transition| {
        changed.notify_one();
        tell(&route, Whose::Key(key), transition);
        rouse(&waiters, transition);
    })
}

fn rouse(waiters: &Waiters, transition: &Transition) {
    if transition.to() == State::Open || transition.after.mode == Mode::ForcedOpen {
        waiters.rouse();
    }
}

/// The observer of a route's candidates.
pub(super) fn shadow_observer(route: Arc<str>, changed: Arc<Notify>) -> ShadowObserver {
    Arc::new(move |name, transition| {
        changed.notify_one();
        tell(&route, Whose::Shadow(name), transition);
    })
}

/// The breaker that changed.
#[derive(Clone, Copy)]
enum Whose<'a> {
    Route,
    Key(Key),
    Shadow(&'a str),
}

/// The changes whose counters exist from the start.
static USUAL: [TransitionLabels; 13] = [
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

/// Logs a transition. An opening is a warning: traffic is being refused and people may have to act.
fn tell(route: &str, whose: Whose<'_>, transition: &Transition) {
    let (key, shadow) = match whose {
        Whose::Route => (None, None),
        Whose::Key(key) => (Some(key.to_string()), None),
        Whose::Shadow(name) => (None, Some(name)),
    };
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
                key = key.as_deref(),
                shadow,
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
    if shadow.is_some() {
        // A candidate's change affects no call.
        return match (transition.changes_state(), transition.to()) {
            (false, _) => event!(tracing::Level::INFO, "Shadow breaker changed"),
            (true, State::Open) => event!(tracing::Level::INFO, "Shadow breaker opened"),
            (true, State::HalfOpen) => event!(tracing::Level::INFO, "Shadow breaker half-opened"),
            (true, State::Closed) => event!(tracing::Level::INFO, "Shadow breaker closed"),
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
