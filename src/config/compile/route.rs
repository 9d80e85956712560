//! The merged settings of one route.

use std::sync::Arc;
use std::time::Duration;

use ::http::HeaderName;

use super::times::{Timeout, Written, check_times};
use super::{
    Scope, breaker, classify, fallback, headers, keys, limits, matches, probe, retry, shadow,
    stale, throttle, upstream,
};
use crate::config::fields::Fields;
use crate::config::plan::RoutePlan;
use crate::config::tree::Span;

/// Reads route settings; `None` when they are not a whole route.
pub(super) fn route(
    fields: &mut Fields<'_, '_>,
    scope: Scope,
    preset: &str,
    correlation: &HeaderName,
) -> Option<RoutePlan> {
    let places = fields.entries();
    let place = fields.key_span("upstream").unwrap_or(Span::BUILT_IN);
    let upstream = fields.section("upstream", |fields| {
        upstream::upstream(fields, place, scope)
    });
    let matches = match scope {
        Scope::Route(_) if fields.has("match") => fields.section("match", matches::matches),
        Scope::Route(_) => None,
        Scope::Shared => {
            fields.refuse("match", "belongs to a route");
            None
        }
    };
    let timeout = Timeout {
        at: fields.key_span("timeout").unwrap_or(Span::BUILT_IN),
        time: fields.setting("timeout"),
    };
    let attempt_timeout: Option<Duration> = fields.setting("attempt_timeout");
    let idle_timeout = fields.setting("idle_timeout");
    let max_duration: Option<Duration> = fields.setting("max_duration");
    let preserve_host = fields.setting("preserve_host");
    let own = fields.node("breaker");
    let (breaker, keyed) = fields.section("breaker", |fields| {
        let enforcement = fields.setting("enforcement");
        let breaker = breaker::breaker(fields, enforcement, timeout, scope);
        (breaker, keys::keyed(fields))
    });
    let shadows = shadow::shadows(fields, own, timeout, scope);
    let classify = classify::classify(fields);
    let refusals = fields.setting("refusals");
    let throttle = throttle::throttle(fields, timeout, scope);
    let limits = fields.section("limits", |fields| limits::limits(fields, timeout, scope));
    let fallback = fallback::fallbacks(fields, correlation);
    let base_path = upstream.as_ref().map_or("", |upstream| &upstream.base_path);
    let probe = probe::probe(fields, base_path);
    let retry = fields.section("retry", |fields| retry::retry(fields, scope));
    let headers = fields.section("headers", |fields| headers::headers(fields, correlation));
    if let Scope::Route(name) = scope {
        let place = |key| {
            let entry = places.iter().find(|entry| entry.key.text == key);
            entry
                .map_or(Span::BUILT_IN, |entry| entry.key.span)
                .or(name)
        };
        let whose = (keyed.as_ref(), &limits);
        stale::refuse_neutral_keys(&fallback, whose, place("fallback"), fields.problems);
    }
    let plan = RoutePlan {
        preset: preset.to_owned(),
        upstream: Arc::new(upstream?),
        matches: matches.map(Box::new),
        timeout: timeout.time,
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
        probe: probe.map(Box::new),
        keyed: keyed.map(Box::new),
        shadows,
        retry: retry.map(Box::new),
        headers,
        overridden: None,
    };
    if let Scope::Route(route) = scope {
        let written = Written {
            settings: places,
            route,
        };
        check_times(&plan, &written, fields.problems);
    }
    Some(plan)
}
