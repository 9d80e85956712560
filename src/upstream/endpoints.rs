//! The endpoints of an upstream: a set that may be exchanged at any time, and which of them are ejected.
//!
//! An endpoint that is in the new set too keeps its statistics, its ejection and its connections. An exchange of the set never
//! changes the breaker of the route [istio/istio#8673].

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::balance::MOST_ENDPOINTS;
use super::endpoint::{Endpoint, EndpointView};
use crate::config::plan::EndpointPlan;
use crate::resilience::{EjectorChange, Label, Outcome, Room, Sample, Visit, most_ejected};
use crate::time::Moment;

/// The endpoints in force, in the order in which they were written.
pub(super) type Set = Arc<[Arc<Endpoint>]>;

/// The endpoints of an upstream, shared by all workers.
#[derive(Debug)]
pub struct Endpoints {
    route: Arc<str>,
    /// Moves with every exchange of the set, so that workers need no lock to see that theirs is current.
    version: AtomicU64,
    /// How many are ejected. Written under the lock of the set.
    out: AtomicUsize,
    set: Mutex<Set>,
}

impl Endpoints {
    pub(super) fn new(route: Arc<str>, plans: &[EndpointPlan], now: Instant) -> Self {
        let set = plans
            .iter()
            .take(MOST_ENDPOINTS)
            .map(|plan| Endpoint::new(plan.clone(), now))
            .collect();
        Self {
            route,
            version: AtomicU64::new(0),
            out: AtomicUsize::new(0),
            set: Mutex::new(set),
        }
    }

    /// Replaces the endpoints in force with these; at most [`MOST_ENDPOINTS`]. An empty list changes nothing: while a name has
    /// no address, calls go to the last good ones.
    pub fn exchange(&self, plans: &[EndpointPlan], now: Instant) {
        let mut set = self.set();
        let is_same = set.len() == plans.len()
            && set
                .iter()
                .zip(plans)
                .all(|(endpoint, plan)| endpoint.plan() == plan);
        if plans.is_empty() || is_same {
            return;
        }
        let survivor = |plan| set.iter().find(|endpoint| endpoint.plan() == plan);
        *set = plans
            .iter()
            .take(MOST_ENDPOINTS)
            .map(|plan| survivor(plan).map_or_else(|| Endpoint::new(plan.clone(), now), Arc::clone))
            .collect();
        let current = Arc::clone(&set);
        self.version.fetch_add(1, Ordering::Release);
        drop(set);
        self.pardon_beyond_half(&current, now);
        self.count_out();
    }

    /// How they stand now.
    #[must_use]
    pub fn view(&self) -> Vec<EndpointView> {
        let set = Arc::clone(&self.set());
        set.iter().map(|endpoint| endpoint.view()).collect()
    }

    /// How many there are, and how many of them are ejected.
    #[must_use]
    pub fn count(&self) -> (usize, usize) {
        let set = self.set();
        (set.len(), ejected(&set))
    }

    /// Tells one set from the next.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The set in force with its version.
    pub(super) fn current(&self) -> (u64, Set) {
        let set = self.set();
        (self.version(), Arc::clone(&set))
    }

    /// Whether any is ejected.
    pub(super) fn has_ejected(&self) -> bool {
        self.out.load(Ordering::Relaxed) > 0
    }

    /// Records the result of a call for its endpoint's ejector.
    pub(super) fn record(&self, endpoint: &Endpoint, visit: Visit, sample: Sample, now: Instant) {
        if let Some(latency) = sample.latency {
            match sample.outcome {
                Outcome::Success | Outcome::Alive => endpoint.latency().observe(latency, now),
                Outcome::Failure => endpoint.latency().observe_failure(latency, now),
                Outcome::Throttled | Outcome::Ignored => {}
            }
        }
        let says_nothing_new = visit == Visit::Ordinary
            && match sample.outcome {
                Outcome::Success => !endpoint.has_failures(),
                Outcome::Failure => false,
                Outcome::Alive | Outcome::Throttled | Outcome::Ignored => true,
            };
        if says_nothing_new {
            return;
        }
        let change = endpoint.eject_with(|ejector| {
            ejector.record(visit, sample.outcome, now, || self.room_for(endpoint))
        });
        if let Some(change) = change {
            self.count_out();
            self.tell(endpoint, change, sample.label, now);
        }
    }

    /// Whether this endpoint may be ejected; if so it counts as ejected from now on, else two threads could both take the last
    /// place.
    fn room_for(&self, endpoint: &Endpoint) -> Room {
        let set = self.set();
        let is_member = set.iter().any(|member| member.id() == endpoint.id());
        if !is_member || ejected(&set) >= most_ejected(set.len()) {
            return Room::None;
        }
        endpoint.reserve_ejection();
        Room::Left
    }

    /// Readmits endpoints of a set that has become smaller until no more than half of it are ejected.
    fn pardon_beyond_half(&self, set: &Set, now: Instant) {
        let excess = ejected(set).saturating_sub(most_ejected(set.len()));
        let out = set.iter().filter(|endpoint| endpoint.is_out());
        for endpoint in out.take(excess) {
            let change = endpoint.eject_with(|ejector| ejector.pardon(now));
            if let Some(change) = change {
                self.tell(endpoint, change, None, now);
            }
        }
    }

    fn count_out(&self) {
        let set = self.set();
        self.out.store(ejected(&set), Ordering::Relaxed);
    }

    /// An ejection is a warning: the others have more to do, and if they fail as well the breaker opens.
    fn tell(&self, endpoint: &Endpoint, change: EjectorChange, label: Option<Label>, now: Instant) {
        let (route, endpoint) = (&*self.route, &**endpoint.label());
        match change {
            EjectorChange::Ejected { length, failures } => {
                let until = Moment::read().stamp(now + length);
                tracing::warn!(
                    route,
                    endpoint,
                    failuresInARow = failures,
                    reason = label.map(|label| label.to_string()),
                    ejectedFor = %humantime::format_duration(length),
                    until = %until,
                    "Endpoint ejected"
                );
            }
            EjectorChange::Returned { after } => {
                tracing::info!(
                    route,
                    endpoint,
                    ejectedFor = %humantime::format_duration(after),
                    "Endpoint returned"
                );
            }
        }
    }

    /// The lock of the set. Its holder takes no other lock, so waiting for it under an endpoint's own lock cannot deadlock.
    fn set(&self) -> MutexGuard<'_, Set> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ejected(set: &Set) -> usize {
    set.iter().filter(|endpoint| endpoint.is_out()).count()
}
