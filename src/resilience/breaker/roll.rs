//! How time changes a machine, and how every change is made and remembered.

use std::sync::Arc;
use std::time::Instant;

use crate::resilience::breaker::force::Author;
use crate::resilience::breaker::machine::Machine;
use crate::resilience::breaker::state::{Phase, Standing};
use crate::resilience::breaker::transition::{Cause, Evidence, Transition};

/// How much of its past a breaker remembers. The calls that led to a change take most of the memory: one of thousands of
/// breakers keeps them only for the latest change and for the one that led to the present state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Memory {
    /// For a route's breaker.
    Long,
    /// For one of thousands of breakers.
    Short,
}

impl Memory {
    /// How many transitions are kept.
    const fn transitions(self) -> usize {
        match self {
            Self::Long => 32,
            Self::Short => 4,
        }
    }

    /// How many of them keep the calls that led to them.
    const fn with_calls(self) -> usize {
        match self {
            Self::Long => self.transitions(),
            Self::Short => 1,
        }
    }
}

/// A change that is due by time alone.
#[derive(Clone, Copy)]
enum Due {
    HoldEnds,
    Reset,
    Verdict { since: Instant },
}

/// A change, for [`Machine::note`].
pub(super) struct Change {
    pub(super) at: Instant,
    pub(super) cause: Cause,
    pub(super) evidence: Evidence,
    pub(super) author: Option<Author>,
}

impl Change {
    /// A change without an order.
    pub(super) const fn new(at: Instant, cause: Cause, evidence: Evidence) -> Self {
        Self {
            at,
            cause,
            evidence,
            author: None,
        }
    }
}

// === time ===

impl Machine {
    /// Lets time pass up to `now`.
    pub(super) fn roll(&mut self, now: Instant) {
        self.latest = self.latest.max(now);
        if self.ramp.is_some() {
            self.end_ramp_if_due();
        }
        if self.phase == Phase::Closed && self.hold.is_none() {
            return;
        }
        while let Some((due, at)) = self.next_due() {
            if at > self.latest {
                return;
            }
            match due {
                Due::HoldEnds => self.end_hold(at),
                Due::Reset => self.half_open(at),
                Due::Verdict { since } => self.end_wait_for_verdict(since, at),
            }
        }
    }

    /// Lets time pass only if that ends the hold.
    pub(super) fn end_hold_if_due(&mut self, now: Instant) {
        let until = self.hold.as_ref().and_then(|hold| hold.until);
        if until.is_some_and(|until| until <= now) {
            self.roll(now);
        }
    }

    fn next_due(&self) -> Option<(Due, Instant)> {
        let phase = match self.phase {
            Phase::Closed => None,
            Phase::Open { until } => Some((Due::Reset, until)),
            Phase::HalfOpen { verdict, .. } => {
                verdict.map(|wait| (Due::Verdict { since: wait.since }, wait.until))
            }
        };
        let hold = self
            .hold
            .as_ref()
            .and_then(|hold| hold.until)
            .map(|at| (Due::HoldEnds, at));
        match (phase, hold) {
            (Some(phase), Some(hold)) => Some(if phase.1 <= hold.1 { phase } else { hold }),
            (phase, hold) => phase.or(hold),
        }
    }

    fn end_hold(&mut self, at: Instant) {
        let before = self.present();
        let author = self.hold.take().map(Arc::unwrap_or_clone);
        let author = author.map(|hold| Author {
            by: hold.by,
            reason: hold.reason,
            until: Some(at),
        });
        let evidence = Evidence::none(self.window.counts(at));
        let change = Change::new(at, Cause::Forced, evidence);
        self.note(before, Change { author, ..change });
    }

    fn half_open(&mut self, at: Instant) {
        let evidence = Evidence::waited(at - self.phase_since, self.window.counts(at));
        let phase = Phase::HalfOpen {
            out: 0,
            succeeded: 0,
            verdict: None,
            is_tried_again: false,
        };
        self.enter(phase, at, Cause::ResetTimeout, evidence);
    }

    fn end_wait_for_verdict(&mut self, since: Instant, at: Instant) {
        if let Phase::HalfOpen {
            out: 0,
            is_tried_again: false,
            verdict,
            ..
        } = &mut self.phase
        {
            // No call has come since.
            *verdict = None;
            return;
        }
        let evidence = Evidence::waited(at - since, self.window.counts(at));
        self.open(at, Cause::HalfOpenTimeout, evidence);
    }
}

// === changes ===

impl Machine {
    pub(super) fn open(&mut self, at: Instant, cause: Cause, evidence: Evidence) {
        let keys = self.spec.keys();
        if self.phase == Phase::Closed && at - self.phase_since >= keys.reset_timeout {
            self.openings = 0;
        }
        let until = at + self.jitter.reset_timeout(keys, self.openings);
        self.openings = self.openings.saturating_add(1);
        self.enter(Phase::Open { until }, at, cause, evidence);
    }

    pub(super) fn enter(&mut self, phase: Phase, at: Instant, cause: Cause, evidence: Evidence) {
        let before = self.present();
        self.generation += 1;
        self.phase = phase;
        self.phase_since = at;
        self.ramp = None;
        self.note(before, Change::new(at, cause, evidence));
    }

    /// Remembers and reports a change, if the standing has changed.
    pub(super) fn note(&mut self, before: Standing, change: Change) {
        let after = self.present();
        if before == after {
            return;
        }
        if before.state() != after.state() || before.mode != after.mode {
            self.rejected_before = self.statistics.rejected;
        }
        let Change {
            at,
            cause,
            evidence,
            author,
        } = change;
        let transition = Arc::new(Transition {
            before,
            after,
            at,
            cause,
            evidence,
            author,
        });
        if before.automatic != after.automatic {
            self.because = Some(Arc::clone(&transition));
        }
        self.remember(Arc::clone(&transition));
        self.unreported.push_back(transition);
    }

    fn remember(&mut self, transition: Arc<Transition>) {
        let forgotten = (self.history.len() + 1).saturating_sub(self.memory.transitions());
        let kept = std::mem::take(&mut self.history);
        let mut history = kept[forgotten..].to_vec();
        drop(kept);
        history.push(transition);
        let older = history.len().saturating_sub(self.memory.with_calls());
        for transition in history.iter_mut().take(older) {
            if !transition.evidence.exemplars.is_empty() {
                Arc::make_mut(transition).evidence.exemplars = Vec::new();
            }
        }
        self.history = history.into();
    }
}
