//! `breaker:` of a route.

use std::time::Duration;

use super::{Scope, some_time};
use crate::config::fields::Fields;
use crate::config::problem::{Code, Problem};
use crate::config::readers::{number, or_off, word};
use crate::config::tree::{Entry, Span};
use crate::config::units::{Invalid, ratio};
use crate::resilience::{
    BreakerKeys, BreakerSpec, Enforcement, RampSpec, Ratio, ResetBackoff, SpecProblem, WindowSpec,
};

const ENFORCEMENTS: [(&str, Enforcement); 3] = [
    ("enforce", Enforcement::Enforce),
    ("shadow", Enforcement::Shadow),
    ("off", Enforcement::Off),
];

/// The most calls or failures that a rule counts.
const MOST: u32 = 1_000_000;

/// What a ramp is that says nothing else.
const RAMP_FROM: Ratio = match Ratio::from_hundredths(1_000) {
    Some(ratio) => ratio,
    None => Ratio::ONE,
};
const RAMP_OVER: Duration = Duration::from_secs(30);

/// The most calls of a window that counts calls.
const MOST_IN_WINDOW: u32 = 65_536;

/// A breaker whose route has `timeout`; `None` when it makes no sense, which was reported, or in a layer that is not a whole.
pub(super) fn breaker(
    fields: &mut Fields<'_, '_>,
    timeout: Duration,
    scope: Scope,
) -> Option<BreakerSpec> {
    let entries = fields.entries();
    // In the order of the documentation, which is the order of `allowed here`.
    let mut keys = BreakerKeys::default();
    keys.enforcement = fields
        .parse("enforcement", word(&ENFORCEMENTS))
        .unwrap_or(keys.enforcement);
    keys.failure_threshold = fields
        .parse("failure_threshold", number(0, MOST))
        .unwrap_or(keys.failure_threshold);
    keys.failure_ratio = fields.parse("failure_ratio", or_off(ratio)).flatten();
    keys.slow_ratio = fields.parse("slow_ratio", or_off(ratio)).flatten();
    keys.slow_after = fields.parse("slow_after", or_off(some_time())).flatten();
    keys.window = fields.section("window", window).unwrap_or(keys.window);
    let min_calls = match keys.window {
        WindowSpec::Calls(calls) => calls.min(keys.min_calls),
        WindowSpec::Time(_) => keys.min_calls,
    };
    keys.min_calls = fields
        .parse("min_calls", number(0, MOST))
        .unwrap_or(min_calls);
    keys.success_threshold = fields
        .parse("success_threshold", number(0, MOST))
        .unwrap_or(keys.success_threshold);
    keys.half_open_max = fields
        .parse("half_open_max", number(0, MOST))
        .unwrap_or(keys.half_open_max);
    keys.probe_timeout = fields.parse("probe_timeout", some_time());
    keys.half_open_timeout = fields
        .parse("half_open_timeout", some_time())
        .unwrap_or(keys.half_open_timeout);
    keys.reset_timeout = fields
        .parse("reset_timeout", some_time())
        .unwrap_or(keys.reset_timeout);
    keys.reset_backoff = fields.section("reset_backoff", |fields| reset_backoff(fields, keys));
    keys.ramp = ramp(fields);
    let Scope::Route(route) = scope else {
        return None;
    };
    if keys.probe_timeout.is_some_and(|probe| probe > timeout) {
        let message =
            "`probe_timeout` is longer than the route's `timeout`, which ends the call first";
        fields.problems.push(Problem::error(
            Code::Timeouts,
            place(&entries, "probe_timeout").or(route),
            message,
        ));
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
    let time = fields.parse("time", some_time());
    let calls = fields.parse("calls", number(1, MOST_IN_WINDOW));
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
fn reset_backoff(fields: &mut Fields<'_, '_>, keys: BreakerKeys) -> ResetBackoff {
    let standard = keys.reset_backoff;
    ResetBackoff {
        factor: fields.parse("factor", factor).unwrap_or(standard.factor),
        max: fields
            .parse("max", some_time())
            .unwrap_or(standard.max.max(keys.reset_timeout)),
        jitter: fields.parse("jitter", ratio).unwrap_or(standard.jitter),
    }
}

/// `{from: 10%, over: 30s}`, both with these defaults, or `off`.
fn ramp(fields: &mut Fields<'_, '_>) -> Option<RampSpec> {
    if fields.is_off("ramp") || !fields.has("ramp") {
        fields.may_have("ramp");
        return None;
    }
    Some(fields.section("ramp", |fields| RampSpec {
        from: fields.parse("from", ratio).unwrap_or(RAMP_FROM),
        over: fields.parse("over", some_time()).unwrap_or(RAMP_OVER),
    }))
}

fn factor(text: &str) -> Result<f64, Invalid> {
    let invalid = || Invalid::new(Code::Malformed, "must be a number from 1 to 100");
    let plain = !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
    let factor: f64 = if plain {
        text.parse().map_err(|_| invalid())?
    } else {
        return Err(invalid());
    };
    if (1.0..=100.0).contains(&factor) {
        Ok(factor)
    } else {
        Err(Invalid::new(Code::OutOfRange, "must be from 1 to 100"))
    }
}
