//! The live limits of a route besides its breaker: its throttle, its bulkhead, its rate. All of them survive a reload.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Notify;

use super::waiters::Waiters;
use crate::config::plan::{LimitsPlan, RateKey, RoutePlan};
use crate::resilience::{Bulkhead, Change, RateLimit, Throttle, ThrottleObserver};
use crate::telemetry::RouteMeters;
use crate::time::Moment;

/// The limits of a route besides its breaker.
#[derive(Debug)]
pub struct Limits {
    /// The pause that its upstream asked for.
    pub throttle: Arc<Throttle>,
    /// Bounds how many calls are in flight at once.
    pub bulkhead: Option<Arc<Bulkhead>>,
    /// Bounds how many calls start per second.
    pub rate: Option<Rate>,
    /// The calls that wait for the throttle, the bulkhead or a connection.
    pub(super) waiters: Arc<Waiters>,
}

/// The rate limit of a route.
#[derive(Debug)]
pub struct Rate {
    /// The buckets.
    pub limit: Arc<RateLimit>,
    /// The key of a bucket; `None` if all calls share one.
    pub key: Option<RateKey>,
}

/// What limits are made from.
pub(super) struct Origin<'a> {
    pub(super) plan: &'a RoutePlan,
    pub(super) survivor: Option<&'a Limits>,
    pub(super) meters: &'a Arc<RouteMeters>,
    /// Notified when a pause begins or ends.
    pub(super) changed: &'a Arc<Notify>,
    /// Decides the jitter.
    pub(super) seed: u64,
}

impl Limits {
    /// Builds what is new and takes over what survives; survivors get their settings in [`Limits::respec`].
    pub(super) fn new(origin: &Origin<'_>, now: Instant) -> Self {
        let Origin {
            plan,
            survivor,
            meters,
            changed,
            seed,
        } = *origin;
        let waiters = match survivor {
            Some(limits) => Arc::clone(&limits.waiters),
            None => {
                let observer = observer(Arc::clone(meters.name()), Arc::clone(changed));
                let throttle = Throttle::new(plan.throttle, seed, now, observer);
                Arc::new(Waiters::new(throttle))
            }
        };
        let LimitsPlan { concurrency, rate } = &plan.limits;
        let bulkhead = concurrency.map(|spec| waiters.bulkhead(spec));
        let rate = rate.as_ref().map(|plan| {
            // Buckets of another key are of no use.
            let old = survivor
                .and_then(|limits| limits.rate.as_ref())
                .filter(|old| old.key == plan.key);
            Rate {
                limit: old.map_or_else(
                    || Arc::new(RateLimit::new(plan.spec)),
                    |old| Arc::clone(&old.limit),
                ),
                key: plan.key.clone(),
            }
        });
        Self {
            throttle: Arc::clone(&waiters.throttle),
            bulkhead,
            rate,
            waiters,
        }
    }

    /// Wakes all calls that wait for a connection when a breaker of the route opens: they would wait in vain.
    #[must_use]
    pub fn roused(&self) -> &Notify {
        &self.waiters.connection
    }

    /// Gives survivors the settings of the plan; nothing of their state is lost.
    pub(super) fn respec(&self, plan: &RoutePlan, now: Instant) {
        if self.throttle.spec() != plan.throttle {
            self.throttle.respec(plan.throttle, now);
        }
        let LimitsPlan { concurrency, rate } = &plan.limits;
        if let (Some(bulkhead), Some(spec)) = (&self.bulkhead, concurrency)
            && bulkhead.spec() != *spec
        {
            bulkhead.respec(*spec);
        }
        if let (Some(live), Some(plan)) = (&self.rate, rate)
            && live.limit.spec() != plan.spec
        {
            live.limit.respec(plan.spec);
        }
    }
}

/// Logs when a pause begins and when calls pass again. The pause of a route is a warning: traffic is being refused.
fn observer(route: Arc<str>, changed: Arc<Notify>) -> ThrottleObserver {
    Box::new(move |change| {
        changed.notify_one();
        macro_rules! throttled {
            ($level:expr, $key:expr, $until:expr, $wish:expr, $in_a_row:expr) => {
                tracing::event!(
                    $level,
                    route = &*route,
                    key = $key.as_deref(),
                    until = %$until,
                    hint = $wish.as_deref(),
                    signalsInARow = $in_a_row,
                    "Route throttled"
                )
            };
        }
        let end = |until: &Instant| Moment::read().stamp(*until);
        match change {
            Change::Throttled {
                key,
                until,
                wish,
                in_a_row,
            } => {
                let key = key.map(|key| key.to_string());
                let until = end(until);
                let wish = wish.map(|wish| format!("{}ms", wish.as_millis()));
                if key.is_none() {
                    throttled!(tracing::Level::WARN, key, until, wish, in_a_row);
                } else {
                    throttled!(tracing::Level::INFO, key, until, wish, in_a_row);
                }
            }
            Change::Lengthened { key, until, wish } => {
                let key = key.map(|key| key.to_string());
                let hint = format!("{}ms", wish.as_millis());
                tracing::info!(
                    route = &*route,
                    key = key.as_deref(),
                    until = %end(until),
                    hint,
                    "Route throttled for longer"
                );
            }
            Change::Released { key, after } => {
                let key = key.map(|key| key.to_string());
                let after = format!("{}ms", after.as_millis());
                tracing::info!(
                    route = &*route,
                    key = key.as_deref(),
                    after,
                    "Route released"
                );
            }
        }
    })
}
