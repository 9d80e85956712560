//! `throttle:` of a route.

use std::time::Duration;

use super::Scope;
use crate::config::fields::Fields;
use crate::config::problem::{Code, Problem};
use crate::config::tree::Span;
use crate::resilience::ThrottleSpec;

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
        let spec = ThrottleSpec {
            wait: fields.setting("wait"),
            max_waiting: fields.setting("max_waiting"),
            min: fields.setting("min"),
            max: fields.setting("max"),
            jitter: fields.setting("jitter"),
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
