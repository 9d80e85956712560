//! Which series of a route exist at 0 from the start: those that its settings can move. A series that first appears with a
//! value hides its first increase from queries; one that can never move wastes memory in Prometheus.

use super::route::Route;
use crate::telemetry::names::LimitLabel;

/// Makes them exist. Series of what a reload removed stay, with what they counted.
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
