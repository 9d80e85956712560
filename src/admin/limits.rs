//! What bounds a route's calls besides its breaker: the pause that its upstream asked for, and limits of our own.

use serde::Serialize;

use super::moment::Moment;
use super::settings::duration;
use crate::config::plan::{LimitsPlan, RateKey};
use crate::resilience::{ThrottleSpec, ThrottleView, View, explain};
use crate::snapshot::Limits;

/// The pause that an upstream asked for.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Throttle {
    throttled: bool,
    since: Option<String>,
    /// The same instant that a refusal tells; none when the pause is over and calls leave one by one.
    until: Option<String>,
    waiting: usize,
    signals_in_a_row: u32,
    /// Keys with a pause of their own.
    keys: usize,
}

/// Limits of our own.
#[derive(Serialize)]
pub(super) struct Limited {
    concurrency: Option<Concurrency>,
    rate: Option<Rate>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Concurrency {
    max: usize,
    in_use: usize,
    waiting: usize,
}

#[derive(Serialize)]
struct Rate {
    /// Keys with a bucket of their own.
    keys: usize,
}

impl Throttle {
    /// `None` where no wish is obeyed.
    pub(super) fn of(limits: &Limits, moment: &Moment) -> Option<Self> {
        limits.throttle.spec()?;
        let ThrottleView {
            now: _,
            since,
            until,
            signals_in_a_row,
            waiting,
            keys,
            paused: _,
        } = limits.throttle.view(moment.now);
        Some(Self {
            throttled: since.is_some() || keys > 0,
            since: since.map(|since| moment.stamp(since)),
            until: until.map(|until| moment.stamp(until)),
            waiting,
            signals_in_a_row,
            keys,
        })
    }
}

impl Limited {
    pub(super) fn of(limits: &Limits) -> Self {
        let concurrency = limits.bulkhead.as_ref().map(|bulkhead| {
            let view = bulkhead.view();
            Concurrency {
                max: view.max,
                in_use: view.in_use,
                waiting: view.waiting,
            }
        });
        let rate = limits.rate.as_ref().map(|rate| Rate {
            keys: rate.limit.keys(),
        });
        Self { concurrency, rate }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ThrottleSettings {
    wait: String,
    max_waiting: usize,
    min: String,
    max: String,
    jitter: String,
}

#[derive(Serialize)]
pub(super) struct LimitSettings {
    concurrency: Option<ConcurrencySettings>,
    rate: Option<RateSettings>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ConcurrencySettings {
    max: usize,
    queue: usize,
    queue_timeout: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RateSettings {
    per_second: f64,
    burst: u32,
    /// The header's name, or `client_ip`.
    key: Option<String>,
}

impl ThrottleSettings {
    pub(super) fn of(spec: &ThrottleSpec) -> Self {
        Self {
            wait: duration(spec.wait),
            max_waiting: spec.max_waiting,
            min: duration(spec.min),
            max: duration(spec.max),
            jitter: spec.jitter.to_string(),
        }
    }
}

impl LimitSettings {
    pub(super) fn of(LimitsPlan { concurrency, rate }: &LimitsPlan) -> Self {
        Self {
            concurrency: concurrency.as_ref().map(|spec| ConcurrencySettings {
                max: spec.max,
                queue: spec.queue,
                queue_timeout: duration(spec.queue_timeout),
            }),
            rate: rate.as_ref().map(|plan| RateSettings {
                per_second: plan.per_second,
                burst: plan.spec.burst(),
                key: plan.key.as_ref().map(|key| match key {
                    RateKey::Header(name) => format!("header {name}"),
                    RateKey::ClientIp => "client_ip".to_owned(),
                }),
            }),
        }
    }
}

/// The breaker and what else holds calls back, in one sentence.
pub(super) fn sentence(view: &View, limits: &Limits, moment: &Moment) -> String {
    let breaker = explain(view, |instant| moment.phrase(instant));
    match limits.throttle.view(moment.now).explain() {
        Some(pause) => format!("{breaker}; {pause}"),
        None => breaker,
    }
}
