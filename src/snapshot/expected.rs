//! Which series of a route exist at 0 before anything has happened: those of what it can do. A series that first appears with a value
//! hides its first increase from every query; one that can never move costs its keeper for nothing.

use super::route::Route;
use crate::telemetry::names::LimitLabel;

/// Makes them exist. Those of what a reload took away stay: what they counted has happened.
pub(super) fn expect(route: &Route) {
    let (plan, meters) = (&route.plan, &route.meters);
    if plan.retry.is_some() {
        meters.expect_retries();
    }
    if !plan.fallback.is_empty() {
        meters.expect_fallbacks();
    }
    if let Some(store) = &route.stale
        && store.plan().coalesce
    {
        meters.expect_coalesced();
    }
    if route.probe.is_some() {
        meters.expect_probes();
    }
    if plan.throttle.is_some_and(|spec| !spec.wait.is_zero()) {
        meters.expect_waits(LimitLabel::Throttle);
    }
    if plan.limits.concurrency.is_some() {
        meters.expect_waits(LimitLabel::Concurrency);
    }
}
