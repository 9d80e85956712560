//! `limits:` of a route.

use std::time::Duration;

use super::headers::header_name;
use super::{Scope, some_time};
use crate::config::fields::{Fields, mapping, value};
use crate::config::plan::{LimitsPlan, RateKey, RatePlan};
use crate::config::problem::{Code, Problem};
use crate::config::readers::{number, word};
use crate::config::tree::{Span, Value};
use crate::config::units::Invalid;
use crate::resilience::{BulkheadSpec, RateSpec};

/// The most calls at once, and the most that wait.
const MOST_CALLS: usize = 100_000;
/// How long a call waits in the queue unless it is said; the route's `timeout` if that is shorter.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) fn limits(fields: &mut Fields<'_, '_>, timeout: Duration, scope: Scope) -> LimitsPlan {
    let concurrency = if is_set(fields, "concurrency") {
        fields.section("concurrency", |fields| concurrency(fields, timeout, scope))
    } else {
        None
    };
    let rate = if is_set(fields, "rate") {
        fields.section("rate", |fields| rate(fields, scope))
    } else {
        None
    };
    LimitsPlan { concurrency, rate }
}

fn is_set(fields: &mut Fields<'_, '_>, key: &'static str) -> bool {
    fields.may_have(key);
    !fields.is_off(key) && fields.has(key)
}

/// `{max: 100, queue: 50, queue_timeout: 1s}`; `None` when it makes no sense, which was reported, or in a layer that is not a whole.
fn concurrency(
    fields: &mut Fields<'_, '_>,
    timeout: Duration,
    scope: Scope,
) -> Option<BulkheadSpec> {
    let (max_at, timeout_at) = (fields.key_span("max"), fields.key_span("queue_timeout"));
    let max = fields.parse("max", number(1, MOST_CALLS));
    let queue = fields.parse("queue", number(0, MOST_CALLS)).unwrap_or(0);
    let queue_timeout = fields.parse("queue_timeout", some_time());
    let Scope::Route(route) = scope else {
        return None;
    };
    if max_at.is_none() {
        missing(fields, route, ("concurrency", "max"), "add `max: 100`");
    }
    if let (Some(at), true) = (timeout_at, queue_timeout.is_some_and(|it| it > timeout)) {
        let message =
            "`queue_timeout` is longer than the route's `timeout`, which ends the call first";
        let problem = Problem::error(Code::Limits, at.or(route), message);
        fields.problems.push(problem);
    }
    if let (Some(at), 0) = (timeout_at, queue) {
        let problem = Problem::error(
            Code::Limits,
            at.or(route),
            "`queue_timeout` without a `queue`",
        );
        fields
            .problems
            .push(problem.hint("add `queue: 50`, or remove it"));
    }
    Some(BulkheadSpec {
        max: max?,
        queue,
        queue_timeout: queue_timeout.unwrap_or(QUEUE_TIMEOUT.min(timeout)),
    })
}

/// `{per_second: 60, burst: 80, key: {header: X-Tenant-ID}}`, as above.
fn rate(fields: &mut Fields<'_, '_>, scope: Scope) -> Option<RatePlan> {
    let rate_at = fields.key_span("per_second");
    let per_second = fields.parse("per_second", per_second);
    let burst = fields.parse("burst", number(1, RateSpec::MOST_BURST));
    let key = fields.take("key").map(|entry| &entry.node);
    let key = key.and_then(|node| match &node.value {
        Value::Mapping(_) => mapping("key", Some(node), fields.problems, header_key),
        Value::Null | Value::Scalar(_) | Value::Sequence(_) | Value::Unusable => {
            value("key", node, fields.problems, word(&[("client_ip", ())]))
                .map(|()| RateKey::ClientIp)
        }
    });
    let Scope::Route(route) = scope else {
        return None;
    };
    if rate_at.is_none() {
        missing(
            fields,
            route,
            ("rate", "per_second"),
            "add `per_second: 60`",
        );
    }
    let per_second = per_second?;
    // A second's worth, but always one.
    let burst = burst.unwrap_or(per_second.ceil() as u32);
    Some(RatePlan {
        per_second,
        spec: RateSpec::new(per_second, burst.max(1))?,
        key,
    })
}

/// `{header: X-Tenant-ID}`
fn header_key(fields: &mut Fields<'_, '_>) -> Option<RateKey> {
    let is_empty = fields.entries().is_empty();
    let name = fields.parse("header", header_name);
    if is_empty {
        let problem = Problem::error(Code::NoValue, fields.span, "`key` has no value");
        fields
            .problems
            .push(problem.hint("write `{header: X-Tenant-ID}` or `client_ip`"));
    }
    name.map(RateKey::Header)
}

fn missing(fields: &mut Fields<'_, '_>, route: Span, (section, key): (&str, &str), hint: &str) {
    let message = format!("`{section}` has no `{key}`");
    let problem = Problem::error(Code::Missing, fields.span.or(route), message);
    fields.problems.push(problem.hint(hint));
}

fn per_second(text: &str) -> Result<f64, Invalid> {
    let range = format!("from {} to {}", RateSpec::LEAST, RateSpec::MOST);
    let is_plain = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.')
        && text.bytes().any(|byte| byte.is_ascii_digit());
    let malformed = || {
        let invalid = Invalid::new(Code::Malformed, format!("must be a number {range}"));
        match text.strip_suffix("/m").or_else(|| text.strip_suffix("/s")) {
            Some(_) => invalid.hint("write calls per second, such as `0.5` for 30 a minute"),
            None => invalid,
        }
    };
    if !is_plain {
        return Err(malformed());
    }
    let rate: f64 = text.parse().map_err(|_| malformed())?;
    if (RateSpec::LEAST..=RateSpec::MOST).contains(&rate) {
        Ok(rate)
    } else {
        Err(Invalid::new(Code::OutOfRange, format!("must be {range}")))
    }
}
