//! `throttle:` of a route.

use std::time::Duration;

use super::{Scope, duration, some_time};
use crate::config::fields::Fields;
use crate::config::problem::{Code, Problem};
use crate::config::readers::number;
use crate::config::tree::Span;
use crate::config::units::ratio;
use crate::resilience::ThrottleSpec;

/// The most calls that wait for a pause to end.
const MOST_WAITING: usize = 100_000;

/// How a route obeys an upstream that asks for a pause; `None`: not at all.
pub(super) fn throttle(
    fields: &mut Fields<'_, '_>,
    timeout: Duration,
    scope: Scope,
) -> Option<ThrottleSpec> {
    if fields.is_off("throttle") {
        return None;
    }
    let spec = fields.section("throttle", |fields| {
        let at = |key| fields.key_span(key).unwrap_or(Span::BUILT_IN);
        let (wait_at, bounds_at) = (at("wait"), at("min").or(at("max")));
        let standard = ThrottleSpec::default();
        let spec = ThrottleSpec {
            wait: fields
                .parse("wait", duration(Duration::ZERO))
                .unwrap_or(standard.wait),
            max_waiting: fields
                .parse("max_waiting", number(0, MOST_WAITING))
                .unwrap_or(standard.max_waiting),
            min: fields.parse("min", some_time()).unwrap_or(standard.min),
            max: fields.parse("max", some_time()).unwrap_or(standard.max),
            jitter: fields.parse("jitter", ratio).unwrap_or(standard.jitter),
        };
        if let Scope::Route(route) = scope {
            if spec.wait > timeout {
                let message =
                    "`wait` is longer than the route's `timeout`, which ends the call first";
                let problem = Problem::error(Code::Throttle, wait_at.or(route), message);
                fields.problems.push(problem);
            }
            if spec.min > spec.max {
                let message = "the throttle's `min` is more than its `max`";
                let problem = Problem::error(Code::Throttle, bounds_at.or(route), message);
                fields.problems.push(problem);
            }
        }
        spec
    });
    Some(spec)
}
