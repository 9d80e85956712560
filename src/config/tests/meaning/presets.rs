//! Presets, defaults and the breaker that comes of them.

use super::*;
use crate::config::plan::{KeySource, KeyedPlan};
use crate::resilience::{Enforcement, WindowSpec};

#[test]
fn built_in_presets_have_the_numbers_of_the_original() {
    let table = [
        ("database", 5, 10, 30),
        ("redis", 3, 5, 20),
        ("whatsapp", 5, 15, 60),
        ("email", 5, 10, 30),
        ("external-api", 10, 20, 60),
    ];
    assert_eq!(
        built_in_names().collect::<Vec<_>>(),
        table.map(|(name, ..)| name)
    );
    for (name, failures, timeout, reset) in table {
        let plan = plan_of(&route(&format!("preset: {name}")));
        let keys = plan.breaker.keys();
        assert_eq!(
            (keys.failure_threshold, plan.timeout, keys.reset_timeout),
            (failures, secs(timeout), secs(reset)),
            "{name}"
        );
        assert_eq!(
            (keys.success_threshold, keys.half_open_max),
            (2, 1),
            "{name}"
        );
        let pool = plan.upstream.pool;
        let knobs = (
            pool.max,
            pool.min,
            pool.acquire_timeout,
            pool.idle_timeout,
            pool.evict_every,
        );
        let want = if name == "database" {
            (20, 5, secs(30), secs(10), secs(1))
        } else {
            (256, 0, secs(30), secs(55), secs(1))
        };
        assert_eq!(knobs, want, "{name}");
    }
}

#[test]
fn a_route_without_a_preset_is_an_external_api_below_the_defaults() {
    let plain = plan_of(&route(""));
    assert_eq!(
        (
            plain.preset.as_str(),
            plain.timeout,
            plain.breaker.keys().failure_threshold
        ),
        ("external-api", secs(20), 10)
    );
    assert_eq!(
        plan_of(&format!("defaults: {{timeout: 7s}}\n{}", route(""))).timeout,
        secs(7)
    );
}

#[test]
fn built_in_then_defaults_then_presets_then_the_route() {
    let text = "\
version: 1
defaults: {timeout: 1s, idle_timeout: 1s, breaker: {min_calls: 1, success_threshold: 1}}
presets:
  low: {extends: redis, idle_timeout: 2s, breaker: {success_threshold: 2, half_open_max: 2}}
  high: {extends: low, breaker: {half_open_max: 3}}
routes:
  partner:
    preset: high
    upstream: https://api.example.com
    breaker: {reset_timeout: 9s}
";
    let plan = plan_of(text);
    let keys = plan.breaker.keys();
    assert_eq!(
        (plan.preset.as_str(), plan.timeout, plan.idle_timeout),
        ("high", secs(5), secs(2))
    );
    assert_eq!(
        (keys.min_calls, keys.success_threshold, keys.half_open_max),
        (1, 2, 3)
    );
    assert_eq!((keys.failure_threshold, keys.reset_timeout), (3, secs(9)));
}

#[test]
fn a_ramp_has_numbers_of_its_own_and_can_be_turned_off_again() {
    let ramp = |breaker: &str| {
        let text = format!("breaker: {{ramp: {breaker}}}");
        let ramp = plan_of(&route(&text)).breaker.keys().ramp;
        ramp.map(|ramp| (ramp.from.hundredths(), ramp.over))
    };
    assert_eq!(plan_of(&route("")).breaker.keys().ramp, None);
    assert_eq!(ramp("{}"), Some((1_000, secs(30))));
    assert_eq!(ramp("{from: 25%}"), Some((2_500, secs(30))));
    assert_eq!(ramp("{over: 2m}"), Some((1_000, secs(120))));
    let text = format!(
        "defaults: {{breaker: {{ramp: {{from: 20%}}}}}}\n{}",
        route("breaker: {ramp: off}")
    );
    assert_eq!(plan_of(&text).breaker.keys().ramp, None);
}

#[test]
fn a_breaker_has_keys_of_one_kind_or_none() {
    let keyed = |breaker: &str| plan_of(&route(&format!("breaker: {{{breaker}}}"))).keyed;
    assert_eq!(keyed(""), None);
    assert_eq!(keyed("max_keys: 5"), None);
    let header = KeySource::Header("x-tenant-id".parse().unwrap());
    for (text, by, max_keys) in [
        ("key: {header: X-Tenant-ID}", header, 1_000),
        (
            "key: {path_segment: 2}, max_keys: 5",
            KeySource::PathSegment(2),
            5,
        ),
        ("key: {host: true}", KeySource::Host, 1_000),
    ] {
        assert_eq!(
            keyed(text),
            Some(Box::new(KeyedPlan { by, max_keys })),
            "{text}"
        );
    }
    let below = |breaker: &str| {
        let settings = route(&format!("breaker: {breaker}"));
        let defaults = "defaults: {breaker: {key: {header: X-Tenant-ID}}}";
        plan_of(&format!("{defaults}\n{settings}"))
            .keyed
            .map(|plan| plan.by)
    };
    assert_eq!(
        below("{key: {host: true}}"),
        Some(KeySource::Host),
        "it replaces"
    );
    assert_eq!(below("{key: off}"), None);
}

#[test]
fn a_candidate_is_the_routes_breaker_but_for_what_it_says() {
    let text = "\
breaker: {enforcement: off, key: {host: true}, failure_threshold: 7, window: {calls: 50}}
shadow:
  strict: {failure_threshold: 2, window: {time: 10s}}
  ramped: {ramp: {}}
  gone: off
";
    let shadows = plan_of(&route(text)).shadows;
    let told: Vec<_> = shadows
        .iter()
        .map(|(name, spec)| {
            let keys = spec.keys();
            (
                name.as_str(),
                keys.enforcement,
                keys.failure_threshold,
                keys.window,
            )
        })
        .collect();
    let enforce = Enforcement::Enforce;
    assert_eq!(
        told,
        [
            ("ramped", enforce, 7, WindowSpec::Calls(50)),
            ("strict", enforce, 2, WindowSpec::Time(secs(10)))
        ]
    );
    assert!(shadows[0].1.keys().ramp.is_some());
    let inherited = format!(
        "defaults: {{shadow: {{a: {{failure_threshold: 1}}}}}}\n{}",
        route("shadow: off")
    );
    assert_eq!(plan_of(&inherited).shadows, []);
}

#[test]
fn a_window_of_few_calls_waits_for_no_more_than_it_holds() {
    let keys = |settings: &str| {
        *plan_of(&route(&format!(
            "breaker: {{failure_ratio: 50%, {settings}}}"
        )))
        .breaker
        .keys()
    };
    assert_eq!(
        (
            keys("window: {calls: 5}").window,
            keys("window: {calls: 5}").min_calls
        ),
        (WindowSpec::Calls(5), 5)
    );
    assert_eq!(keys("window: {calls: 500}").min_calls, 20);
    assert_eq!(keys("window: {calls: 50}, min_calls: 50").min_calls, 50);
}

#[test]
fn a_long_reset_timeout_raises_the_default_of_its_maximum() {
    let keys = *plan_of(&route("breaker: {reset_timeout: 20m}"))
        .breaker
        .keys();
    assert_eq!(keys.reset_backoff.max, secs(1200));
}

#[test]
fn ten_thousand_routes_of_one_preset_take_little_and_have_one_breakers_settings() {
    let text = format!("{}\n  other: {{upstream: https://b.example}}\n", route(""));
    let plans = good(&text).plan.routes;
    let keys: Vec<_> = plans.values().map(|plan| plan.breaker.keys()).collect();
    assert!(keys.len() == 2 && std::ptr::eq(keys[0], keys[1]), "{text}");
    // With everything else that they have, 10 000 must fit into 60 MiB.
    assert!(size_of::<RoutePlan>() <= 432, "{}", size_of::<RoutePlan>());
}
