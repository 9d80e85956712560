//! A route's settings in force, in the notation of the configuration. Header edits are not shown: they may hold secrets.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Serialize;

use super::fallbacks::FallbackSettings;
use super::limits::{LimitSettings, ThrottleSettings};
use super::moment::stamp;
use super::rules::RuleSettings;
use crate::config::plan::{EndpointPlan, Forced, KeySource, OverridePlan, RefusalForm, Resolve};
use crate::resilience::{
    Backoff, BreakerKeys, Enforcement, RampSpec, Ratio, ResetBackoff, RetrySpec, WindowSpec,
};
use crate::snapshot::Route;

/// The settings of a route and its breaker.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Settings {
    preset: String,
    upstream: String,
    /// Where connections go instead.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    endpoints: Vec<String>,
    resolve: &'static str,
    timeout: String,
    attempt_timeout: Option<String>,
    idle_timeout: String,
    max_duration: Option<String>,
    connect_timeout: String,
    pool: PoolSettings,
    breaker: BreakerSettings,
    classify: Vec<RuleSettings>,
    refusals: &'static str,
    fallback: Vec<FallbackSettings>,
    probe: Option<ProbeSettings>,
    throttle: Option<ThrottleSettings>,
    limits: LimitSettings,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    shadow: BTreeMap<String, BreakerSettings>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<RetrySettings>,
    /// The hold that the configuration orders, whether it is in force or not.
    #[serde(rename = "override")]
    overridden: Option<Overridden>,
}

/// Without the path's query, which may hold a secret.
#[derive(Serialize)]
struct ProbeSettings {
    path: String,
    every: String,
    timeout: String,
    expect: Vec<String>,
}

#[derive(Serialize)]
struct Overridden {
    force: &'static str,
    until: Option<String>,
    reason: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RetrySettings {
    attempts: u32,
    retry_on: Vec<String>,
    base: String,
    max: String,
    max_retry_after: String,
    retry_non_idempotent: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PoolSettings {
    max: usize,
    min: usize,
    acquire_timeout: String,
    idle_timeout: String,
    evict_every: String,
    max_lifetime: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BreakerSettings {
    enforcement: &'static str,
    failure_threshold: u32,
    failure_ratio: Option<String>,
    slow_ratio: Option<String>,
    slow_after: Option<String>,
    window: WindowSettings,
    min_calls: u32,
    success_threshold: u32,
    half_open_max: u32,
    probe_timeout: Option<String>,
    half_open_timeout: String,
    reset_timeout: String,
    reset_backoff: BackoffSettings,
    ramp: Option<RampSettings>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<KeySettings>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_keys: Option<usize>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum WindowSettings {
    Time(String),
    Calls(u32),
}

#[derive(Serialize)]
struct BackoffSettings {
    factor: f64,
    max: String,
    jitter: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum KeySettings {
    Header(String),
    PathSegment(usize),
    Host(bool),
}

#[derive(Serialize)]
struct RampSettings {
    from: String,
    over: String,
}

impl Settings {
    /// The settings in force of that route.
    pub(super) fn of(route: &Route) -> Self {
        let plan = &route.plan;
        let pool = &plan.upstream.pool;
        Self {
            preset: plan.preset.clone(),
            upstream: (*route.upstream_label).to_owned(),
            endpoints: plan
                .upstream
                .endpoints
                .iter()
                .map(EndpointPlan::label)
                .collect(),
            resolve: match plan.upstream.resolve {
                Resolve::One => "one",
                Resolve::All => "all",
            },
            timeout: duration(plan.timeout),
            attempt_timeout: plan.attempt_timeout.map(duration),
            idle_timeout: duration(plan.idle_timeout),
            max_duration: plan.max_duration.map(duration),
            connect_timeout: duration(plan.upstream.connect_timeout),
            pool: PoolSettings {
                max: pool.max,
                min: pool.min,
                acquire_timeout: duration(pool.acquire_timeout),
                idle_timeout: duration(pool.idle_timeout),
                evict_every: duration(pool.evict_every),
                max_lifetime: duration(pool.max_lifetime),
            },
            breaker: BreakerSettings {
                key: plan.keyed.as_ref().map(|keyed| match &keyed.by {
                    KeySource::Header(name) => KeySettings::Header(name.to_string()),
                    KeySource::PathSegment(place) => KeySettings::PathSegment(*place),
                    KeySource::Host => KeySettings::Host(true),
                }),
                max_keys: plan.keyed.as_ref().map(|keyed| keyed.max_keys),
                ..BreakerSettings::of(route.breaker.spec().keys())
            },
            classify: plan.classify.iter().map(RuleSettings::of).collect(),
            refusals: match plan.refusals {
                RefusalForm::Problem => "problem",
                RefusalForm::Graph => "graph",
            },
            fallback: FallbackSettings::all(&plan.fallback),
            probe: plan.probe.as_ref().map(|probe| ProbeSettings {
                path: probe.path.path().to_owned(),
                every: duration(probe.every),
                timeout: duration(probe.timeout),
                expect: probe.expect.iter().map(statuses).collect(),
            }),
            throttle: plan.throttle.as_ref().map(ThrottleSettings::of),
            limits: LimitSettings::of(&plan.limits),
            shadow: plan
                .shadows
                .iter()
                .map(|(name, spec)| (name.clone(), BreakerSettings::of(spec.keys())))
                .collect(),
            retry: plan.retry.as_deref().map(RetrySettings::of),
            overridden: plan.overridden.as_ref().map(Overridden::of),
        }
    }
}

impl Overridden {
    fn of(plan: &OverridePlan) -> Self {
        Self {
            force: match plan.force {
                Forced::Open => "open",
                Forced::Closed => "closed",
            },
            until: plan.until.map(stamp),
            reason: plan.reason.clone(),
        }
    }
}

impl RetrySettings {
    fn of(spec: &RetrySpec) -> Self {
        let RetrySpec {
            attempts,
            on,
            backoff: Backoff { base, max },
            max_retry_after,
            non_idempotent,
        } = spec;
        let words = on.words.iter().map(|word| (*word).to_owned());
        let statuses = on.statuses.iter().map(|status| status.to_string());
        Self {
            attempts: *attempts,
            retry_on: words.chain(statuses).collect(),
            base: duration(*base),
            max: duration(*max),
            max_retry_after: duration(*max_retry_after),
            retry_non_idempotent: *non_idempotent,
        }
    }
}

impl BreakerSettings {
    fn of(keys: &BreakerKeys) -> Self {
        let BreakerKeys {
            enforcement,
            failure_threshold,
            failure_ratio,
            slow_ratio,
            slow_after,
            window,
            min_calls,
            success_threshold,
            half_open_max,
            probe_timeout,
            half_open_timeout,
            reset_timeout,
            reset_backoff:
                ResetBackoff {
                    factor,
                    max,
                    jitter,
                },
            ramp,
        } = *keys;
        let share = |ratio: Option<Ratio>| ratio.map(|ratio| ratio.to_string());
        Self {
            enforcement: self::enforcement(enforcement),
            failure_threshold,
            failure_ratio: share(failure_ratio),
            slow_ratio: share(slow_ratio),
            slow_after: slow_after.map(duration),
            window: match window {
                WindowSpec::Time(time) => WindowSettings::Time(duration(time)),
                WindowSpec::Calls(calls) => WindowSettings::Calls(calls),
            },
            min_calls,
            success_threshold,
            half_open_max,
            probe_timeout: probe_timeout.map(duration),
            half_open_timeout: duration(half_open_timeout),
            reset_timeout: duration(reset_timeout),
            reset_backoff: BackoffSettings {
                factor,
                max: duration(max),
                jitter: jitter.to_string(),
            },
            ramp: ramp.map(|RampSpec { from, over }| RampSettings {
                from: from.to_string(),
                over: duration(over),
            }),
            key: None,
            max_keys: None,
        }
    }
}

/// The word for it.
pub(super) const fn enforcement(enforcement: Enforcement) -> &'static str {
    match enforcement {
        Enforcement::Enforce => "enforce",
        Enforcement::Shadow => "shadow",
        Enforcement::Off => "off",
    }
}

/// Statuses in the notation of the configuration.
fn statuses(range: &RangeInclusive<u16>) -> String {
    let (first, last) = (range.start(), range.end());
    if first == last {
        first.to_string()
    } else {
        format!("{first}-{last}")
    }
}

/// A duration in the notation of the configuration: `1m30s`; what is below a millisecond is cut.
pub(super) fn duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    let parts = [
        (millis / 3_600_000, "h"),
        (millis / 60_000 % 60, "m"),
        (millis / 1_000 % 60, "s"),
        (millis % 1_000, "ms"),
    ];
    let mut text = String::new();
    for (count, unit) in parts.into_iter().filter(|(count, _)| *count > 0) {
        // Writing to a String cannot fail.
        let _ = write!(text, "{count}{unit}");
    }
    if text.is_empty() {
        text.push_str("0s");
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_duration_reads_back_as_what_it_was(millis in 0_u64..10_000_000_000) {
            let whole = Duration::from_millis(millis);
            prop_assert_eq!(crate::config::units::duration(&duration(whole)), Ok(whole));
        }
    }
}
