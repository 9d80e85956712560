//! The circuit breaker: a pure [`Machine`] behind one short lock.
//!
//! | file | what it holds |
//! |---|---|
//! | `spec` | what a breaker is asked to do, checked |
//! | `machine` | the state, and what it answers |
//! | `roll` | how time moves it, and how changes are made |
//! | `verdict` | how results move it |
//! | `ramping` | how calls come back after closing |
//! | `force` | how operators move it |
//! | `lane` | how successes are counted without the lock |
//! | `permit` | the right to make one call, of all breakers that watch it |
//! | `keyed`, `key_counts` | a breaker for each key below a route's own, and their counts by state |
//! | `shadow` | candidates that watch and never reject |
//! | `window`, `labels`, `backoff` | its counts, and how long it stays open |
//! | `exemplar` | a few of the calls it judged by |
//! | `saved` | what outlives its process |
//! | `state`, `admission`, `transition`, `view` | its answers and views |
//! | `explain` | its state in plain words |
//!
//! Invariants: probes out never exceed `half_open_max` (a reload that lowers it takes back none that are out); each change is one
//! [`Transition`], reported once and in order; a result of an older generation moves nothing.

mod admission;
mod backoff;
mod exemplar;
mod explain;
mod force;
mod key_counts;
mod keyed;
mod labels;
mod lane;
mod machine;
mod permit;
mod ramping;
mod roll;
mod saved;
mod shadow;
mod spec;
mod state;
#[cfg(test)]
mod tests;
mod transition;
mod verdict;
mod view;
mod window;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::resilience::outcome::{Outcome, Sample};
use crate::resilience::ratio::Ratio;
use crate::resilience::teller::{Teller, Telling};

use lane::Lane;

pub use admission::{Admission, Refusal, RefusalKind};
pub use exemplar::{Exemplar, Identity};
pub use explain::explain;
pub use force::{Author, ForceRequest, Hold, Order};
pub use key_counts::KeyCounts;
pub use keyed::{KeyObserver, Keyed, Rejection};
pub use labels::LabelCount;
pub use machine::Machine;
pub use permit::Permit;
pub use saved::{Saved, Words};
pub use shadow::{ShadowObserver, ShadowReport, ShadowView, Shadows};
pub use spec::{BreakerKeys, BreakerSpec, Enforcement, ResetBackoff, SpecProblem, WindowSpec};
pub use state::{Mode, Standing, State};
pub use transition::{Cause, Evidence, Measure, Transition};
pub use view::{CountDistance, Distances, Probes, Ramping, ShareDistance, Statistics, View};
pub use window::WindowCounts;

/// What is told each transition.
pub type Observer = Box<dyn Fn(&Transition) + Send + Sync>;

/// A breaker that threads share.
///
/// The observer is told each transition exactly once and in order, outside the lock, by one of the threads that use the breaker. So
/// it may call the breaker itself, and a call may return shortly before its transition was told (another thread is telling).
pub struct Breaker {
    /// A closed breaker admits without the lock.
    teller: Teller<Machine>,
    lane: Lane,
    /// From how many nanoseconds on a call is slow; `u64::MAX` where none is. Told without the lock, as only a reload changes it.
    slow_from: AtomicU64,
}

// === impl Breaker ===

impl Breaker {
    /// A closed breaker. The seed decides the jitter of its reset timeouts.
    #[must_use]
    pub fn new(spec: BreakerSpec, seed: u64, now: Instant, observer: Observer) -> Arc<Self> {
        Self::around(Machine::new(spec, seed, now), observer)
    }

    /// The same, one of thousands: it remembers less of what it did.
    fn of_many(spec: BreakerSpec, seed: u64, now: Instant, observer: Observer) -> Arc<Self> {
        Self::around(Machine::new(spec, seed, now).of_many(), observer)
    }

    fn around(machine: Machine, observer: Observer) -> Arc<Self> {
        let lane = Lane::new(machine.latest);
        lane.open_for(&machine);
        Arc::new(Self {
            lane,
            slow_from: AtomicU64::new(slow_from(machine.spec())),
            teller: Teller::new(machine, observer),
        })
    }

    /// Asks for the right to make one call.
    ///
    /// # Errors
    /// The refusal, when the state in force rejects it; it is counted.
    pub fn admit(self: &Arc<Self>, now: Instant) -> Result<Permit, Refusal> {
        if let Some(generation) = self.teller.all_pass() {
            return Ok(Permit::new(
                Arc::clone(self),
                Admission::of_call(generation),
            ));
        }
        let admission = self.with(|machine| machine.admit(now))?;
        Ok(Permit::new(Arc::clone(self), admission))
    }

    /// Asks whether a call would be admitted, without taking anything for it.
    ///
    /// # Errors
    /// The refusal, which is counted.
    pub fn check(&self, now: Instant) -> Result<(), Refusal> {
        if self.teller.all_pass().is_some() {
            return Ok(());
        }
        self.with(|machine| machine.check(now))
    }

    /// Whether it would reject a call at `now`. Nothing is taken and nothing counted.
    pub fn would_reject(&self, now: Instant) -> bool {
        self.teller.all_pass().is_none() && self.with(|machine| machine.would_reject(now))
    }

    /// Whether it could be forgotten: a new one would let the next call pass at `now`, and so would this one.
    fn is_forgettable(&self, now: Instant) -> bool {
        self.teller
            .is_silent_and(|machine| machine.is_forgettable(now))
    }

    /// Gives the right to a probe of our own, if the automatic state is half-open and has one free. Nobody is refused a call by that,
    /// so nothing is counted.
    #[must_use]
    pub fn try_probe(self: &Arc<Self>, now: Instant) -> Option<Permit> {
        let admission = self.with(|machine| machine.admit_probe(now))?;
        Some(Permit::new(Arc::clone(self), admission))
    }

    /// The state in force and who decides, at `now`. Cheap; a scrape asks this before it shows a gauge.
    pub fn in_force(&self, now: Instant) -> (State, Mode) {
        let standing = self.with(|machine| machine.standing(now));
        (standing.state(), standing.mode)
    }

    /// The share of calls that its ramp lets pass at `now`, all of them when it is not on its way; `None` when it has no ramp.
    pub fn ramp_share(&self, now: Instant) -> Option<Ratio> {
        self.with(|machine| machine.ramp_share(now))
    }

    /// The whole picture at `now`.
    pub fn view(&self, now: Instant) -> View {
        self.with(|machine| machine.view(now))
    }

    /// Gives it new settings. Its state stays; a window of another shape starts empty.
    pub fn respec(&self, spec: BreakerSpec, now: Instant) {
        self.slow_from.store(slow_from(&spec), Ordering::Relaxed);
        self.with(|machine| machine.respec(spec, now));
    }

    /// The settings in force.
    pub fn spec(&self) -> BreakerSpec {
        self.teller.look(|machine| machine.spec().clone())
    }

    /// What is to be saved at `now`; nothing of a breaker that is as good as new.
    pub fn save(&self, now: Instant) -> Option<Saved> {
        self.with(|machine| machine.save(now))
    }

    /// Takes up what was saved so long before `now`; see [`Machine::resume`].
    pub fn resume(&self, saved: &Saved, elapsed: Duration, words: Words<'_>, now: Instant) {
        self.with(|machine| machine.resume(saved, elapsed, words, now));
    }

    /// Obeys an operator. Says whether anything changed: the same order twice changes something once.
    pub fn force(&self, request: ForceRequest, now: Instant) -> bool {
        self.with(|machine| machine.force(request, now))
    }

    /// Ends its hold if the time of that has come by `now`. Time does so as soon as anybody asks; this is for when nobody does.
    pub fn end_hold(&self, now: Instant) {
        if self.teller.all_pass().is_some() {
            return;
        }
        self.with(|machine| machine.end_hold_if_due(now));
    }

    /// Whether the call behind a sample is one to be remembered.
    fn wants(&self, sample: &Sample) -> bool {
        sample.outcome == Outcome::Failure || self.is_slow(sample)
    }

    fn is_slow(&self, sample: &Sample) -> bool {
        let from = u128::from(self.slow_from.load(Ordering::Relaxed));
        let latency = sample.latency;
        latency.is_some_and(|latency| latency.as_nanos() >= from)
    }

    /// Takes the result of an admitted call.
    fn record(&self, admission: Admission, sample: Sample, call: Option<Identity>, now: Instant) {
        let is_plain = sample.outcome == Outcome::Success && !self.is_slow(&sample);
        if is_plain && self.lane.takes(&admission, now) {
            return;
        }
        self.with(|machine| machine.record_as(admission, sample, call, now));
    }

    /// Runs `act` under the lock, on a machine that knows of all successes so far.
    fn with<T>(&self, act: impl FnOnce(&mut Machine) -> T) -> T {
        self.teller.with(|machine| {
            machine.count_successes(self.lane.shut());
            let answer = act(machine);
            self.lane.open_for(machine);
            answer
        })
    }
}

impl Telling for Machine {
    type News = Transition;

    fn next_news(&mut self) -> Option<Arc<Transition>> {
        self.next_transition()
    }

    fn has_news(&self) -> bool {
        self.has_transition()
    }

    fn all_pass(&self) -> Option<u64> {
        self.generation_of_all()
    }
}

/// What [`Breaker::slow_from`] says of settings.
fn slow_from(spec: &BreakerSpec) -> u64 {
    spec.keys()
        .slow_after
        .and_then(|after| u64::try_from(after.as_nanos()).ok())
        .unwrap_or(u64::MAX)
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.teller.look(|machine| {
            f.debug_struct("Breaker")
                .field("machine", machine)
                .finish_non_exhaustive()
        })
    }
}
