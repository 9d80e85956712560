//! The metrics of one route as they are shown.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::exposition::Series;
use super::names::{
    CodeClass, FallbackLabel, LimitLabel, MethodLabel, NO_ROUTE, ProbeResult, RetryResult,
};
use super::refusal::{is_given_up, is_refusal};
use super::route_meters::{Reasons, RouteMeters, TransitionLabels};
use crate::failure::{Blame, Failure};
use crate::resilience::Outcome;

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

impl RouteMeters {
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
            let methods = self.requests.get();
            let endings = methods.and_then(|methods| methods.get(method.index())?.get());
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

    /// Writes nothing before the first call: 20 lines of zeros for each idle route would be a third of its lines. From then on
    /// the usual outcomes are there, however that call ended.
    pub(super) fn write_durations(&self, series: &mut Series<'_>) {
        let Some(durations) = self.durations.get() else {
            return;
        };
        let usual = if self.is_no_route() {
            Outcome::Ignored
        } else {
            Outcome::Success
        };
        for outcome in Outcome::ALL {
            let reading = durations[outcome as usize].read();
            if reading.count > 0 || outcome == usual {
                series.histogram(&[&self.name, outcome.label()], &reading);
            }
        }
    }

    pub(super) fn write_response_headers(&self, series: &mut Series<'_>) {
        if let Some(waits) = self.response_headers.get() {
            series.histogram(&[&self.name], &waits.read());
        }
    }

    pub(super) fn write_in_flight(&self, series: &mut Series<'_>) {
        series.integer(&[&self.name], self.in_flight.load(Ordering::Relaxed));
    }

    pub(super) fn write_rejected(&self, series: &mut Series<'_>) {
        let no_route = self.is_no_route();
        for reason in Failure::ALL.into_iter().filter(|it| is_refusal(*it)) {
            let expected = match reason.blame() {
                Blame::Caller => no_route,
                Blame::Ours => {
                    !no_route || matches!(reason, Failure::Overloaded | Failure::Draining)
                }
                Blame::Upstream => false,
            };
            let count = held(&self.unserved, reason);
            write_if(series, &[&self.name, reason.label()], count, expected);
        }
    }

    pub(super) fn write_given_up(&self, series: &mut Series<'_>) {
        for reason in Failure::ALL.into_iter().filter(|it| is_given_up(*it)) {
            let expected =
                !self.is_no_route() || matches!(reason, Failure::ClientGone | Failure::Internal);
            let count = held(&self.unserved, reason);
            write_if(series, &[&self.name, reason.label()], count, expected);
        }
    }

    pub(super) fn write_attempt_failures(&self, series: &mut Series<'_>) {
        for reason in Failure::ALL {
            let expected = reason.blame() == Blame::Upstream;
            write_if(
                series,
                &[&self.name, reason.label()],
                held(&self.attempt_failures, reason),
                expected,
            );
        }
    }

    pub(super) fn write_config_errors(&self, series: &mut Series<'_>) {
        series.integer(&[&self.name], self.config_errors.load(Ordering::Relaxed));
    }

    pub(super) fn write_retries(&self, series: &mut Series<'_>) {
        if let Some(retries) = self.retries.get() {
            self.write_each(series, RetryResult::ALL.map(RetryResult::label), retries);
        }
    }

    pub(super) fn write_fallbacks(&self, series: &mut Series<'_>) {
        if let Some(fallbacks) = self.fallbacks.get() {
            self.write_each(
                series,
                FallbackLabel::ALL.map(FallbackLabel::label),
                fallbacks,
            );
        }
    }

    pub(super) fn write_coalesced(&self, series: &mut Series<'_>) {
        if let Some(coalesced) = self.coalesced.get() {
            series.integer(&[&self.name], coalesced.load(Ordering::Relaxed));
        }
    }

    pub(super) fn write_probes(&self, series: &mut Series<'_>) {
        if let Some(probes) = self.probes.get() {
            self.write_each(series, ProbeResult::ALL.map(ProbeResult::label), probes);
        }
    }

    /// A series for each label, with its counter.
    fn write_each<const N: usize>(
        &self,
        series: &mut Series<'_>,
        labels: [&'static str; N],
        counts: &[AtomicU64; N],
    ) {
        for (label, count) in labels.into_iter().zip(counts) {
            series.integer(&[&self.name, label], count.load(Ordering::Relaxed));
        }
    }

    pub(super) fn write_pool_wait(&self, series: &mut Series<'_>) {
        if let Some(waits) = self.pool_wait.get() {
            series.histogram(&[&self.name], &waits.read());
        }
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

fn held(counters: &OnceLock<Box<Reasons>>, reason: Failure) -> u64 {
    let counter = counters.get().and_then(|all| all.get(reason as usize));
    counter.map_or(0, |counter| counter.load(Ordering::Relaxed))
}

/// Writes the counter when it is expected from the start or has counted something.
fn write_if(series: &mut Series<'_>, labels: &[&str], count: u64, expected: bool) {
    if expected || count > 0 {
        series.integer(labels, count);
    }
}
