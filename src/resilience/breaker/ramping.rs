//! The ramp of a machine: after closing, calls come back by and by.

use std::time::Instant;

use crate::resilience::breaker::machine::Machine;
use crate::resilience::ramp::{Ramp, RampSpec};
use crate::resilience::ratio::Ratio;

impl Machine {
    /// The ramp that it is on, with its settings.
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

    /// It has just closed by its probes.
    pub(super) fn begin_ramp(&mut self) {
        self.ramp = self
            .spec
            .keys()
            .ramp
            .map(|spec| Ramp::new(spec, self.latest));
    }

    /// Lets time pass: a ramp that has arrived is none.
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

    /// A call asks, and the ramp counts it.
    pub(super) fn ask_ramp(&mut self) {
        if let (Some(ramp), Some(spec)) = (&mut self.ramp, self.spec.keys().ramp) {
            ramp.ask(spec, self.latest);
        }
    }

    /// A call that was let pass gives its turn back.
    pub(super) fn return_turn(&mut self) {
        if let Some(ramp) = &mut self.ramp {
            ramp.give_back();
        }
    }

    /// A call of this generation failed.
    pub(super) fn halve_ramp(&mut self) {
        if let (Some(ramp), Some(spec)) = (&mut self.ramp, self.spec.keys().ramp) {
            ramp.halve(spec, self.latest);
        }
    }

    /// Goes on from the present share by the new settings; without any, all calls pass.
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
