//! `/metrics`: the counters, and gauges that are read from live objects.

use std::time::Instant;

use super::context::Context;
use crate::resilience::{Mode, State};
use crate::snapshot::Snapshot;
use crate::telemetry::names::{
    BREAKER_FORCED, BREAKER_KEYS, BREAKER_KEYS_UNTRACKED, BREAKER_RAMP, BREAKER_STATE, ENDPOINTS,
    LIMIT_IN_USE, LIMIT_MAX, LIMIT_QUEUED, LimitLabel, POOL_CONNECTIONS, SHADOW_OPENINGS,
    SHADOW_REJECTED, STALE_BYTES, STALE_ENTRIES, THROTTLED_SECONDS,
};
use crate::telemetry::{Exposition, Meters};

/// Every metric in the Prometheus text format, breakers as they stand at `now`. Costs nothing until it is called.
#[must_use]
pub(super) fn render_metrics(context: &Context, now: Instant) -> String {
    let snapshot = context.snapshot.load_full();
    // Read before anything is written: reading moves an open breaker whose time has come to half-open, which counts a
    // transition.
    let live: Vec<_> = snapshot
        .routes
        .iter()
        .map(|route| {
            let (state, mode) = route.breaker.in_force(now);
            (&*route.name, state, mode, &route.upstream)
        })
        .collect();
    Meters::render(&context.meters, |text: &mut Exposition| {
        let mut states = text.family(&BREAKER_STATE);
        for (name, state, _, _) in &live {
            for each in State::ALL {
                states.integer(&[name, each.label()], u64::from(*state == each));
            }
        }
        let mut forced = text.family(&BREAKER_FORCED);
        for (name, _, mode, _) in &live {
            for each in [Mode::ForcedOpen, Mode::ForcedClosed] {
                forced.integer(&[name, each.label()], u64::from(*mode == each));
            }
        }
        write_ramps(text, &snapshot, now);
        write_keys(text, &snapshot, now);
        write_shadows(text, &snapshot, now);
        let stores = || {
            let routes = snapshot.routes.iter();
            routes.filter_map(|route| Some((&*route.name, route.stale.as_ref()?)))
        };
        let mut bytes = text.family(&STALE_BYTES);
        for (name, store) in stores() {
            bytes.integer(&[name], store.bytes());
        }
        let mut entries = text.family(&STALE_ENTRIES);
        for (name, store) in stores() {
            entries.integer(&[name], store.entries() as u64);
        }
        let mut connections = text.family(&POOL_CONNECTIONS);
        for (name, _, _, upstream) in &live {
            let pool = upstream.statistics();
            for (state, count) in [
                ("size", pool.size),
                ("available", pool.available),
                ("using", pool.using),
                ("waiting", pool.waiting),
            ] {
                connections.integer(&[name, state], count as u64);
            }
        }
        let mut endpoints = text.family(&ENDPOINTS);
        for (name, _, _, upstream) in &live {
            let (all, ejected) = upstream.endpoints().count();
            for (state, count) in [("available", all - ejected), ("ejected", ejected)] {
                endpoints.integer(&[name, state], count as u64);
            }
        }
        limits(text, &snapshot, now);
    })
}

fn write_ramps(text: &mut Exposition, snapshot: &Snapshot, now: Instant) {
    let mut ramps = text.family(&BREAKER_RAMP);
    for route in &snapshot.routes {
        if let Some(share) = route.breaker.ramp_share(now) {
            ramps.float(&[&route.name], share.as_f64());
        }
    }
}

fn write_keys(text: &mut Exposition, snapshot: &Snapshot, now: Instant) {
    let counts: Vec<_> = snapshot
        .routes
        .iter()
        .filter_map(|route| Some((&*route.name, route.keyed.as_ref()?.counts(now))))
        .collect();
    let mut keys = text.family(&BREAKER_KEYS);
    for (name, counts) in &counts {
        for state in State::ALL {
            keys.integer(&[name, state.label()], counts.of(state) as u64);
        }
    }
    let mut untracked = text.family(&BREAKER_KEYS_UNTRACKED);
    for (name, counts) in &counts {
        untracked.integer(&[name], counts.untracked);
    }
}

fn write_shadows(text: &mut Exposition, snapshot: &Snapshot, now: Instant) {
    let watched: Vec<_> = snapshot
        .routes
        .iter()
        .filter_map(|route| Some((&*route.name, route.shadows.as_ref()?)))
        .collect();
    let mut rejected = text.family(&SHADOW_REJECTED);
    for (name, shadows) in &watched {
        for (shadow, report) in shadows.reports(now) {
            rejected
                .integer(&[name, shadow, "success"], report.rejected_successes)
                .integer(&[name, shadow, "failure"], report.rejected_failures);
        }
    }
    let mut openings = text.family(&SHADOW_OPENINGS);
    for (name, shadows) in &watched {
        for (shadow, report) in shadows.reports(now) {
            openings.integer(&[name, shadow], report.would_open);
        }
    }
}

/// The limits besides breakers. A route without a limit has no series for it.
fn limits(text: &mut Exposition, snapshot: &Snapshot, now: Instant) {
    let routes: Vec<_> = snapshot
        .routes
        .iter()
        .map(|route| {
            let limits = &route.limits;
            let bulkhead = limits.bulkhead.as_ref().map(|it| it.view());
            (&*route.name, limits.throttle.view(now), bulkhead)
        })
        .collect();
    let mut throttled = text.family(&THROTTLED_SECONDS);
    for (name, pause, _) in &routes {
        throttled.float(&[name], pause.paused.as_secs_f64());
    }
    let mut most = text.family(&LIMIT_MAX);
    for (name, _, bulkhead) in &routes {
        if let Some(bulkhead) = bulkhead {
            most.integer(&[name], bulkhead.max as u64);
        }
    }
    let mut in_use = text.family(&LIMIT_IN_USE);
    for (name, _, bulkhead) in &routes {
        if let Some(bulkhead) = bulkhead {
            in_use.integer(&[name], bulkhead.in_use as u64);
        }
    }
    let mut queued = text.family(&LIMIT_QUEUED);
    for (place, (name, pause, bulkhead)) in routes.iter().enumerate() {
        if let Some(bulkhead) = bulkhead {
            let label = LimitLabel::Concurrency.label();
            queued.integer(&[name, label], bulkhead.waiting as u64);
        }
        let throttle = snapshot.routes[place].plan.throttle;
        if pause.waiting > 0 || throttle.is_some_and(|spec| !spec.wait.is_zero()) {
            queued.integer(&[name, LimitLabel::Throttle.label()], pause.waiting as u64);
        }
    }
}
