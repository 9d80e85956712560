//! What the reference says, each counted from its lists.

use super::*;

impl Reference {
    /// The share that a ramp lets pass.
    pub(super) fn share_at(&self, at: u64) -> Option<u128> {
        let (climb, spec) = (self.ramp?, self.keys.ramp?);
        let begin = u128::from(spec.from.hundredths()) * 100;
        let gained = (ALL - begin) * u128::from(at - climb.since) / u128::from(nanos(spec.over));
        Some((climb.from + gained).min(ALL))
    }

    /// The share in hundredths of a percent, and when it is all; found by trying.
    pub(in super::super) fn ramping(&self) -> Option<(u16, u64)> {
        let share = self.share_at(self.now)?;
        let (mut low, mut high) = (self.now, self.now + 200 * nanos(self.keys.ramp?.over));
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            if self.share_at(middle)? == ALL {
                high = middle;
            } else {
                low = middle;
            }
        }
        Some(((share / 100) as u16, high))
    }

    /// What the next call would be told.
    pub(in super::super) fn rejects(&self) -> Option<RefusalKind> {
        let standing = self.standing();
        if standing.mode == Mode::ForcedOpen {
            return Some(RefusalKind::ForcedOpen);
        }
        if standing.mode == Mode::ForcedClosed || standing.enforcement != Enforcement::Enforce {
            return None;
        }
        match self.automatic {
            State::Closed => {
                let credit = self.share_at(self.now)? + self.ramp?.left;
                (credit < ALL).then_some(RefusalKind::Ramping)
            }
            State::Open => Some(RefusalKind::CircuitOpen),
            State::HalfOpen => {
                (self.probes_out >= self.keys.half_open_max).then_some(RefusalKind::HalfOpenFull)
            }
        }
    }

    pub(in super::super) fn since(&self) -> u64 {
        self.hold.map_or(self.since, |hold| hold.1)
    }

    pub(in super::super) fn next_probe_at(&self) -> Option<u64> {
        let reset = (self.automatic == State::Open).then_some(self.open_until);
        match self.hold {
            Some((Mode::ForcedOpen, _, until)) => until.map(|until| until.max(reset.unwrap_or(0))),
            Some(_) | None => reset,
        }
    }

    /// Probes out, successful ones, and by when a verdict must be there.
    pub(in super::super) fn probes(&self) -> Option<(u32, u32, Option<u64>)> {
        let verdict = self.verdict_at.filter(|_| self.probes_out > 0);
        (self.automatic == State::HalfOpen).then_some((self.probes_out, self.probes_good, verdict))
    }

    pub(in super::super) fn run(&self) -> Vec<Option<Label>> {
        let mut run = Vec::new();
        for happened in self.happened.iter().rev() {
            match happened {
                Happened::Failure(label) => run.push(*label),
                Happened::Other => {}
                Happened::Success | Happened::Closed | Happened::Ordered => break,
            }
        }
        run
    }

    pub(in super::super) fn consecutive_successes(&self) -> u32 {
        let mut count = 0;
        for happened in self.happened.iter().rev() {
            match happened {
                Happened::Success => count += 1,
                Happened::Other | Happened::Closed => {}
                Happened::Failure(_) | Happened::Ordered => break,
            }
        }
        count
    }

    pub(in super::super) fn window_counts(&self, now: u64) -> WindowCounts {
        let skip = match self.keys.window {
            WindowSpec::Time(_) => 0,
            WindowSpec::Calls(calls) => self.window.len().saturating_sub(calls as usize),
        };
        let mut counts = WindowCounts::default();
        for call in &self.window[skip..] {
            if let WindowSpec::Time(time) = self.keys.window {
                let tenth = |at: u64| (at - self.window_from) / (nanos(time) / 10);
                if tenth(now) >= tenth(call.at) + 10 {
                    continue;
                }
            }
            counts.calls += 1;
            counts.failed += u32::from(call.failed);
            counts.slow += u32::from(call.slow);
        }
        counts
    }

    pub(super) fn breach(&self, failed: bool) -> Option<Cause> {
        let keys = &self.keys;
        if failed
            && keys.failure_threshold > 0
            && self.run().len() >= keys.failure_threshold as usize
        {
            return Some(Cause::ConsecutiveFailures);
        }
        let counts = self.window_counts(self.now);
        if counts.calls < keys.min_calls {
            return None;
        }
        let reached = |ratio: Option<Ratio>, part: u32| {
            ratio.is_some_and(|ratio| {
                u64::from(part) * 10_000 >= u64::from(counts.calls) * u64::from(ratio.hundredths())
            })
        };
        if reached(keys.failure_ratio, counts.failed) {
            return Some(Cause::FailureRatio);
        }
        reached(keys.slow_ratio, counts.slow).then_some(Cause::SlowRatio)
    }
}
