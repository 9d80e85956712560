//! The metrics of one route: plain atomics that are found once per exchange and never looked up by label.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use crate::failure::{Blame, Failure};

use super::histogram::{DURATION_EDGES, FixedHistogram};
use super::names::{CodeClass, FallbackLabel, LimitLabel, MethodLabel, ProbeResult, RetryResult};
use crate::resilience::Outcome;

/// One method's share of `requests_total`: a counter per class and outcome, so an increment is one addition and no hashing.
type Endings = [[AtomicU64; Outcome::ALL.len()]; CodeClass::ALL.len()];

/// The methods that a route has met.
type Methods = [OnceLock<Box<Endings>>; MethodLabel::COUNT];

/// A counter per reason.
pub(super) type Reasons = [AtomicU64; Failure::ALL.len()];

/// The labels of a change of a breaker's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TransitionLabels {
    /// The state before.
    pub from: &'static str,
    /// The state after.
    pub to: &'static str,
    /// The rule or the order that moved it.
    pub cause: &'static str,
}

/// The metrics of one route. Shared by all workers; every method is safe to call from any thread and allocates nothing once its
/// series has been used. What was never used takes no memory: most routes of a large configuration are idle.
#[derive(Debug)]
pub struct RouteMeters {
    pub(super) name: Arc<str>,
    pub(super) requests: OnceLock<Box<Methods>>,
    pub(super) durations: OnceLock<Box<[FixedHistogram; Outcome::ALL.len()]>>,
    pub(super) response_headers: OnceLock<Box<FixedHistogram>>,
    pub(super) in_flight: AtomicU64,
    /// By their reason, exchanges that were refused or given up.
    pub(super) unserved: OnceLock<Box<Reasons>>,
    pub(super) attempt_failures: OnceLock<Box<Reasons>>,
    pub(super) config_errors: AtomicU64,
    /// For a route that retries.
    pub(super) retries: OnceLock<Box<[AtomicU64; RetryResult::ALL.len()]>>,
    /// For a route that has fallbacks.
    pub(super) fallbacks: OnceLock<[AtomicU64; FallbackLabel::ALL.len()]>,
    /// For a route whose calls share answers.
    pub(super) coalesced: OnceLock<AtomicU64>,
    /// For a route that is probed.
    pub(super) probes: OnceLock<[AtomicU64; ProbeResult::ALL.len()]>,
    /// For a route whose calls had to wait for a connection.
    pub(super) pool_wait: OnceLock<Box<FixedHistogram>>,
    /// Only for limits that the route has.
    pub(super) limit_waits: [OnceLock<Box<FixedHistogram>>; LimitLabel::ALL.len()],
    pub(super) transitions: Mutex<Transitions>,
}

/// Changes of a breaker's state. The expected ones are listed once for all routes: a map of them per route, nearly all of them
/// forever 0, would take two kilobytes.
#[derive(Debug, Default)]
pub(super) struct Transitions {
    pub(super) expected: &'static [TransitionLabels],
    pub(super) happened: BTreeMap<TransitionLabels, u64>,
}

/// Counts an exchange as in flight for as long as it lives.
#[derive(Debug)]
#[must_use = "dropping it ends the count"]
pub struct InFlight(Arc<RouteMeters>);

impl RouteMeters {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            requests: OnceLock::new(),
            durations: OnceLock::new(),
            response_headers: OnceLock::new(),
            in_flight: AtomicU64::new(0),
            unserved: OnceLock::new(),
            attempt_failures: OnceLock::new(),
            config_errors: AtomicU64::new(0),
            retries: OnceLock::new(),
            fallbacks: OnceLock::new(),
            coalesced: OnceLock::new(),
            probes: OnceLock::new(),
            pool_wait: OnceLock::new(),
            limit_waits: [const { OnceLock::new() }; LimitLabel::ALL.len()],
            transitions: Mutex::default(),
        }
    }

    /// The route's name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Counts an exchange as in flight until the guard is dropped.
    pub fn enter(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }

    /// Counts an attempt that failed without an answer to relay.
    pub fn attempt_failed(&self, reason: Failure) {
        add_one(&**self.attempt_failures.get_or_init(zeros), reason as usize);
    }

    /// Counts a further attempt after the first, made or only wanted.
    pub fn retried(&self, result: RetryResult) {
        add_one(&**self.retries.get_or_init(Box::default), result as usize);
    }

    /// Counts an answer that was given instead of the upstream's.
    pub fn fell_back(&self, kind: FallbackLabel) {
        add_one(self.fallbacks.get_or_init(Default::default), kind as usize);
    }

    /// Counts an exchange that shared another's call.
    pub(super) fn coalesced(&self) {
        let coalesced = self.coalesced.get_or_init(AtomicU64::default);
        coalesced.fetch_add(1, Ordering::Relaxed);
    }

    /// Makes the series of further attempts exist at 0.
    pub fn expect_retries(&self) {
        self.retries.get_or_init(Box::default);
    }

    /// Makes the series of answers that are not the upstream's exist at 0.
    pub fn expect_fallbacks(&self) {
        self.fallbacks.get_or_init(Default::default);
    }

    /// Makes the series of shared calls exist at 0.
    pub fn expect_coalesced(&self) {
        self.coalesced.get_or_init(AtomicU64::default);
    }

    /// Makes the series of the route's active probes exist at 0.
    pub fn expect_probes(&self) {
        self.probes.get_or_init(Default::default);
    }

    /// Counts an active probe.
    pub fn probed(&self, result: ProbeResult) {
        add_one(self.probes.get_or_init(Default::default), result as usize);
    }

    /// Records how long an attempt waited for a connection.
    pub fn waited_for_connection(&self, wait: Duration) {
        self.pool_wait.get_or_init(histogram).observe(wait);
    }

    /// Makes the series of the waits for this limit exist at 0.
    pub fn expect_waits(&self, limit: LimitLabel) {
        let _ = self.waits(limit);
    }

    /// Records how long a call waited for this limit.
    pub fn waited_for_limit(&self, limit: LimitLabel, wait: Duration) {
        self.waits(limit).observe(wait);
    }

    fn waits(&self, limit: LimitLabel) -> &FixedHistogram {
        self.limit_waits[limit as usize].get_or_init(histogram)
    }

    /// Makes the series of these changes of the breaker's state exist at 0.
    pub fn expect_transitions(&self, transitions: &'static [TransitionLabels]) {
        self.transitions().expected = transitions;
    }

    /// Counts a change of the breaker's state.
    pub fn transitioned(&self, labels: TransitionLabels) {
        *self.transitions().happened.entry(labels).or_insert(0) += 1;
    }

    pub(super) fn transitions(&self) -> MutexGuard<'_, Transitions> {
        self.transitions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one ended exchange. Only [`super::Exchange`] calls this.
    pub(super) fn ended(
        &self,
        method: MethodLabel,
        class: CodeClass,
        outcome: Outcome,
        took: Duration,
    ) {
        let methods = self.requests.get_or_init(Box::default);
        if let Some(endings) = methods.get(method.index()) {
            let endings = endings.get_or_init(Box::default);
            endings[class as usize][outcome as usize].fetch_add(1, Ordering::Relaxed);
        }
        let durations = self
            .durations
            .get_or_init(|| Box::new(std::array::from_fn(|_| FixedHistogram::new(DURATION_EDGES))));
        durations[outcome as usize].observe(took);
    }

    /// Records how long a caller of the upstream waited for the response headers. Only [`super::Exchange`] calls this.
    pub(super) fn waited_for_headers(&self, wait: Duration) {
        self.response_headers.get_or_init(histogram).observe(wait);
    }

    /// Counts an exchange that was refused or given up for this reason; what the upstream did was counted with its attempt. Only
    /// [`super::Exchange`] calls this.
    pub(super) fn unserved(&self, reason: Failure) {
        if reason.blame() != Blame::Upstream {
            add_one(&**self.unserved.get_or_init(zeros), reason as usize);
        }
    }

    /// Counts one ended exchange that is ours to put right. Only [`super::Exchange`] calls this.
    pub(super) fn config_error(&self) {
        self.config_errors.fetch_add(1, Ordering::Relaxed);
    }
}

fn add_one(counters: &[AtomicU64], place: usize) {
    if let Some(counter) = counters.get(place) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

fn zeros() -> Box<Reasons> {
    Box::new([const { AtomicU64::new(0) }; Failure::ALL.len()])
}

fn histogram() -> Box<FixedHistogram> {
    Box::new(FixedHistogram::new(DURATION_EDGES))
}

// === impl InFlight ===

impl InFlight {
    /// The route's metrics.
    #[must_use]
    pub fn meters(&self) -> &Arc<RouteMeters> {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_stands_at_its_index() {
        assert!(
            Failure::ALL
                .iter()
                .enumerate()
                .all(|(place, reason)| *reason as usize == place)
        );
    }

    #[test]
    fn in_flight_falls_when_the_guard_is_dropped() {
        let meters = Arc::new(RouteMeters::new("mail"));
        let first = meters.enter();
        let second = meters.enter();
        assert_eq!(meters.in_flight.load(Ordering::Relaxed), 2);
        drop((first, second));
        assert_eq!(meters.in_flight.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn an_unused_route_is_small() {
        // 10 000 routes must fit into 60 MiB with everything else they have.
        assert!(
            size_of::<RouteMeters>() <= 320,
            "{}",
            size_of::<RouteMeters>()
        );
    }
}
