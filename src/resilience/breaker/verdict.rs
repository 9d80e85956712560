//! What a result does to a machine: the counts, the three rules, the probes.

use std::sync::Arc;

use crate::resilience::breaker::exemplar::Exemplar;
use crate::resilience::breaker::labels::{LabelCount, Tally};
use crate::resilience::breaker::machine::Machine;
use crate::resilience::breaker::spec::{BreakerKeys, Enforcement};
use crate::resilience::breaker::state::Phase;
use crate::resilience::breaker::transition::{Cause, Evidence, Measure};
use crate::resilience::breaker::window::{Call, Window, WindowCounts};
use crate::resilience::outcome::{Outcome, Sample};
use crate::resilience::ratio::Ratio;

impl Machine {
    /// Counts a result in the statistics; says whether it was slow.
    pub(super) fn count(&mut self, sample: &Sample) -> bool {
        let statistics = &mut self.statistics;
        statistics.total_calls += 1;
        match sample.outcome {
            Outcome::Success => statistics.successes += 1,
            Outcome::Failure => {
                statistics.failures += 1;
                statistics.timeouts +=
                    u64::from(sample.label.is_some_and(|label| label.is_timeout()));
            }
            Outcome::Alive => statistics.alive += 1,
            Outcome::Throttled => statistics.throttled += 1,
            Outcome::Ignored => {
                statistics.ignored += 1;
                return false;
            }
        }
        let slow = self
            .spec
            .keys()
            .slow_after
            .is_some_and(|after| sample.latency.is_some_and(|latency| latency >= after));
        statistics.slow += u64::from(slow);
        slow
    }

    /// The failures of the present run by label, most frequent first.
    pub(super) fn run_labels(&self) -> Vec<LabelCount> {
        let run = self.run.as_deref();
        run.map(|run| self.labels.counts(run)).unwrap_or_default()
    }

    /// Counts a result in the present run.
    fn count_run(&mut self, sample: &Sample) {
        match sample.outcome {
            Outcome::Success => {
                self.statistics.consecutive_successes =
                    self.statistics.consecutive_successes.saturating_add(1);
                if self.statistics.consecutive_failures > 0 {
                    self.statistics.consecutive_failures = 0;
                    self.run = None;
                }
            }
            Outcome::Failure => {
                self.statistics.consecutive_successes = 0;
                self.statistics.consecutive_failures =
                    self.statistics.consecutive_failures.saturating_add(1);
                let label = self.labels.id(sample.label);
                self.run.get_or_insert_default().add(label);
            }
            Outcome::Alive | Outcome::Throttled | Outcome::Ignored => {}
        }
    }

    pub(super) fn judge_call(
        &mut self,
        sample: &Sample,
        slow: bool,
        exemplar: Option<&Arc<Exemplar>>,
    ) {
        if sample.outcome == Outcome::Ignored || self.spec.keys().enforcement == Enforcement::Off {
            return;
        }
        self.count_run(sample);
        self.keep(exemplar, sample, slow);
        if sample.outcome == Outcome::Failure {
            self.halve_ramp();
        }
        let failed = (sample.outcome == Outcome::Failure).then(|| self.labels.id(sample.label));
        let counts = self.window.push(Call { failed, slow }, self.latest);
        if let Some((cause, evidence)) = self.breach(counts, sample.outcome) {
            self.open(self.latest, cause, evidence);
        }
    }

    /// The first rule that says open.
    fn breach(&mut self, window: WindowCounts, outcome: Outcome) -> Option<(Cause, Evidence)> {
        let BreakerKeys {
            failure_threshold,
            failure_ratio,
            slow_ratio,
            min_calls,
            ..
        } = *self.spec.keys();
        let failures = self.statistics.consecutive_failures;
        if failure_threshold > 0 && outcome == Outcome::Failure && failures >= failure_threshold {
            let labels = self.run_labels();
            let (observed, threshold) =
                (Measure::Count(failures), Measure::Count(failure_threshold));
            return Some((
                Cause::ConsecutiveFailures,
                Evidence {
                    observed,
                    threshold,
                    window,
                    labels,
                    exemplars: self.latest_failed(failures),
                },
            ));
        }
        if window.calls < min_calls {
            return None;
        }
        let rules = [
            (Cause::FailureRatio, failure_ratio, window.failed),
            (Cause::SlowRatio, slow_ratio, window.slow),
        ];
        let (cause, threshold, part) = rules.into_iter().find_map(|(cause, ratio, part)| {
            let ratio =
                ratio.filter(|ratio| ratio.is_reached(u64::from(part), u64::from(window.calls)))?;
            Some((cause, ratio, part))
        })?;
        let observed = Ratio::of(u64::from(part), u64::from(window.calls))
            .map_or(Measure::Nothing, Measure::Share);
        let labels = self.labels.counts(&self.window.labels(self.latest));
        let exemplars = if cause == Cause::SlowRatio {
            self.latest_slow(part)
        } else {
            self.latest_failed(part)
        };
        Some((
            cause,
            Evidence {
                observed,
                threshold: Measure::Share(threshold),
                window,
                labels,
                exemplars,
            },
        ))
    }

    pub(super) fn judge_probe(
        &mut self,
        sample: &Sample,
        slow: bool,
        exemplar: Option<&Arc<Exemplar>>,
    ) {
        self.return_probe();
        if self.spec.keys().enforcement == Enforcement::Off {
            return;
        }
        self.count_run(sample);
        self.keep(exemplar, sample, slow);
        match sample.outcome {
            Outcome::Throttled | Outcome::Ignored => {}
            Outcome::Success | Outcome::Alive => self.probe_succeeded(),
            Outcome::Failure => {
                let mut one = Tally::default();
                one.add(self.labels.id(sample.label));
                let labels = self.labels.counts(&one);
                let window = self.window.counts(self.latest);
                let evidence = Evidence {
                    observed: Measure::Count(1),
                    threshold: Measure::Count(1),
                    window,
                    labels,
                    exemplars: exemplar.cloned().into_iter().collect(),
                };
                self.open(self.latest, Cause::ProbeFailed, evidence);
            }
        }
    }

    fn probe_succeeded(&mut self) {
        let Phase::HalfOpen {
            out,
            succeeded,
            verdict,
            is_tried_again,
        } = &mut self.phase
        else {
            return;
        };
        *succeeded += 1;
        if *out == 0 {
            *verdict = None;
            *is_tried_again = false;
        }
        let (succeeded, needed) = (*succeeded, self.spec.keys().success_threshold);
        if succeeded >= needed {
            let window = self.window.counts(self.latest);
            let (observed, threshold) = (Measure::Count(succeeded), Measure::Count(needed));
            let evidence = Evidence {
                observed,
                threshold,
                window,
                labels: Vec::new(),
                exemplars: Vec::new(),
            };
            self.recent = None;
            self.statistics.consecutive_failures = 0;
            self.run = None;
            self.window = Window::new(self.spec.keys().window, self.latest);
            self.enter(Phase::Closed, self.latest, Cause::ProbesSucceeded, evidence);
            self.begin_ramp();
        }
    }

    pub(super) fn return_probe(&mut self) {
        if let Phase::HalfOpen { out, .. } = &mut self.phase {
            debug_assert!(*out > 0, "a probe came back that was not out");
            *out = out.saturating_sub(1);
        }
    }
}
