//! Checks the times of a route against its `timeout`, which ends every call.

use std::sync::Arc;
use std::time::Duration;

use super::places::Places;
use super::routes::Around;
use crate::config::excerpt::show;
use crate::config::plan::{RatePlan, RoutePlan};
use crate::config::problem::{Code, Problem, Problems};
use crate::config::tree::{Entry, Span};
use crate::config::units::spell_time;
use crate::resilience::{Label, RetrySpec, WindowSpec};

/// The `timeout` of a route, and where it is written.
#[derive(Clone, Copy)]
pub(super) struct Timeout {
    pub(super) time: Duration,
    pub(super) at: Span,
}

impl Timeout {
    /// The problem of a time that is longer than the timeout and so never ends.
    pub(super) fn ends_before(self, key: &str, time: Duration, code: Code) -> Option<Problem> {
        (time > self.time).then(|| {
            let message =
                format!("`{key}` is longer than the route's `timeout`, which ends the call first");
            self.explain(Problem::error(code, Span::BUILT_IN, message))
        })
    }

    /// Adds the value of the timeout and where it is written.
    pub(super) fn explain(self, problem: Problem) -> Problem {
        let time = spell_time(self.time);
        problem.hint(if self.at.is_in_file() {
            format!("that is {time}, by line {}", self.at.line)
        } else {
            format!("that is {time} where none is written")
        })
    }
}

/// Where the merged settings of a route are written.
pub(super) struct Written<'n> {
    pub(super) settings: Vec<&'n Entry>,
    pub(super) route: Span,
}

impl Written<'_> {
    /// The key at that path, if it is in the file.
    fn find(&self, path: &[&str]) -> Option<Span> {
        let (first, rest) = path.split_first()?;
        let mut entry = *self
            .settings
            .iter()
            .find(|entry| entry.key.text == *first)?;
        for key in rest {
            entry = entry.node.entry(key)?;
        }
        Some(entry.key.span).filter(|span| span.is_in_file())
    }

    /// The same, or else the name of the route.
    fn place(&self, path: &[&str]) -> Span {
        self.find(path).unwrap_or(self.route)
    }
}

/// Reports settings of a route that contradict its times.
pub(super) fn check_times(plan: &RoutePlan, written: &Written<'_>, problems: &mut Problems) {
    let timeout = Timeout {
        time: plan.timeout,
        at: written.find(&["timeout"]).unwrap_or(Span::BUILT_IN),
    };
    if let Some(attempt) = plan.attempt_timeout
        && let Some(problem) = timeout.ends_before("attempt_timeout", attempt, Code::Timeouts)
    {
        problems.push(problem.at(written.place(&["attempt_timeout"])));
    }
    if plan.max_duration.is_some_and(|most| most < plan.timeout) {
        let message =
            "`max_duration` is shorter than the route's `timeout`, which could then never be met";
        let place = written.place(&["max_duration"]);
        problems.push(timeout.explain(Problem::error(Code::Timeouts, place, message)));
    }
    // What follows works, but not as written. Defaults are not checked.
    let mut warn = |path: &[&str], what: &dyn Fn() -> Option<Problem>| {
        if let Some(span) = written.find(path)
            && let Some(problem) = what()
        {
            problems.push(problem.at(span).into_warning());
        }
    };
    let attempt = plan
        .attempt_timeout
        .unwrap_or(plan.timeout)
        .min(plan.timeout);
    let connect = plan.upstream.connect_timeout;
    warn(&["upstream", "connect_timeout"], &|| {
        timeout.ends_before("connect_timeout", connect, Code::Timeouts)
    });
    if let Some(retry) = &plan.retry {
        warn(&["retry", "max_retry_after"], &|| {
            timeout.ends_before("max_retry_after", retry.max_retry_after, Code::IdleRetry)
        });
        warn(&["retry", "base"], &|| {
            timeout.ends_before("base", retry.backoff.base, Code::IdleRetry)
        });
        let idle = idle_retry(plan, retry);
        let path = ["retry", "retry_on"];
        let path = if written.find(&path).is_some() {
            &path[..]
        } else {
            &["attempt_timeout"]
        };
        warn(path, &|| idle.clone());
    }
    let keys = plan.breaker.keys();
    if keys.slow_after.is_some_and(|slow| slow > attempt) {
        warn(&["breaker", "slow_after"], &|| {
            let message = format!(
                "`slow_after` is longer than the {} that an attempt may take, so none is ever slow",
                spell_time(attempt)
            );
            let problem = Problem::warning(Code::Breaker, Span::BUILT_IN, message);
            Some(problem.hint("lower it, or leave it out with `slow_ratio`"))
        });
    }
    if let (Some(rate), WindowSpec::Time(window)) = (&plan.limits.rate, keys.window)
        && (keys.failure_ratio.is_some() || keys.slow_ratio.is_some())
    {
        let most = most_calls(rate, window);
        if rate.key.is_none() && most < f64::from(keys.min_calls) {
            let message = format!(
                "`min_calls` is {}, but `limits.rate` lets {most:.0} calls at the most into a window of {}",
                keys.min_calls,
                spell_time(window)
            );
            let place = written.find(&["breaker", "min_calls"]);
            let place = place.unwrap_or(written.place(&["limits", "rate"]));
            let problem = Problem::warning(Code::Breaker, place, message);
            problems.push(
                problem.hint("so its ratios are never judged: lower it, or lengthen `window`"),
            );
        }
    }
}

/// Reports a retry of timeouts that can never happen: no attempt ends before the call does.
fn idle_retry(plan: &RoutePlan, retry: &RetrySpec) -> Option<Problem> {
    let is_whole = plan
        .attempt_timeout
        .is_none_or(|attempt| attempt >= plan.timeout);
    if !is_whole || !retry.on.names(Label::Named("timeout")) {
        return None;
    }
    let message = "`retry_on` names `timeout`, but an attempt that is too slow uses up all of the route's `timeout`";
    let problem = Problem::warning(Code::IdleRetry, Span::BUILT_IN, message);
    Some(
        problem
            .hint("give the route a shorter `attempt_timeout`, which leaves time for another one"),
    )
}

/// The most calls that a rate lets pass within a time, after a rest.
fn most_calls(rate: &RatePlan, window: Duration) -> f64 {
    f64::from(rate.spec.burst()) + rate.per_second * window.as_secs_f64()
}

/// Reports a drain that is shorter than calls may take; only for the route with the longest.
pub(super) fn check_drain<'p>(
    routes: impl Iterator<Item = (&'p String, &'p Arc<RoutePlan>)>,
    (around, places): (&Around<'_>, &Places),
    problems: &mut Problems,
) {
    // A drain of 0 is chosen on purpose.
    if around.drain.is_zero() {
        return;
    }
    let Some((name, route)) = routes.max_by_key(|(_, route)| route.timeout) else {
        return;
    };
    if route.timeout > around.drain {
        let message = format!(
            "a call of the route `{}` may take {}, but a drain ends after {}",
            show(name),
            spell_time(route.timeout),
            spell_time(around.drain)
        );
        let timeout = places.of(name).timeout;
        let hint = if around.drain_at.is_in_file() {
            format!(
                "by `timeout` in line {}: what is in flight then is cut off",
                timeout.line
            )
        } else {
            "raise `shutdown.drain`: what is in flight then is cut off".to_owned()
        };
        let place = around.drain_at.or(timeout);
        problems.push(Problem::warning(Code::Timeouts, place, message).hint(hint));
    }
}
