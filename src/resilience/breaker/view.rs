//! The whole picture of a breaker at one instant.

use std::sync::Arc;
use std::time::Instant;

use crate::resilience::breaker::admission::RefusalKind;
use crate::resilience::breaker::exemplar::Exemplar;
use crate::resilience::breaker::force::Hold;
use crate::resilience::breaker::labels::LabelCount;
use crate::resilience::breaker::machine::Machine;
use crate::resilience::breaker::state::{Mode, Phase, Standing, State};
use crate::resilience::breaker::transition::Transition;
use crate::resilience::breaker::window::WindowCounts;
use crate::resilience::ratio::Ratio;

/// What was counted since the breaker was made or cleared.
///
/// `total_calls` = `successes` + `failures` + `alive` + `throttled` + `ignored` + `rejected`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Calls that ended or were rejected; calls still out are not among them.
    pub total_calls: u64,
    /// Calls that went well.
    pub successes: u64,
    /// Calls that the upstream failed.
    pub failures: u64,
    /// Calls whose fault was the caller's.
    pub alive: u64,
    /// Calls that the upstream answered with a wish for a pause.
    pub throttled: u64,
    /// Calls that say nothing about the upstream, abandoned ones among them.
    pub ignored: u64,
    /// Calls that were rejected.
    pub rejected: u64,
    /// Calls that the automatic state would have rejected but that passed: shadow, or held closed.
    pub would_reject: u64,
    /// The failures that were timeouts.
    pub timeouts: u64,
    /// The calls that were slow, whatever their outcome except ignored.
    pub slow: u64,
    /// Failures in a row at present.
    pub consecutive_failures: u32,
    /// Successes in a row at present.
    pub consecutive_successes: u32,
}

/// A count on its way to a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountDistance {
    /// How many are counted.
    pub reached: u32,
    /// How many are needed.
    pub threshold: u32,
}

/// A share on its way to a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShareDistance {
    /// The share at present, rounded down; `None` while the window is empty.
    pub reached: Option<Ratio>,
    /// The share that opens.
    pub threshold: Ratio,
    /// The calls of the window.
    pub calls: CountDistance,
}

/// How far it is to each rule that is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Distances {
    /// To opening by failures in a row.
    pub consecutive_failures: Option<CountDistance>,
    /// To opening by the share of failures.
    pub failure_ratio: Option<ShareDistance>,
    /// To opening by the share of slow calls.
    pub slow_ratio: Option<ShareDistance>,
}

/// The probes of a half-open breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probes {
    /// How many are in flight.
    pub out: u32,
    /// How many may be in flight.
    pub max: u32,
    /// Successful ones towards closing.
    pub succeeded: CountDistance,
    /// When it reopens without a verdict; `None` while no probe is in flight.
    pub verdict_by: Option<Instant>,
}

/// The ramp of a closed breaker that does not let all calls pass yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ramping {
    /// The share of the calls that passes, rounded down.
    pub share: Ratio,
    /// From when on all of them pass, if none fails until then.
    pub full_at: Instant,
}

/// The whole picture of a breaker at one instant.
#[derive(Clone, Debug)]
pub struct View {
    /// The instant: the one asked for, or a later one that another thread has reached already.
    pub now: Instant,
    /// The automatic state, the mode and the enforcement.
    pub standing: Standing,
    /// Since when the state in force holds.
    pub since: Instant,
    /// When a call may pass again, for an open breaker: the same instant that a refusal tells. `None` if that is unknown.
    pub next_probe_at: Option<Instant>,
    /// The hold in force, with its end, author and reason.
    pub hold: Option<Arc<Hold>>,
    /// Why the next call would be rejected; `None` if it would pass.
    pub rejects: Option<RefusalKind>,
    /// The probes, while the automatic state is half-open.
    pub probes: Option<Probes>,
    /// The ramp, while it is on one.
    pub ramp: Option<Ramping>,
    /// What was counted.
    pub statistics: Statistics,
    /// Calls rejected since `since`.
    pub rejected_since: u64,
    /// What the window holds.
    pub window: WindowCounts,
    /// Failed share of the window, rounded down; `None` while it is empty.
    pub failure_ratio: Option<Ratio>,
    /// Slow share of the window, rounded down; `None` while it is empty.
    pub slow_ratio: Option<Ratio>,
    /// How far it is to each rule that is on.
    pub distances: Distances,
    /// The failures of the present run by label, most frequent first.
    pub run_labels: Vec<LabelCount>,
    /// The latest failures of the present run, oldest first; at most 5.
    pub run_exemplars: Vec<Arc<Exemplar>>,
    /// The latest failure.
    pub last_failure: Option<Arc<Exemplar>>,
    /// What led to the automatic state; `None` if it never changed.
    pub because: Option<Arc<Transition>>,
    /// When it resumed the state that an earlier process had saved, if it did; its counts begin there.
    pub resumed: Option<Instant>,
    /// The last 32 transitions, oldest first.
    pub transitions: Arc<[Arc<Transition>]>,
}

impl Machine {
    /// The whole picture at `now`.
    pub fn view(&mut self, now: Instant) -> View {
        self.roll(now);
        let window = self.window.counts(self.latest);
        let share = |part: u32| Ratio::of(u64::from(part), u64::from(window.calls));
        View {
            now: self.latest,
            standing: self.present(),
            since: self
                .hold
                .as_ref()
                .map_or(self.phase_since, |hold| hold.since),
            // The end of a hold over a closed breaker brings no probe.
            next_probe_at: self.next_probe_at().filter(|_| self.phase != Phase::Closed),
            hold: self.hold.clone(),
            rejects: self.rejects(),
            probes: self.probes(),
            ramp: self.ramp().map(|(ramp, spec)| Ramping {
                share: ramp.share(spec, self.latest),
                full_at: ramp.full_at(spec),
            }),
            statistics: self.statistics,
            rejected_since: self.statistics.rejected - self.rejected_before,
            window,
            failure_ratio: share(window.failed),
            slow_ratio: share(window.slow),
            distances: self.distances(window),
            run_labels: self.run_labels(),
            run_exemplars: self.latest_failed(self.statistics.consecutive_failures),
            last_failure: self.last_failure.clone(),
            because: self.because.clone(),
            resumed: self.resumed,
            transitions: Arc::clone(&self.history),
        }
    }

    fn probes(&self) -> Option<Probes> {
        match self.phase {
            Phase::Closed | Phase::Open { .. } => None,
            Phase::HalfOpen {
                out,
                succeeded,
                verdict,
                ..
            } => {
                let keys = self.spec.keys();
                let succeeded = CountDistance {
                    reached: succeeded,
                    threshold: keys.success_threshold,
                };
                Some(Probes {
                    out,
                    max: keys.half_open_max,
                    succeeded,
                    verdict_by: verdict.filter(|_| out > 0).map(|wait| wait.until),
                })
            }
        }
    }

    fn distances(&self, window: WindowCounts) -> Distances {
        let keys = self.spec.keys();
        let calls = CountDistance {
            reached: window.calls,
            threshold: keys.min_calls,
        };
        let share = |ratio: Option<Ratio>, part: u32| {
            let reached = Ratio::of(u64::from(part), u64::from(window.calls));
            ratio.map(|threshold| ShareDistance {
                reached,
                threshold,
                calls,
            })
        };
        Distances {
            consecutive_failures: (keys.failure_threshold > 0).then_some(CountDistance {
                reached: self.statistics.consecutive_failures,
                threshold: keys.failure_threshold,
            }),
            failure_ratio: share(keys.failure_ratio, window.failed),
            slow_ratio: share(keys.slow_ratio, window.slow),
        }
    }
}

impl View {
    /// The state in force.
    #[must_use]
    pub const fn state(&self) -> State {
        self.standing.state()
    }

    /// Who decides.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.standing.mode
    }
}
