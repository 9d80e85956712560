//! The metrics of one route: plain atomics that are found once per exchange and never looked up by label.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use crate::failure::{Blame, Failure};

use super::exposition::Series;
use super::histogram::{DURATION_EDGES, FixedHistogram};
use super::names::{
    CodeClass, FallbackLabel, LimitLabel, MethodLabel, NO_ROUTE, ProbeResult, RetryResult,
};
use super::refusal::is_refusal;
use crate::resilience::Outcome;

/// One method's share of `requests_total`: a counter per class and outcome, so an increment is one addition and no hashing.
type Endings = [[AtomicU64; Outcome::ALL.len()]; CodeClass::ALL.len()];

/// The pairs that exist at 0 from the start, for GET and POST. The others appear when they first happen: all of them at once
/// would be 300 lines per route, nearly all of them forever 0.
const USUAL_ENDINGS: [(CodeClass, Outcome); 5] = [
    (CodeClass::Success, Outcome::Success),
    (CodeClass::ClientError, Outcome::Alive),
    (CodeClass::ServerError, Outcome::Failure),
    (CodeClass::ServerError, Outcome::Ignored),
    (CodeClass::None, Outcome::Ignored),
];

/// The same for exchanges without a route, none of which reaches an upstream.
const USUAL_REFUSALS: [(CodeClass, Outcome); 3] = [
    (CodeClass::ClientError, Outcome::Ignored),
    (CodeClass::ServerError, Outcome::Ignored),
    (CodeClass::None, Outcome::Ignored),
];

/// A change of a breaker's state, in the words of its labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TransitionLabels {
    /// The state before.
    pub from: &'static str,
    /// The state after.
    pub to: &'static str,
    /// The rule or the hand that moved it.
    pub cause: &'static str,
}

/// The metrics of one route. Shared by all workers; every method is safe to call from any thread and allocates nothing once its
/// series has been used.
#[derive(Debug)]
pub struct RouteMeters {
    name: Arc<str>,
    requests: [OnceLock<Box<Endings>>; MethodLabel::COUNT],
    durations: [FixedHistogram; Outcome::ALL.len()],
    in_flight: AtomicU64,
    rejected: [AtomicU64; Failure::ALL.len()],
    attempt_failures: [AtomicU64; Failure::ALL.len()],
    config_errors: AtomicU64,
    retries: [AtomicU64; RetryResult::ALL.len()],
    fallbacks: [AtomicU64; FallbackLabel::ALL.len()],
    coalesced: AtomicU64,
    /// Of a route that is probed.
    probes: OnceLock<[AtomicU64; ProbeResult::ALL.len()]>,
    pool_wait: FixedHistogram,
    /// Only for limits that the route has.
    limit_waits: [OnceLock<Box<FixedHistogram>>; LimitLabel::ALL.len()],
    transitions: Mutex<Transitions>,
}

/// Changes of a breaker's state. Those that are expected stand there once for all routes: a map of them all, nearly all of them forever
/// 0, would be two kilobytes a route.
#[derive(Debug, Default)]
struct Transitions {
    expected: &'static [TransitionLabels],
    happened: BTreeMap<TransitionLabels, u64>,
}

/// Counts an exchange as in flight for as long as it lives.
#[derive(Debug)]
#[must_use = "dropping it ends the count"]
pub struct InFlight(Arc<RouteMeters>);

impl RouteMeters {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            requests: [const { OnceLock::new() }; MethodLabel::COUNT],
            durations: std::array::from_fn(|_| FixedHistogram::new(DURATION_EDGES)),
            in_flight: AtomicU64::new(0),
            rejected: [const { AtomicU64::new(0) }; Failure::ALL.len()],
            attempt_failures: [const { AtomicU64::new(0) }; Failure::ALL.len()],
            config_errors: AtomicU64::new(0),
            retries: [const { AtomicU64::new(0) }; RetryResult::ALL.len()],
            fallbacks: [const { AtomicU64::new(0) }; FallbackLabel::ALL.len()],
            coalesced: AtomicU64::new(0),
            probes: OnceLock::new(),
            pool_wait: FixedHistogram::new(DURATION_EDGES),
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
        add_one(&self.attempt_failures, reason as usize);
    }

    /// Counts a further attempt after the first, made or only wanted.
    pub fn retried(&self, result: RetryResult) {
        add_one(&self.retries, result as usize);
    }

    /// Counts an answer that was given instead of the upstream's.
    pub fn fell_back(&self, kind: FallbackLabel) {
        add_one(&self.fallbacks, kind as usize);
    }

    /// Counts an exchange that shared another's call.
    pub(super) fn coalesced(&self) {
        self.coalesced.fetch_add(1, Ordering::Relaxed);
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
        self.pool_wait.observe(wait);
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
        self.limit_waits[limit as usize]
            .get_or_init(|| Box::new(FixedHistogram::new(DURATION_EDGES)))
    }

    /// Makes the series of these changes of the breaker's state exist at 0.
    pub fn expect_transitions(&self, transitions: &'static [TransitionLabels]) {
        self.transitions().expected = transitions;
    }

    /// Counts a change of the breaker's state.
    pub fn transitioned(&self, labels: TransitionLabels) {
        *self.transitions().happened.entry(labels).or_insert(0) += 1;
    }

    fn transitions(&self) -> MutexGuard<'_, Transitions> {
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
        if let Some(endings) = self.requests.get(method.index()) {
            let endings = endings.get_or_init(Box::default);
            endings[class as usize][outcome as usize].fetch_add(1, Ordering::Relaxed);
        }
        self.durations[outcome as usize].observe(took);
    }

    /// Counts one refusal. Only [`super::Exchange`] calls this.
    pub(super) fn rejected(&self, reason: Failure) {
        add_one(&self.rejected, reason as usize);
    }

    /// Counts one ended exchange that is ours to put right. Only [`super::Exchange`] calls this.
    pub(super) fn config_error(&self) {
        self.config_errors.fetch_add(1, Ordering::Relaxed);
    }

    fn is_no_route(&self) -> bool {
        &*self.name == NO_ROUTE
    }

    pub(super) fn write_requests(&self, series: &mut Series<'_>) {
        let usual: &[_] = if self.is_no_route() {
            &USUAL_REFUSALS
        } else {
            &USUAL_ENDINGS
        };
        for method in MethodLabel::all() {
            let endings = self.requests.get(method.index()).and_then(OnceLock::get);
            let listed = matches!(method.label(), "GET" | "POST");
            for class in CodeClass::ALL {
                for outcome in Outcome::ALL {
                    let count = endings.map_or(0, |endings| {
                        endings[class as usize][outcome as usize].load(Ordering::Relaxed)
                    });
                    if count > 0 || (listed && usual.contains(&(class, outcome))) {
                        series.integer(
                            &[&self.name, method.label(), class.label(), outcome.label()],
                            count,
                        );
                    }
                }
            }
        }
    }

    pub(super) fn write_durations(&self, series: &mut Series<'_>) {
        for outcome in Outcome::ALL {
            let reading = self.durations[outcome as usize].read();
            if reading.count > 0 || outcome == Outcome::Ignored || !self.is_no_route() {
                series.histogram(&[&self.name, outcome.label()], &reading);
            }
        }
    }

    pub(super) fn write_in_flight(&self, series: &mut Series<'_>) {
        series.integer(&[&self.name], self.in_flight.load(Ordering::Relaxed));
    }

    pub(super) fn write_rejected(&self, series: &mut Series<'_>) {
        let no_route = self.is_no_route();
        for reason in Failure::ALL {
            let expected = is_refusal(reason)
                && match reason.blame() {
                    Blame::Caller => no_route,
                    Blame::Ours => {
                        !no_route || matches!(reason, Failure::Overloaded | Failure::Draining)
                    }
                    Blame::Upstream => false,
                };
            write_if(
                series,
                &[&self.name, reason.label()],
                &self.rejected,
                reason as usize,
                expected,
            );
        }
    }

    pub(super) fn write_attempt_failures(&self, series: &mut Series<'_>) {
        for reason in Failure::ALL {
            let expected = reason.blame() == Blame::Upstream;
            write_if(
                series,
                &[&self.name, reason.label()],
                &self.attempt_failures,
                reason as usize,
                expected,
            );
        }
    }

    pub(super) fn write_config_errors(&self, series: &mut Series<'_>) {
        series.integer(&[&self.name], self.config_errors.load(Ordering::Relaxed));
    }

    pub(super) fn write_retries(&self, series: &mut Series<'_>) {
        for result in RetryResult::ALL {
            write_if(
                series,
                &[&self.name, result.label()],
                &self.retries,
                result as usize,
                true,
            );
        }
    }

    pub(super) fn write_fallbacks(&self, series: &mut Series<'_>) {
        for kind in FallbackLabel::ALL {
            write_if(
                series,
                &[&self.name, kind.label()],
                &self.fallbacks,
                kind as usize,
                true,
            );
        }
    }

    pub(super) fn write_coalesced(&self, series: &mut Series<'_>) {
        series.integer(&[&self.name], self.coalesced.load(Ordering::Relaxed));
    }

    pub(super) fn write_probes(&self, series: &mut Series<'_>) {
        for result in ProbeResult::ALL {
            if let Some(probes) = self.probes.get() {
                let labels = [&*self.name, result.label()];
                write_if(series, &labels, probes, result as usize, true);
            }
        }
    }

    pub(super) fn write_pool_wait(&self, series: &mut Series<'_>) {
        series.histogram(&[&self.name], &self.pool_wait.read());
    }

    pub(super) fn write_limit_waits(&self, series: &mut Series<'_>) {
        for limit in LimitLabel::ALL {
            if let Some(waits) = self.limit_waits[limit as usize].get() {
                series.histogram(&[&self.name, limit.label()], &waits.read());
            }
        }
    }

    pub(super) fn write_transitions(&self, series: &mut Series<'_>) {
        let transitions = self.transitions();
        let mut counts: BTreeMap<&TransitionLabels, &u64> = transitions
            .expected
            .iter()
            .map(|labels| (labels, &0))
            .collect();
        counts.extend(&transitions.happened);
        for (labels, count) in counts {
            series.integer(&[&self.name, labels.from, labels.to, labels.cause], *count);
        }
    }
}

fn add_one(counters: &[AtomicU64], place: usize) {
    if let Some(counter) = counters.get(place) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Writes the counter when it is expected from the start or has counted something.
fn write_if(
    series: &mut Series<'_>,
    labels: &[&str],
    counters: &[AtomicU64],
    place: usize,
    expected: bool,
) {
    let count = counters
        .get(place)
        .map_or(0, |counter| counter.load(Ordering::Relaxed));
    if expected || count > 0 {
        series.integer(labels, count);
    }
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
        let heap = 6 * (DURATION_EDGES.len() + 1) * 8;
        assert!(
            size_of::<RouteMeters>() + heap <= 2_560,
            "{} + {heap}",
            size_of::<RouteMeters>()
        );
    }
}
