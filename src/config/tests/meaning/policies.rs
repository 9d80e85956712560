//! Retries, pauses and limits.

use std::time::Duration;

use super::*;
use crate::config::plan::{LimitsPlan, RateKey};
use crate::resilience::{Backoff, BulkheadSpec, Ratio, RetrySpec, ThrottleSpec};

#[test]
fn a_route_retries_only_if_asked_and_then_what_is_usually_safe() {
    for text in ["", "retry: {attempts: 1}", "retry: {base: 20ms}"] {
        assert_eq!(plan_of(&route(text)).retry, None, "{text}");
    }
    let usual = RetrySpec {
        attempts: 3,
        ..RetrySpec::default()
    };
    let plan = plan_of(&route("retry: {attempts: 3}"));
    assert_eq!(plan.retry.as_deref(), Some(&usual));
    assert_eq!((plan.attempt_timeout, plan.max_duration), (None, None));
    assert_eq!(
        usual.backoff,
        Backoff {
            base: Duration::from_millis(50),
            max: secs(1)
        }
    );
    assert_eq!(usual.max_retry_after, secs(10));
}

#[test]
fn a_retry_policy_merges_key_by_key_and_its_list_replaces() {
    let text = format!(
        "defaults: {{attempt_timeout: 2s, max_duration: 5m, retry: {{attempts: 4, retry_on: [429]}}}}\n{}",
        route(
            "retry: {retry_on: [connect, timeout, 502-504, 5xx], base: 2s, max_retry_after: 30s, retry_non_idempotent: true}"
        )
    );
    let plan = plan_of(&text);
    assert_eq!(
        (plan.attempt_timeout, plan.max_duration),
        (Some(secs(2)), Some(secs(300)))
    );
    let spec = plan.retry.unwrap();
    assert_eq!((spec.attempts, spec.max_retry_after), (4, secs(30)));
    assert!(spec.non_idempotent);
    assert_eq!(
        (spec.backoff.base, spec.backoff.max),
        (secs(2), secs(2)),
        "a maximum that nobody wrote cuts nothing"
    );
    assert_eq!(spec.on.words, ["connect", "timeout"]);
    assert!(spec.on.statuses.iter().eq(500..=599));
    let off = format!("{text}    attempt_timeout: off\n    max_duration: off\n");
    let plan = plan_of(&off);
    assert_eq!((plan.attempt_timeout, plan.max_duration), (None, None));
}

#[test]
fn a_retry_of_timeouts_without_time_for_it_is_a_warning() {
    let warned = |text: &str| good(&route(text)).warnings.warning_count();
    assert_eq!(warned("retry: {attempts: 2, retry_on: [timeout]}"), 1);
    assert_eq!(
        warned("attempt_timeout: 5s\nretry: {attempts: 2, retry_on: [timeout]}"),
        0
    );
    assert_eq!(warned("retry: {attempts: 2, retry_on: [503]}"), 0);
    assert_eq!(warned("retry: {attempts: 2}"), 0);
}

#[test]
fn an_upstreams_wish_for_a_pause_is_obeyed_unless_it_is_off() {
    assert_eq!(plan_of(&route("")).throttle, Some(ThrottleSpec::default()));
    assert_eq!(plan_of(&route("throttle: off")).throttle, None);
    let text = "throttle: {wait: 2s, max_waiting: 9, min: 1s, max: 10m, jitter: 10%}";
    let spec = ThrottleSpec {
        wait: secs(2),
        max_waiting: 9,
        min: secs(1),
        max: secs(600),
        jitter: Ratio::from_hundredths(1_000).unwrap(),
    };
    assert_eq!(plan_of(&route(text)).throttle, Some(spec));
    let over_off = format!(
        "defaults: {{throttle: off}}\n{}",
        route("throttle: {wait: 1s}")
    );
    let throttle = plan_of(&over_off).throttle;
    assert_eq!(throttle.map(|spec| spec.wait), Some(secs(1)));
}

#[test]
fn limits_are_off_until_they_are_written() {
    assert_eq!(plan_of(&route("")).limits, LimitsPlan::default());
    let limits = plan_of(&route(
        "limits:\n  concurrency: {max: 100, queue: 50}\n  rate: {per_second: 0.5, key: {header: X-Tenant-ID}}",
    ))
    .limits;
    let bulkhead = BulkheadSpec {
        max: 100,
        queue: 50,
        queue_timeout: secs(1),
    };
    assert_eq!(limits.concurrency, Some(bulkhead));
    let rate = limits.rate.unwrap();
    assert_eq!((rate.spec.interval(), rate.spec.burst()), (secs(2), 1));
    assert_eq!(
        rate.key,
        Some(RateKey::Header("x-tenant-id".parse().unwrap()))
    );
}

#[test]
fn limits_of_the_defaults_merge_with_the_routes_and_can_be_turned_off() {
    let shared = "defaults: {limits: {concurrency: {max: 9, queue: 2}, rate: {per_second: 60, burst: 80, key: {header: X-A}}}}\n";
    let limits = |settings: &str| plan_of(&format!("{shared}{}", route(settings))).limits;
    let merged =
        limits("limits: {concurrency: {queue: 5, queue_timeout: 2s}, rate: {key: client_ip}}");
    let bulkhead = BulkheadSpec {
        max: 9,
        queue: 5,
        queue_timeout: secs(2),
    };
    assert_eq!(merged.concurrency, Some(bulkhead));
    let rate = merged.rate.unwrap();
    assert_eq!(
        (rate.per_second, rate.spec.burst(), rate.key),
        (60.0, 80, Some(RateKey::ClientIp))
    );
    let off = limits("limits: {concurrency: off, rate: off}");
    assert_eq!(off, LimitsPlan::default());
}
