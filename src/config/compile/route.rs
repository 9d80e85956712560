//! The settings of one route, all layers laid together.

use std::time::Duration;

use ::http::HeaderName;

use super::{
    Scope, breaker, classify, fallback, headers, keys, limits, matches, probe, retry, shadow,
    some_time, throttle, upstream,
};
use crate::config::fields::Fields;
use crate::config::plan::{RefusalForm, RoutePlan};
use crate::config::problem::{Code, Problem};
use crate::config::readers::{flag, or_off, word};
use crate::config::tree::Span;

/// Keys that the design names and this version does not know yet.
const NOT_YET: [&str; 1] = ["rewrite_redirects"];

/// The keys of a route, in the order of the documentation.
const KEYS: [&str; 17] = [
    "upstream",
    "match",
    "timeout",
    "attempt_timeout",
    "idle_timeout",
    "max_duration",
    "breaker",
    "classify",
    "throttle",
    "retry",
    "limits",
    "fallback",
    "probe",
    "shadow",
    "refusals",
    "headers",
    "preserve_host",
];

const REFUSALS: [(&str, RefusalForm); 2] = [
    ("problem", RefusalForm::Problem),
    ("graph", RefusalForm::Graph),
];

/// Reads route settings; `None` when they are not a whole route.
pub(super) fn route(
    fields: &mut Fields<'_, '_>,
    scope: Scope,
    preset: &str,
    correlation: &HeaderName,
) -> Option<RoutePlan> {
    let places = fields.entries();
    fields.order(&KEYS);
    fields.not_yet(&NOT_YET);
    let place = fields.key_span("upstream").unwrap_or(Span::BUILT_IN);
    let upstream = fields.section("upstream", |fields| {
        upstream::upstream(fields, place, scope)
    });
    let matches = match scope {
        Scope::Route(_) if fields.has("match") => Some(fields.section("match", matches::matches)),
        Scope::Route(_) => {
            fields.may_have("match");
            None
        }
        Scope::Shared => {
            fields.refuse("match", "belongs to a route");
            None
        }
    };
    let timeout = fields
        .parse("timeout", some_time())
        .unwrap_or(Duration::from_secs(20));
    let attempt_timeout = fields.parse("attempt_timeout", or_off(some_time()));
    let attempt_timeout = attempt_timeout.flatten();
    let idle_timeout = fields
        .parse("idle_timeout", some_time())
        .unwrap_or(Duration::from_secs(30));
    let max_duration = fields.parse("max_duration", or_off(some_time())).flatten();
    let preserve_host = fields.parse("preserve_host", flag).unwrap_or(false);
    let own = fields.node("breaker");
    let (breaker, keyed) = fields.section("breaker", |fields| {
        let breaker = breaker::breaker(fields, timeout, scope);
        (breaker, keys::keyed(fields))
    });
    let shadows = shadow::shadows(fields, own, timeout, scope);
    let classify = classify::classify(fields);
    let refusals = fields
        .parse("refusals", word(&REFUSALS))
        .unwrap_or_default();
    let throttle = throttle::throttle(fields, timeout, scope);
    let limits = fields.section("limits", |fields| limits::limits(fields, timeout, scope));
    let fallback = fallback::fallbacks(fields, correlation);
    let base_path = upstream.as_ref().map_or("", |upstream| &upstream.base_path);
    let probe = probe::probe(fields, base_path);
    let retry = fields.section("retry", |fields| {
        retry::retry(fields, attempt_timeout, scope)
    });
    let headers = fields.section("headers", |fields| headers::headers(fields, correlation));
    if let Scope::Route(name) = scope {
        let place = |key| {
            let entry = places.iter().find(|entry| entry.key.text == key);
            entry
                .map_or(Span::BUILT_IN, |entry| entry.key.span)
                .or(name)
        };
        let mut contradict = |key, message: &str| {
            let problem = Problem::error(Code::Timeouts, place(key), message);
            fields.problems.push(problem);
        };
        if attempt_timeout.is_some_and(|attempt| attempt > timeout) {
            contradict(
                "attempt_timeout",
                "`attempt_timeout` is longer than the route's `timeout`, which ends the call first",
            );
        }
        if max_duration.is_some_and(|most| most < timeout) {
            contradict(
                "max_duration",
                "`max_duration` is shorter than the route's `timeout`, which could then never be met",
            );
        }
    }
    Some(RoutePlan {
        preset: preset.to_owned(),
        upstream: upstream?,
        matches,
        timeout,
        attempt_timeout,
        idle_timeout,
        max_duration,
        preserve_host,
        breaker: breaker?,
        classify,
        refusals,
        throttle,
        limits,
        fallback,
        probe,
        keyed,
        shadows,
        retry: retry.map(Box::new),
        headers,
        overridden: None,
    })
}
