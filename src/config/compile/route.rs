//! The settings of one route, all layers laid together.

use std::time::Duration;

use ::http::HeaderName;

use super::{
    Scope, breaker, classify, fallback, headers, keys, matches, probe, shadow, some_time, upstream,
};
use crate::config::fields::Fields;
use crate::config::plan::{RefusalForm, RoutePlan};
use crate::config::readers::{flag, word};
use crate::config::tree::Span;

/// Keys that the design names and this version does not know yet.
const NOT_YET: [&str; 6] = [
    "retry",
    "limits",
    "throttle",
    "attempt_timeout",
    "max_duration",
    "rewrite_redirects",
];

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
    let idle_timeout = fields
        .parse("idle_timeout", some_time())
        .unwrap_or(Duration::from_secs(30));
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
    let fallback = fallback::fallbacks(fields, correlation);
    let base_path = upstream.as_ref().map_or("", |upstream| &upstream.base_path);
    let probe = probe::probe(fields, base_path);
    let headers = fields.section("headers", |fields| headers::headers(fields, correlation));
    Some(RoutePlan {
        preset: preset.to_owned(),
        upstream: upstream?,
        matches,
        timeout,
        idle_timeout,
        preserve_host,
        breaker: breaker?,
        classify,
        refusals,
        fallback,
        probe,
        keyed,
        shadows,
        headers,
        overridden: None,
    })
}
