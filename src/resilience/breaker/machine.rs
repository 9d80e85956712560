//! The breaker as a value: `now` and plain data go in, a verdict comes out.
//!
//! There are no timers and no tasks: time passes only in calls. `Machine::roll` is the only place where it does: it runs first
//! in every method that takes `now`, and makes each change at the instant it was due. So the state at an instant does not
//! depend on earlier queries. An instant before the latest one seen counts as that one: threads read the clock before they get
//! the lock.
//!
//! Every change of the automatic state, and every order that closes, begins a new *generation*. An [`Admission`] carries the one it
//! was given in; a result of an older generation is counted and moves nothing.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use crate::resilience::breaker::admission::{Admission, Refusal, RefusalKind, Role};
use crate::resilience::breaker::exemplar::{Exemplar, Identity, Recent};
use crate::resilience::breaker::force::Hold;
use crate::resilience::breaker::labels::{LabelTable, Tally};
use crate::resilience::breaker::roll::{Change, Memory};
use crate::resilience::breaker::spec::{BreakerSpec, Enforcement};
use crate::resilience::breaker::state::{Mode, Phase, Standing, Wait};
use crate::resilience::breaker::transition::{Cause, Evidence, Transition};
use crate::resilience::breaker::view::Statistics;
use crate::resilience::breaker::window::Window;
use crate::resilience::jitter::Jitter;
use crate::resilience::outcome::Sample;
use crate::resilience::ramp::Ramp;

/// A breaker without lock and observer.
///
/// Its owner takes the transitions out with [`Machine::next_transition`] after each call; they are queued until then.
///
/// ```
/// use std::time::Duration;
/// use sidefuse::resilience::{BreakerKeys, BreakerSpec, Cause, Label, Machine, RefusalKind, Sample, State};
///
/// let keys = BreakerKeys { failure_threshold: 1, reset_timeout: Duration::from_secs(30), ..BreakerKeys::default() };
/// let begin = std::time::Instant::now();
/// let mut machine = Machine::new(BreakerSpec::try_new(keys).unwrap(), 0, begin);
///
/// let admission = machine.admit(begin).unwrap();
/// machine.record(admission, Sample::failure(Label::Status(503)), begin);
/// assert_eq!(machine.next_transition().unwrap().cause, Cause::ConsecutiveFailures);
///
/// let refusal = machine.admit(begin).unwrap_err();
/// assert_eq!(refusal.kind, RefusalKind::CircuitOpen);
/// assert_eq!(refusal.retry_at, Some(begin + Duration::from_secs(30)));
/// assert_eq!(machine.standing(begin + Duration::from_secs(30)).state(), State::HalfOpen);
/// ```
#[derive(Clone, Debug)]
pub struct Machine {
    pub(super) spec: BreakerSpec,
    pub(super) latest: Instant,
    pub(super) generation: u64,
    pub(super) phase: Phase,
    /// Since when the phase holds.
    pub(super) phase_since: Instant,
    pub(super) hold: Option<Arc<Hold>>,
    /// Openings in a row, for the back-off.
    pub(super) openings: u32,
    pub(super) jitter: Jitter,
    /// The ramp, while it is closed and lets only a share of the calls pass.
    pub(super) ramp: Option<Ramp>,
    pub(super) window: Window,
    pub(super) labels: LabelTable,
    /// The failures of the present run, where there is one.
    pub(super) run: Option<Box<Tally>>,
    pub(super) statistics: Statistics,
    /// `statistics.rejected` when the state in force last changed.
    pub(super) rejected_before: u64,
    pub(super) last_failure: Option<Arc<Exemplar>>,
    /// The latest calls that failed or were slow; `None` before the first.
    pub(super) recent: Option<Box<Recent>>,
    pub(super) because: Option<Arc<Transition>>,
    /// The latest transitions, oldest first. Shared with every view, since it is read far more often than it changes.
    pub(super) history: Arc<[Arc<Transition>]>,
    pub(super) memory: Memory,
    pub(super) unreported: VecDeque<Arc<Transition>>,
    /// When it resumed the saved state of an earlier process.
    pub(super) resumed: Option<Instant>,
}

// === impl Machine ===

impl Machine {
    /// A closed breaker. The seed decides the jitter of its reset timeouts.
    #[must_use]
    pub fn new(spec: BreakerSpec, seed: u64, now: Instant) -> Self {
        let window = Window::new(spec.keys().window, now);
        Self {
            spec,
            latest: now,
            generation: 0,
            phase: Phase::Closed,
            phase_since: now,
            hold: None,
            openings: 0,
            jitter: Jitter::new(seed),
            ramp: None,
            window,
            labels: LabelTable::default(),
            run: None,
            statistics: Statistics::default(),
            rejected_before: 0,
            last_failure: None,
            recent: None,
            because: None,
            history: Arc::default(),
            memory: Memory::Long,
            unreported: VecDeque::new(),
            resumed: None,
        }
    }

    /// Makes it one of thousands, which must cost little: it remembers only its last transitions.
    #[must_use]
    pub(super) fn of_many(self) -> Self {
        Self {
            memory: Memory::Short,
            ..self
        }
    }

    /// Asks for the right to make one call.
    ///
    /// # Errors
    /// The refusal, when the state in force rejects it; it is counted.
    pub fn admit(&mut self, now: Instant) -> Result<Admission, Refusal> {
        self.roll(now);
        if self.mode() == Mode::ForcedOpen {
            return Err(self.reject(RefusalKind::ForcedOpen));
        }
        if self.spec.keys().enforcement == Enforcement::Off {
            return Ok(self.admission(Role::Bystander));
        }
        let refusal = self.automatic_refusal();
        self.ask_ramp();
        match refusal {
            None => Ok(self.let_pass()),
            Some(_) if self.present().lets_all_pass() => {
                self.statistics.would_reject += 1;
                Ok(self.admission(Role::Bystander))
            }
            Some(kind) => Err(self.reject(kind)),
        }
    }

    /// Admits an active probe, if the automatic state is half-open and a probe is free.
    pub fn admit_probe(&mut self, now: Instant) -> Option<Admission> {
        self.roll(now);
        if self.mode() == Mode::ForcedOpen || self.spec.keys().enforcement == Enforcement::Off {
            return None;
        }
        let is_half_open = matches!(self.phase, Phase::HalfOpen { .. });
        (is_half_open && self.automatic_refusal().is_none()).then(|| self.let_pass())
    }

    /// Asks whether a call would be admitted, without an admission.
    ///
    /// # Errors
    /// The refusal, which is counted, also by a ramp: it brings the turn of the next call nearer.
    pub fn check(&mut self, now: Instant) -> Result<(), Refusal> {
        self.roll(now);
        let Some(kind) = self.rejects() else {
            return Ok(());
        };
        if kind == RefusalKind::Ramping {
            self.ask_ramp();
        }
        Err(self.reject(kind))
    }

    /// Whether it would reject a call at `now`. Counts nothing.
    pub fn would_reject(&mut self, now: Instant) -> bool {
        self.roll(now);
        self.rejects().is_some()
    }

    /// Takes the result of an admitted call. A result of an older generation is counted and moves nothing.
    pub fn record(&mut self, admission: Admission, sample: Sample, now: Instant) {
        self.record_as(admission, sample, None, now);
    }

    /// The same with the call's identity, so that failed and slow calls can be shown to people.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "taken by value, an admission comes back once"
    )]
    pub fn record_as(
        &mut self,
        admission: Admission,
        sample: Sample,
        call: Option<Identity>,
        now: Instant,
    ) {
        self.roll(now);
        let slow = self.count(&sample);
        let exemplar = self.exemplar(&sample, slow, call);
        let Admission { generation, role } = admission;
        if generation != self.generation {
            return;
        }
        match role {
            Role::Bystander => {}
            Role::Call => self.judge_call(&sample, slow, exemplar.as_ref()),
            Role::Probe => self.judge_probe(&sample, slow, exemplar.as_ref()),
        }
    }

    /// Takes back an admission whose call was abandoned: the slot is free, and the upstream is not blamed.
    ///
    /// Takes no `now`, because a drop has none: it counts as happening at the latest instant that the machine has seen.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "taken by value, an admission comes back once"
    )]
    pub fn release(&mut self, admission: Admission) {
        self.statistics.total_calls += 1;
        self.statistics.ignored += 1;
        let Admission { generation, role } = admission;
        if generation == self.generation && role == Role::Probe {
            self.return_probe();
        }
    }

    /// Takes back an admission as if the call had never asked: it was refused elsewhere.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "taken by value, an admission comes back once"
    )]
    pub fn withdraw(&mut self, admission: Admission) {
        let Admission { generation, role } = admission;
        if generation != self.generation {
            return;
        }
        match role {
            Role::Call => self.return_turn(),
            Role::Probe => self.return_probe(),
            Role::Bystander => {
                self.statistics.would_reject = self.statistics.would_reject.saturating_sub(1);
            }
        }
    }

    /// Gives it new settings. Its state stays; a window of another shape starts empty.
    pub fn respec(&mut self, spec: BreakerSpec, now: Instant) {
        self.roll(now);
        let before = self.present();
        let old = std::mem::replace(&mut self.spec, spec);
        let window = self.spec.keys().window;
        if window != old.keys().window {
            self.window = Window::new(window, self.latest);
        }
        self.respec_ramp(old.keys().ramp);
        let evidence = Evidence::none(self.window.counts(self.latest));
        let change = Change::new(self.latest, Cause::Config, evidence);
        self.note(before, change);
    }

    /// The settings in force.
    #[must_use]
    pub const fn spec(&self) -> &BreakerSpec {
        &self.spec
    }

    /// How it stands at `now`.
    pub fn standing(&mut self, now: Instant) -> Standing {
        self.roll(now);
        self.present()
    }

    /// The oldest transition that was not taken yet.
    pub fn next_transition(&mut self) -> Option<Arc<Transition>> {
        self.unreported.pop_front()
    }

    /// Whether [`Machine::next_transition`] has one.
    #[must_use]
    pub fn has_transition(&self) -> bool {
        !self.unreported.is_empty()
    }

    /// The standing at the latest instant seen: the only place that computes it.
    pub(super) fn present(&self) -> Standing {
        Standing {
            automatic: self.phase.state(),
            mode: self.mode(),
            enforcement: self.spec.keys().enforcement,
        }
    }

    /// The generation, if in this state every call passes as an ordinary one, and only a result, an order or a reload can
    /// change that: neither time nor a number of probes matters, and admitting changes nothing.
    pub(super) fn generation_of_all(&self) -> Option<u64> {
        let is_plain = self.phase == Phase::Closed
            && self.hold.is_none()
            && self.ramp.is_none()
            && self.spec.keys().enforcement != Enforcement::Off;
        is_plain.then_some(self.generation)
    }

    /// When a call may pass again, if a time is known: the value of `Retry-After` and of the view.
    pub(super) fn next_probe_at(&self) -> Option<Instant> {
        let reset = match self.phase {
            Phase::Open { until } => Some(until),
            Phase::Closed | Phase::HalfOpen { .. } => None,
        };
        match &self.hold {
            Some(hold) if hold.mode == Mode::ForcedOpen => hold
                .until
                .map(|until| reset.map_or(until, |reset| reset.max(until))),
            Some(_) | None => reset,
        }
    }

    /// Why the next call would be rejected at the latest instant seen.
    pub(super) fn rejects(&self) -> Option<RefusalKind> {
        if self.mode() == Mode::ForcedOpen {
            return Some(RefusalKind::ForcedOpen);
        }
        self.automatic_refusal()
            .filter(|_| !self.present().lets_all_pass())
    }

    fn automatic_refusal(&self) -> Option<RefusalKind> {
        match self.phase {
            Phase::Closed => self.ramp_refuses().then_some(RefusalKind::Ramping),
            Phase::Open { .. } => Some(RefusalKind::CircuitOpen),
            Phase::HalfOpen { out, .. } => {
                (out >= self.spec.keys().half_open_max).then_some(RefusalKind::HalfOpenFull)
            }
        }
    }

    /// Admits a call that the automatic state does not refuse: as a probe when it is half-open.
    fn let_pass(&mut self) -> Admission {
        let since = self.latest;
        let until = since + self.spec.keys().half_open_timeout;
        match &mut self.phase {
            Phase::Closed | Phase::Open { .. } => self.admission(Role::Call),
            Phase::HalfOpen {
                out,
                verdict,
                is_tried_again,
                ..
            } => {
                *out += 1;
                *is_tried_again = verdict.is_some();
                verdict.get_or_insert(Wait { since, until });
                self.admission(Role::Probe)
            }
        }
    }

    fn mode(&self) -> Mode {
        self.hold.as_ref().map_or(Mode::Auto, |hold| hold.mode)
    }

    const fn admission(&self, role: Role) -> Admission {
        Admission {
            generation: self.generation,
            role,
        }
    }

    fn reject(&mut self, kind: RefusalKind) -> Refusal {
        self.statistics.total_calls += 1;
        self.statistics.rejected += 1;
        let retry_at = match kind {
            RefusalKind::Ramping => self.ramp().map(|(ramp, spec)| ramp.full_at(spec)),
            RefusalKind::CircuitOpen | RefusalKind::HalfOpenFull | RefusalKind::ForcedOpen => {
                self.next_probe_at()
            }
        };
        Refusal {
            kind,
            state: self.present().state(),
            retry_at,
        }
    }
}
