//! What bounds a route's calls besides its breaker: the pause that its upstream asked for, and limits of our own.

use serde::Serialize;

use crate::resilience::{ThrottleView, View, explain};
use crate::snapshot::Limits;
use crate::time::Moment;

/// The pause that an upstream asked for.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Throttle {
    throttled: bool,
    since: Option<String>,
    /// The same instant that a refusal tells; `None` when the pause is over and calls leave one by one.
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
    /// `None` if the route ignores such pauses.
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

/// The breaker and what else holds calls back, in one sentence.
pub(super) fn sentence(view: &View, limits: &Limits, moment: &Moment) -> String {
    let breaker = explain(view, |instant| moment.phrase(instant));
    match limits.throttle.view(moment.now).explain() {
        Some(pause) => format!("{breaker}; {pause}"),
        None => breaker,
    }
}
