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
//! | `permit` | the right to make one call, of all breakers that watch it |
//! | `keyed` | a breaker for each key below a route's own |
//! | `shadow` | candidates that watch and never reject |
//! | `window`, `labels`, `backoff` | its counts, and its patience |
//! | `exemplar` | a few of the calls it judged by |
//! | `saved` | what outlives its process |
//! | `state`, `admission`, `transition`, `view` | what it says |
//! | `explain` | the same in plain words |
//! | `sync` | its locks, at which a test may let other threads go first |
//!
//! Invariants: probes out never exceed `half_open_max` (a reload that lowers it takes back none that are out); each change is one
//! [`Transition`], reported once and in order; a result of an older generation moves nothing.

mod admission;
mod backoff;
mod exemplar;
mod explain;
mod force;
mod keyed;
mod labels;
mod machine;
mod permit;
mod ramping;
mod roll;
mod saved;
mod shadow;
mod spec;
mod state;
mod sync;
#[cfg(test)]
mod tests;
mod transition;
mod verdict;
mod view;
mod window;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::resilience::outcome::{Outcome, Sample};
use crate::resilience::ratio::Ratio;

use sync::{lock, point};

pub use admission::{Admission, Refusal, RefusalKind};
pub use exemplar::{Exemplar, Identity};
pub use explain::explain;
pub use force::{Author, ForceRequest, Hold, Order};
pub use keyed::{KeyCounts, KeyObserver, Keyed, LOOKED_AT, Rejection};
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
    cell: Mutex<Cell>,
    /// One more than the generation whose calls all pass, 0 when the machine must be asked: a closed breaker admits without the lock.
    /// A caller that reads it just before an opening asked just before the opening, and its result is of an older generation.
    all_pass: AtomicU64,
    /// From how many nanoseconds on a call is slow; `u64::MAX` where none is. Told without the lock, as only a reload changes it.
    slow_from: AtomicU64,
    observer: Observer,
}

struct Cell {
    machine: Machine,
    /// Whether a thread is telling the observer; it tells what others add meanwhile.
    telling: bool,
}

// === impl Breaker ===

impl Breaker {
    /// A closed breaker. The seed decides the jitter of its reset timeouts.
    #[must_use]
    pub fn new(spec: BreakerSpec, seed: u64, now: Instant, observer: Observer) -> Arc<Self> {
        let cell = Cell {
            machine: Machine::new(spec, seed, now),
            telling: false,
        };
        let all_pass = AtomicU64::new(passing(&cell.machine));
        let slow_from = AtomicU64::new(slow_from(cell.machine.spec()));
        Arc::new(Self {
            cell: Mutex::new(cell),
            all_pass,
            slow_from,
            observer,
        })
    }

    /// Asks for the right to make one call.
    ///
    /// # Errors
    /// The refusal, when the state in force rejects it; it is counted.
    pub fn admit(self: &Arc<Self>, now: Instant) -> Result<Permit, Refusal> {
        if let Some(generation) = self.generation_of_all() {
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
        if self.generation_of_all().is_some() {
            return Ok(());
        }
        self.with(|machine| machine.check(now))
    }

    /// Whether it could be forgotten: what a new one does at `now` is what this one would do.
    fn is_forgettable(&self, now: Instant) -> bool {
        let cell = self.lock();
        !cell.telling && !cell.machine.has_transition() && cell.machine.is_forgettable(now)
    }

    /// The generation in which all calls pass, read without the lock.
    fn generation_of_all(&self) -> Option<u64> {
        point();
        self.all_pass.load(Ordering::Acquire).checked_sub(1)
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
        self.lock().machine.spec().clone()
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

    /// Whether the call behind a sample is one to be remembered.
    fn wants(&self, sample: &Sample) -> bool {
        let is_slow = |latency: Duration| {
            latency.as_nanos() >= u128::from(self.slow_from.load(Ordering::Relaxed))
        };
        sample.outcome == Outcome::Failure || sample.latency.is_some_and(is_slow)
    }

    /// Runs `act` under the lock, then tells what changed outside of it.
    fn with<T>(&self, act: impl FnOnce(&mut Machine) -> T) -> T {
        let mut cell = self.lock();
        let answer = act(&mut cell.machine);
        let passing = passing(&cell.machine);
        if self.all_pass.load(Ordering::Relaxed) != passing {
            self.all_pass.store(passing, Ordering::Release);
        }
        let must_tell = cell.machine.has_transition() && !cell.telling;
        cell.telling |= must_tell;
        drop(cell);
        if must_tell {
            self.tell();
        }
        answer
    }

    fn tell(&self) {
        let mut turn = Turn {
            breaker: self,
            ended: false,
        };
        while let Some(transition) = turn.next() {
            (self.observer)(&transition);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Cell> {
        lock(&self.cell)
    }
}

/// What [`Breaker::all_pass`] says of a machine.
fn passing(machine: &Machine) -> u64 {
    machine
        .generation_of_all()
        .map_or(0, |generation| generation + 1)
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
        f.debug_struct("Breaker")
            .field("machine", &self.lock().machine)
            .finish_non_exhaustive()
    }
}

/// The turn to tell the observer.
struct Turn<'a> {
    breaker: &'a Breaker,
    ended: bool,
}

impl Turn<'_> {
    /// The next transition. With none left the turn ends under the same lock, so that none is left behind untold.
    fn next(&mut self) -> Option<Arc<Transition>> {
        let mut cell = self.breaker.lock();
        let next = cell.machine.next_transition();
        cell.telling = next.is_some();
        self.ended = next.is_none();
        next
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // A panic of the observer must not leave the turn taken for ever.
        if !self.ended {
            self.breaker.lock().telling = false;
        }
    }
}
