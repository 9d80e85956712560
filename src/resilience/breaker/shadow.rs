//! Candidates: breakers with other settings that watch a route's calls and say what they would have done.
//!
//! Only calls that took place have an outcome, so candidates see the calls that the breaker in force let pass. The result of a
//! call that a candidate would have rejected does not change its state: in force, it would not have seen that result. It is
//! counted in the candidate's report instead: a rejected call that in fact succeeded is a caller refused without need.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::resilience::breaker::admission::Admission;
use crate::resilience::breaker::force::{ForceRequest, Order};
use crate::resilience::breaker::machine::Machine;
use crate::resilience::breaker::permit::Permit;
use crate::resilience::breaker::saved::{Saved, Words};
use crate::resilience::breaker::spec::BreakerSpec;
use crate::resilience::breaker::state::State;
use crate::resilience::breaker::transition::Transition;
use crate::resilience::breaker::view::View;
use crate::resilience::outcome::{Outcome, Sample};
use crate::resilience::sync::lock;

/// Is called with each transition of a candidate, and its name.
pub type ShadowObserver = Arc<dyn Fn(&str, &Transition) + Send + Sync>;

/// The candidates of a route.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Instant;
/// use sidefuse::resilience::{Breaker, BreakerKeys, BreakerSpec, Label, Outcome, Sample, Shadows};
///
/// let spec = |failure_threshold| {
///     let keys = BreakerKeys { failure_threshold, ..BreakerKeys::default() };
///     BreakerSpec::try_new(keys).expect("a threshold makes sense")
/// };
/// let now = Instant::now();
/// let breaker = Breaker::new(spec(10), 0, now, Box::new(|_transition| {}));
/// let strict = [("strict".to_owned(), spec(1))];
/// let shadows = Shadows::new(&strict, None, now, Arc::new(|_name, _transition| {}));
///
/// for sample in [Sample::failure(Label::Status(500)), Sample::new(Outcome::Success)] {
///     let permit = breaker.admit(now).expect("the breaker itself is closed");
///     shadows.watch(permit, now).finish(sample, now);
/// }
/// let report = shadows.views(now)[0].report;
/// assert_eq!((report.would_open, report.would_reject, report.rejected_successes), (1, 1, 1));
/// ```
pub struct Shadows {
    candidates: Box<[Arc<Candidate>]>,
    observer: ShadowObserver,
}

struct Candidate {
    name: Box<str>,
    cell: Mutex<Cell>,
}

struct Cell {
    machine: Machine,
    /// Since it was cleared.
    report: ShadowReport,
    /// Before that.
    cleared: ShadowReport,
}

/// What a candidate would have done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShadowReport {
    /// How often it would have opened, by failed probes too.
    pub would_open: u64,
    /// Calls that took place and that it would have rejected.
    pub would_reject: u64,
    /// Those of them that the upstream answered well, or whose fault was the caller's.
    pub rejected_successes: u64,
    /// Those of them that failed.
    pub rejected_failures: u64,
}

/// A candidate at one instant.
#[derive(Clone, Debug)]
pub struct ShadowView {
    /// Its name.
    pub name: Box<str>,
    /// What it would have done since it was cleared.
    pub report: ShadowReport,
    /// How it stands.
    pub view: View,
}

/// A call that candidates watch.
pub(super) struct Watched {
    shadows: Arc<Shadows>,
    /// The answer of each candidate; `None` if it would have rejected the call. Empty once they have the result.
    said: Vec<Option<Admission>>,
}

// === impl Shadows ===

impl Shadows {
    /// Candidates by name. One of the same name in `before` keeps its state, and gets its new settings by [`Shadows::respec`].
    #[must_use]
    pub fn new(
        specs: &[(String, BreakerSpec)],
        before: Option<&Self>,
        now: Instant,
        observer: ShadowObserver,
    ) -> Arc<Self> {
        let candidates = specs
            .iter()
            .map(|(name, spec)| {
                let survivor = before.and_then(|before| before.named(name));
                survivor.map_or_else(|| Arc::new(Candidate::new(name, spec, now)), Arc::clone)
            })
            .collect();
        Arc::new(Self {
            candidates,
            observer,
        })
    }

    /// Gives them new settings. Their counts and states stay.
    pub fn respec(&self, specs: &[(String, BreakerSpec)], now: Instant) {
        for (name, spec) in specs {
            if let Some(candidate) = self.named(name) {
                self.with(candidate, |cell| {
                    if cell.machine.spec() != spec {
                        cell.machine.respec(spec.clone(), now);
                    }
                });
            }
        }
    }

    /// Lets the candidates watch a call that was admitted.
    pub fn watch(self: &Arc<Self>, permit: Permit, now: Instant) -> Permit {
        let said = self
            .candidates
            .iter()
            .map(|candidate| {
                self.with(candidate, |cell| match cell.machine.admit(now) {
                    Ok(admission) => Some(admission),
                    Err(_) => {
                        cell.report.would_reject += 1;
                        None
                    }
                })
            })
            .collect();
        permit.with_watched(Watched {
            shadows: Arc::clone(self),
            said,
        })
    }

    /// Each of them at `now`, in the order of their names.
    #[must_use]
    pub fn views(&self, now: Instant) -> Vec<ShadowView> {
        self.candidates
            .iter()
            .map(|candidate| {
                let (report, view) = self.with(candidate, |cell| {
                    let view = cell.machine.view(now);
                    (cell.report, view)
                });
                ShadowView {
                    name: candidate.name.clone(),
                    report,
                    view,
                }
            })
            .collect()
    }

    /// What each of them would have done since it began, with its name. Clearing does not reset it, so that it can be a metric.
    pub fn reports(&self, now: Instant) -> impl Iterator<Item = (&str, ShadowReport)> {
        self.candidates.iter().map(move |candidate| {
            let report = self.with(candidate, |cell| {
                cell.machine.standing(now);
                cell.report.and(cell.cleared)
            });
            (&*candidate.name, report)
        })
    }

    /// Resets all of them: state, counts and reports. Says whether anything changed.
    pub fn clear(&self, by: &str, now: Instant) -> bool {
        let clear = |candidate: &Arc<Candidate>| {
            self.with(candidate, |cell| {
                let report = std::mem::take(&mut cell.report);
                cell.cleared = cell.cleared.and(report);
                let request = ForceRequest {
                    order: Order::Clear,
                    by: by.to_owned(),
                    reason: None,
                };
                cell.machine.force(request, now) || report != ShadowReport::default()
            })
        };
        self.candidates
            .iter()
            .map(clear)
            .fold(false, |any, one| any | one)
    }

    /// The states to save at `now`, by their names, without candidates that are as good as new. Reports are counts and are not
    /// saved.
    pub fn save(&self, now: Instant) -> BTreeMap<String, Saved> {
        let saved = |candidate: &Arc<Candidate>| {
            let saved = self.with(candidate, |cell| cell.machine.save(now))?;
            Some((candidate.name.to_string(), saved.brief()))
        };
        self.candidates.iter().filter_map(saved).collect()
    }

    /// Resumes the states that were saved `elapsed` before `now`; only for candidates that have seen nothing yet.
    pub fn resume(
        &self,
        saved: &BTreeMap<String, Saved>,
        elapsed: Duration,
        words: Words<'_>,
        now: Instant,
    ) {
        for (name, saved) in saved {
            if let Some(candidate) = self.named(name) {
                self.with(candidate, |cell| {
                    cell.machine.resume(saved, elapsed, words, now);
                });
            }
        }
    }

    fn named(&self, name: &str) -> Option<&Arc<Candidate>> {
        let mut candidates = self.candidates.iter();
        candidates.find(|candidate| *candidate.name == *name)
    }

    /// Runs `act` under the candidate's lock, counts the transitions, and reports them outside of the lock.
    fn with<T>(&self, candidate: &Candidate, act: impl FnOnce(&mut Cell) -> T) -> T {
        let mut cell = lock(&candidate.cell);
        let answer = act(&mut cell);
        if !cell.machine.has_transition() {
            return answer;
        }
        let mut led_to = Vec::new();
        while let Some(transition) = cell.machine.next_transition() {
            let opened = transition.changes_state() && transition.to() == State::Open;
            cell.report.would_open += u64::from(opened);
            led_to.push(transition);
        }
        drop(cell);
        for transition in led_to {
            (self.observer)(&candidate.name, &transition);
        }
        answer
    }
}

impl fmt::Debug for Shadows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.candidates.iter().map(|candidate| &candidate.name);
        f.debug_list().entries(names).finish()
    }
}

impl Candidate {
    fn new(name: &str, spec: &BreakerSpec, now: Instant) -> Self {
        // Not used: jitter of the reset timeout would only blur the comparison.
        let seed = 0;
        Self {
            name: name.into(),
            cell: Mutex::new(Cell {
                machine: Machine::new(spec.clone(), seed, now),
                report: ShadowReport::default(),
                cleared: ShadowReport::default(),
            }),
        }
    }
}

// === impl Watched ===

impl Watched {
    /// Gives them the result of the call.
    pub(super) fn finish(mut self, sample: Sample, now: Instant) {
        let shadows = Arc::clone(&self.shadows);
        for (candidate, said) in shadows.candidates.iter().zip(self.said.drain(..)) {
            shadows.with(candidate, |cell| match said {
                Some(admission) => cell.machine.record(admission, sample, now),
                None => cell.report.count(sample.outcome),
            });
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        for (candidate, said) in self.shadows.candidates.iter().zip(self.said.drain(..)) {
            if let Some(admission) = said {
                lock(&candidate.cell).machine.release(admission);
            }
        }
    }
}

impl ShadowReport {
    /// The sum of both.
    fn and(self, other: Self) -> Self {
        Self {
            would_open: self.would_open + other.would_open,
            would_reject: self.would_reject + other.would_reject,
            rejected_successes: self.rejected_successes + other.rejected_successes,
            rejected_failures: self.rejected_failures + other.rejected_failures,
        }
    }

    /// Counts the result of a call that would have been rejected.
    fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Success | Outcome::Alive => self.rejected_successes += 1,
            Outcome::Failure => self.rejected_failures += 1,
            Outcome::Throttled | Outcome::Ignored => {}
        }
    }
}
