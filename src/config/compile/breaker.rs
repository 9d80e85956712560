//! `breaker:` of a route.

use std::time::Duration;

use super::Scope;
use super::times::Timeout;
use crate::config::fields::Fields;
use crate::config::problem::{Code, Problem};
use crate::config::standard;
use crate::config::tree::{Entry, Span};
use crate::resilience::{
    BreakerKeys, BreakerSpec, Enforcement, RampSpec, ResetBackoff, SpecProblem, WindowSpec,
};

/// The breaker of a route with `timeout`; `None` if it is invalid, which was reported, or in a layer that is no whole route.
pub(super) fn breaker(
    fields: &mut Fields<'_, '_>,
    enforcement: Enforcement,
    timeout: Timeout,
    scope: Scope,
) -> Option<BreakerSpec> {
    let entries = fields.entries();
    let window = fields.section("window", window).unwrap_or(standard::WINDOW);
    let min_calls = fields
        .read("min_calls")
        .unwrap_or_else(|| standard::min_calls(window));
    let reset_timeout = fields.setting("reset_timeout");
    let keys = BreakerKeys {
        enforcement,
        failure_threshold: fields.setting("failure_threshold"),
        failure_ratio: fields.setting("failure_ratio"),
        slow_ratio: fields.setting("slow_ratio"),
        slow_after: fields.setting("slow_after"),
        window,
        min_calls,
        success_threshold: fields.setting("success_threshold"),
        half_open_max: fields.setting("half_open_max"),
        probe_timeout: fields.read("probe_timeout"),
        half_open_timeout: fields.setting("half_open_timeout"),
        reset_timeout,
        reset_backoff: fields.section("reset_backoff", |fields| {
            reset_backoff(fields, reset_timeout)
        }),
        ramp: ramp(fields),
    };
    let Scope::Route(route) = scope else {
        return None;
    };
    if let Some(probe) = keys.probe_timeout
        && let Some(problem) = timeout.ends_before("probe_timeout", probe, Code::Timeouts)
    {
        let place = place(&entries, "probe_timeout").or(route);
        fields.problems.push(problem.at(place));
    }
    match BreakerSpec::try_new(keys) {
        Ok(spec) => Some(spec),
        Err(found) => {
            for SpecProblem { key, message } in found {
                fields.problems.push(Problem::error(
                    Code::Breaker,
                    place(&entries, key).or(route),
                    format!("`{key}` {message}"),
                ));
            }
            None
        }
    }
}

/// Where a key is written, `a.b` being one inside another.
fn place(entries: &[&Entry], key: &str) -> Span {
    let (outer, inner) = key
        .split_once('.')
        .map_or((key, None), |(outer, inner)| (outer, Some(inner)));
    let Some(entry) = entries.iter().find(|entry| entry.key.text == outer) else {
        return Span::BUILT_IN;
    };
    let inner = inner
        .and_then(|inner| entry.node.entry(inner))
        .map_or(Span::BUILT_IN, |entry| entry.key.span);
    inner.or(entry.key.span)
}

/// `{time: 30s}` or `{calls: 100}`.
fn window(fields: &mut Fields<'_, '_>) -> Option<WindowSpec> {
    let empty = fields.span.is_in_file() && fields.entries().is_empty();
    let calls_at = fields.key_span("calls");
    let time = fields.read("time");
    let calls = fields.read("calls");
    match (time, calls, calls_at) {
        (Some(_), _, Some(span)) => {
            let problem = Problem::error(
                Code::Breaker,
                span,
                "`window` is either a time or a number of calls",
            );
            fields.problems.push(problem.hint("remove one of the two"));
            None
        }
        (Some(time), _, None) => Some(WindowSpec::Time(time)),
        (None, Some(calls), _) => Some(WindowSpec::Calls(calls)),
        (None, None, _) => {
            if empty {
                let problem = Problem::error(Code::NoValue, fields.span, "`window` has no value");
                fields
                    .problems
                    .push(problem.hint("write `{time: 30s}` or `{calls: 100}`"));
            }
            None
        }
    }
}

/// Without a `max` of its own it never cuts the reset timeout itself.
fn reset_backoff(fields: &mut Fields<'_, '_>, reset_timeout: Duration) -> ResetBackoff {
    ResetBackoff {
        factor: fields.setting("factor"),
        max: fields
            .read("max")
            .unwrap_or_else(|| standard::longest_reset(reset_timeout)),
        jitter: fields.setting("jitter"),
    }
}

/// `{from: 10%, over: 30s}`, both with these defaults, or `off`.
fn ramp(fields: &mut Fields<'_, '_>) -> Option<RampSpec> {
    if fields.is_off("ramp") || !fields.has("ramp") {
        return None;
    }
    Some(fields.section("ramp", |fields| RampSpec {
        from: fields.setting("from"),
        over: fields.setting("over"),
    }))
}
