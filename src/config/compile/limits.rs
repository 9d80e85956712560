//! `limits:` of a route.

use super::Scope;
use super::headers::header_name;
use super::times::Timeout;
use crate::config::fields::{Fields, mapping, value};
use crate::config::keys::RATE_KEY;
use crate::config::plan::{LimitsPlan, RateKey, RatePlan};
use crate::config::problem::{Code, Problem};
use crate::config::readers::word;
use crate::config::standard;
use crate::config::tree::Value;
use crate::resilience::{BulkheadSpec, RateSpec};

pub(super) fn limits(fields: &mut Fields<'_, '_>, timeout: Timeout, scope: Scope) -> LimitsPlan {
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
    LimitsPlan {
        concurrency,
        rate: rate.map(Box::new),
    }
}

fn is_set(fields: &mut Fields<'_, '_>, key: &'static str) -> bool {
    !fields.is_off(key) && fields.has(key)
}

/// `{max: 100, queue: 50, queue_timeout: 1s}`; `None` if it is invalid, which was reported, or in a layer that is no whole
/// route.
fn concurrency(
    fields: &mut Fields<'_, '_>,
    timeout: Timeout,
    scope: Scope,
) -> Option<BulkheadSpec> {
    let (max_at, timeout_at) = (fields.key_span("max"), fields.key_span("queue_timeout"));
    let max = fields.read("max");
    let queue = fields.setting("queue");
    let queue_timeout = fields.read("queue_timeout");
    let Scope::Route(route) = scope else {
        return None;
    };
    if max_at.is_none() {
        missing(fields, ("concurrency", "max"), "add `max: 100`");
    }
    if let (Some(at), Some(time)) = (timeout_at, queue_timeout)
        && let Some(problem) = timeout.ends_before("queue_timeout", time, Code::Limits)
    {
        fields.problems.push(problem.at(at.or(route)));
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
        queue_timeout: queue_timeout.unwrap_or_else(|| standard::queue_timeout(timeout.time)),
    })
}

/// `{per_second: 60, burst: 80, key: {header: X-Tenant-ID}}`, as above.
fn rate(fields: &mut Fields<'_, '_>, scope: Scope) -> Option<RatePlan> {
    let rate_at = fields.key_span("per_second");
    let per_second: Option<f64> = fields.read("per_second");
    let burst = fields.read("burst");
    let key = fields.take("key").map(|entry| &entry.node);
    let key = key.and_then(|node| match &node.value {
        Value::Mapping(_) => mapping(&RATE_KEY, "key", Some(node), fields.problems, header_key),
        Value::Null | Value::Scalar(_) | Value::Sequence(_) | Value::Unusable => {
            value("key", node, fields.problems, word(&[("client_ip", ())]))
                .map(|()| RateKey::ClientIp)
        }
    });
    let Scope::Route(_) = scope else {
        return None;
    };
    if rate_at.is_none() {
        missing(fields, ("rate", "per_second"), "add `per_second: 60`");
    }
    let per_second = per_second?;
    let burst = burst.unwrap_or_else(|| standard::burst(per_second));
    Some(RatePlan {
        per_second,
        spec: RateSpec::new(per_second, burst)?,
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

fn missing(fields: &mut Fields<'_, '_>, (section, key): (&str, &str), hint: &str) {
    if !fields.span.is_in_file() {
        // It is no mapping, which was reported.
        return;
    }
    let message = format!("`{section}` has no `{key}`");
    let problem = Problem::error(Code::Missing, fields.span, message);
    fields.problems.push(problem.hint(hint));
}
