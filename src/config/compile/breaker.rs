//! `breaker:` of a route.

use std::time::Duration;

use super::{Scope, duration, some_time};
use crate::config::fields::{Fields, number, or_off, word};
use crate::config::problem::{Code, Problem};
use crate::config::tree::Span;
use crate::config::units::{Invalid, ratio};
use crate::resilience::breaker::spec::{BreakerKeys, Enforcement, ResetBackoff, WindowSpec};
use crate::resilience::{BreakerSpec, Ratio};

/// Keys that the design names and this version does not know yet.
const NOT_YET: [&str; 4] = ["ramp", "key", "max_keys", "shadow"];

const ENFORCEMENTS: [(&str, Enforcement); 3] =
    [("enforce", Enforcement::Enforce), ("shadow", Enforcement::Shadow), ("off", Enforcement::Off)];

const NO_JITTER: Ratio = match Ratio::from_hundredths(0) {
    Some(zero) => zero,
    None => Ratio::ONE,
};

/// The most calls or failures that a rule counts.
const MOST: u32 = 1_000_000;

/// A breaker whose route has `timeout`; `None` when it makes no sense, which was reported, or in a layer that is not a whole.
pub(super) fn breaker(fields: &mut Fields<'_, '_>, timeout: Duration, scope: Scope) -> Option<BreakerSpec> {
    fields.not_yet(&NOT_YET);
    let places = fields.places();
    let window = fields.section("window", window).unwrap_or(WindowSpec::Time(Duration::from_secs(30)));
    let reset_timeout = fields.parse("reset_timeout", some_time()).unwrap_or(Duration::from_secs(60));
    let min_calls = fields.parse("min_calls", number(1, MOST)).unwrap_or(match window {
        WindowSpec::Calls(calls) => calls.min(20),
        WindowSpec::Time(_) => 20,
    });
    let keys = BreakerKeys {
        enforcement: fields.parse("enforcement", word(&ENFORCEMENTS)).unwrap_or(Enforcement::Enforce),
        failure_threshold: fields.parse("failure_threshold", number(0, MOST)).unwrap_or(10),
        failure_ratio: fields.parse("failure_ratio", or_off(ratio)).flatten(),
        slow_ratio: fields.parse("slow_ratio", or_off(ratio)).flatten(),
        slow_after: fields.parse("slow_after", or_off(some_time())).flatten(),
        window,
        min_calls,
        success_threshold: fields.parse("success_threshold", number(1, MOST)).unwrap_or(2),
        half_open_max: fields.parse("half_open_max", number(1, MOST)).unwrap_or(1),
        probe_timeout: fields.parse("probe_timeout", some_time()),
        half_open_timeout: fields.parse("half_open_timeout", some_time()).unwrap_or(Duration::from_secs(30)),
        reset_timeout,
        reset_backoff: fields.section("reset_backoff", |fields| reset_backoff(fields, reset_timeout)),
    };
    let Scope::Route(route) = scope else { return None };
    let place = |key: &str| places.iter().find(|(name, _)| *name == key).map_or(Span::BUILT_IN, |(_, span)| *span).or(route);
    if keys.probe_timeout.is_some_and(|probe| probe > timeout) {
        let message = "`probe_timeout` is longer than the route's `timeout`, which ends the call first";
        fields.problems.push(Problem::error(Code::Timeouts, place("probe_timeout"), message));
    }
    match BreakerSpec::try_new(keys) {
        Ok(spec) => Some(spec),
        Err(found) => {
            for problem in found {
                fields.problems.push(Problem::error(Code::Breaker, place(problem.key), problem.message.to_string()));
            }
            None
        }
    }
}

/// `{time: 30s}` or `{calls: 100}`.
fn window(fields: &mut Fields<'_, '_>) -> Option<WindowSpec> {
    let empty = fields.span.is_in_file() && fields.places().is_empty();
    let calls_at = fields.key_span("calls");
    let time = fields.parse("time", some_time());
    let calls = fields.parse("calls", number(1, MOST));
    match (time, calls, calls_at) {
        (Some(_), _, Some(span)) => {
            let problem = Problem::error(Code::Breaker, span, "`window` is either a time or a number of calls");
            fields.problems.push(problem.hint("remove one of the two"));
            None
        }
        (Some(time), _, None) => Some(WindowSpec::Time(time)),
        (None, Some(calls), _) => Some(WindowSpec::Calls(calls)),
        (None, None, _) => {
            if empty {
                let problem = Problem::error(Code::NoValue, fields.span, "`window` has no value");
                fields.problems.push(problem.hint("write `{time: 30s}` or `{calls: 100}`"));
            }
            None
        }
    }
}

fn reset_backoff(fields: &mut Fields<'_, '_>, reset_timeout: Duration) -> ResetBackoff {
    ResetBackoff {
        factor: fields.parse("factor", factor).unwrap_or(1.0),
        max: fields.parse("max", duration(Duration::ZERO)).unwrap_or(Duration::from_secs(600).max(reset_timeout)),
        jitter: fields.parse("jitter", ratio).unwrap_or(NO_JITTER),
    }
}

fn factor(text: &str) -> Result<f64, Invalid> {
    let invalid = || Invalid::new(Code::Malformed, "must be a number from 1 to 100");
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let factor: f64 = if plain { text.parse().map_err(|_| invalid())? } else { return Err(invalid()) };
    if (1.0..=100.0).contains(&factor) { Ok(factor) } else { Err(Invalid::new(Code::OutOfRange, "must be from 1 to 100")) }
}
