//! What watches a route's calls besides its own breaker: the breakers of its keys, and its candidates.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Notify;

use super::observer::{key_observer, shadow_observer};
use super::route::Route;
use super::waiters::Waiters;
use crate::config::plan::{KeyedPlan, RoutePlan};
use crate::resilience::{Keyed, Shadows};

/// The watchers that a route has.
#[derive(Clone, Debug, Default)]
pub(super) struct Watchers {
    pub(super) keyed: Option<Arc<Keyed>>,
    pub(super) shadows: Option<Arc<Shadows>>,
}

impl Watchers {
    /// Builds the watchers of a plan. Survivors keep their state, and their settings until [`respec`]; breakers of keys survive
    /// if the same part of the request is the key.
    pub(super) fn new(
        (name, waiters): (&Arc<str>, &Arc<Waiters>),
        plan: &RoutePlan,
        survivor: Option<&Route>,
        (seed, changed, now): (u64, &Arc<Notify>, Instant),
    ) -> Self {
        let keyed = plan.keyed.as_ref().map(|keyed| {
            let old = survivor.and_then(|old| old.plan.keyed.as_ref().zip(old.keyed.as_ref()));
            if let Some((before, old)) = old
                && before.by == keyed.by
            {
                return Arc::clone(old);
            }
            let (changed, waiters) = (Arc::clone(changed), Arc::clone(waiters));
            let observer = key_observer(Arc::clone(name), changed, waiters);
            let fresh = Keyed::new(plan.breaker.clone(), keyed.max_keys, seed, observer);
            if let Some((_, old)) = old {
                fresh.follow(old);
            }
            fresh
        });
        let shadows = (!plan.shadows.is_empty()).then(|| {
            let old = survivor.and_then(|old| old.shadows.as_deref());
            let observer = shadow_observer(Arc::clone(name), Arc::clone(changed));
            Shadows::new(&plan.shadows, old, now, observer)
        });
        Self { keyed, shadows }
    }
}

/// Gives survivors their new settings.
pub(super) fn respec(route: &Route, now: Instant) {
    let plan = &route.plan;
    if let (Some(keyed), Some(KeyedPlan { by: _, max_keys })) =
        (&route.keyed, plan.keyed.as_deref())
    {
        keyed.respec(&plan.breaker, *max_keys, now);
    }
    if let Some(shadows) = &route.shadows {
        shadows.respec(&plan.shadows, now);
    }
}
