//! The ramp of a machine: after closing, a growing share of the calls passes.

use std::time::Instant;

use crate::resilience::breaker::machine::Machine;
use crate::resilience::ramp::{Ramp, RampSpec};
use crate::resilience::ratio::Ratio;

impl Machine {
    /// The ramp in progress, with its settings.
    pub(super) fn ramp(&self) -> Option<(Ramp, RampSpec)> {
        self.ramp.zip(self.spec.keys().ramp)
    }

    /// The share that passes at `now`; `None` without ramp settings.
    pub(super) fn ramp_share(&mut self, now: Instant) -> Option<Ratio> {
        self.roll(now);
        let spec = self.spec.keys().ramp?;
        let share = |ramp: &Ramp| ramp.share(spec, self.latest);
        Some(self.ramp.as_ref().map_or(Ratio::ONE, share))
    }

    /// Begins a ramp: the probes have just closed the breaker.
    pub(super) fn begin_ramp(&mut self) {
        self.ramp = self
            .spec
            .keys()
            .ramp
            .map(|spec| Ramp::new(spec, self.latest));
    }

    /// Ends a ramp that has reached all calls.
    pub(super) fn end_ramp_if_due(&mut self) {
        if self
            .ramp()
            .is_some_and(|(ramp, spec)| ramp.full_at(spec) <= self.latest)
        {
            self.ramp = None;
        }
    }

    /// Whether the ramp rejects the next call.
    pub(super) fn ramp_refuses(&self) -> bool {
        self.ramp()
            .is_some_and(|(ramp, spec)| !ramp.is_next_let_pass(spec, self.latest))
    }

    /// Counts a call that asks, for the ramp.
    pub(super) fn ask_ramp(&mut self) {
        if let (Some(ramp), Some(spec)) = (&mut self.ramp, self.spec.keys().ramp) {
            ramp.ask(spec, self.latest);
        }
    }

    /// Gives back the turn of a call that was let pass.
    pub(super) fn return_turn(&mut self) {
        if let Some(ramp) = &mut self.ramp {
            ramp.give_back();
        }
    }

    /// Halves the share: a call of this generation failed.
    pub(super) fn halve_ramp(&mut self) {
        if let (Some(ramp), Some(spec)) = (&mut self.ramp, self.spec.keys().ramp) {
            ramp.halve(spec, self.latest);
        }
    }

    /// Continues from the present share with the new settings; without any, all calls pass.
    pub(super) fn respec_ramp(&mut self, old: Option<RampSpec>) {
        let new = self.spec.keys().ramp;
        if new == old {
            return;
        }
        self.ramp = match (self.ramp, old, new) {
            (Some(ramp), Some(old), Some(_)) => Some(ramp.respec(old, self.latest)),
            (Some(_) | None, _, _) => None,
        };
    }
}
