//! `throttle:` of a route.

use super::Scope;
use super::times::Timeout;
use crate::config::fields::Fields;
use crate::config::problem::{Code, Problem};
use crate::config::tree::Span;
use crate::resilience::ThrottleSpec;

/// How a route obeys an upstream that asks for a pause; `None` if it does not.
pub(super) fn throttle(
    fields: &mut Fields<'_, '_>,
    timeout: Timeout,
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
            if let Some(problem) = timeout.ends_before("wait", spec.wait, Code::Throttle) {
                fields.problems.push(problem.at(wait_at.or(route)));
            }
            if spec.max_waiting == 0 && !spec.wait.is_zero() && wait_at.is_in_file() {
                let message = "`wait` does nothing, because `max_waiting: 0` lets no call wait";
                let problem = Problem::warning(Code::Throttle, wait_at, message);
                fields
                    .problems
                    .push(problem.hint("write `wait: 0s`, or raise it"));
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
