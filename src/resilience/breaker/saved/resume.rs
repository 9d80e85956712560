//! A new machine resumes a saved state.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Saved, SavedExemplar, SavedHold, SavedTransition, TRANSITIONS, Words};
use crate::resilience::anchor::{Anchor, Millis};
use crate::resilience::breaker::exemplar::{Exemplar, Identity};
use crate::resilience::breaker::force::{Author, Hold};
use crate::resilience::breaker::labels::LabelCount;
use crate::resilience::breaker::machine::Machine;
use crate::resilience::breaker::state::{Mode, Phase, State};
use crate::resilience::breaker::transition::{Evidence, Transition};
use crate::resilience::breaker::window::WindowCounts;
use crate::resilience::ramp::Ramp;
use crate::resilience::ratio::Ratio;
use crate::text::clip;

/// The longest hold; what is longer has no end.
const LONGEST_HOLD: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
/// The most characters of an author and of a reason.
const LONGEST_TEXT: usize = 256;

impl Machine {
    /// Resumes the state that was saved `elapsed` before `now`; only for a machine that has done nothing yet. Changes that were
    /// due meanwhile happen at once, each at the instant it was due: an open breaker whose time has passed is half-open, a hold
    /// that is over is gone. It never stays open for longer than its own settings allow, whatever was saved.
    pub fn resume(&mut self, saved: &Saved, elapsed: Duration, words: Words<'_>, now: Instant) {
        self.roll(now);
        let anchor = Anchor {
            now: self.latest,
            elapsed,
        };
        self.generation += 1;
        self.phase_since = anchor.past(saved.since);
        self.phase = match saved.state {
            State::Closed => Phase::Closed,
            State::Open => {
                let left = saved.left.map_or(Duration::ZERO, Millis::time);
                let until = anchor.end(left.min(self.spec.keys().longest_reset()));
                Phase::Open { until }
            }
            State::HalfOpen => Phase::HalfOpen {
                out: 0,
                succeeded: 0,
                verdict: None,
                is_tried_again: false,
            },
        };
        self.openings = saved.openings;
        self.ramp = match (saved.state, saved.ramp, self.spec.keys().ramp) {
            (State::Closed, Some(share), Some(_)) => Ratio::from_hundredths(share)
                .map(|share| Ramp::going_on(share, anchor.past(Millis(0)))),
            _ => None,
        };
        self.hold = saved
            .hold
            .as_ref()
            .and_then(|hold| hold.hold(anchor))
            .map(Arc::new);
        let exemplar = |saved: &SavedExemplar| Arc::new(saved.exemplar(words, anchor));
        self.last_failure = saved.last_failure.as_ref().map(exemplar);
        let told = |saved: &SavedTransition| Arc::new(saved.transition(words, anchor));
        self.history = saved
            .transitions
            .iter()
            .take(TRANSITIONS)
            .map(told)
            .collect();
        let led = |told: &&Arc<Transition>| told.before.automatic != told.after.automatic;
        let latest = self.history.iter().rev().find(led).cloned();
        self.because = latest.or_else(|| saved.because.as_deref().map(told));
        self.resumed = Some(self.latest);
        self.roll(now);
    }
}

impl SavedHold {
    fn hold(&self, anchor: Anchor) -> Option<Hold> {
        let left = self.left.map(Millis::time);
        (self.mode != Mode::Auto).then(|| Hold {
            mode: self.mode,
            since: anchor.past(self.since),
            until: left
                .filter(|left| *left <= LONGEST_HOLD)
                .map(|left| anchor.end(left)),
            by: clip(&self.by, LONGEST_TEXT).into(),
            reason: self
                .reason
                .as_deref()
                .map(|text| clip(text, LONGEST_TEXT).into()),
        })
    }
}

impl SavedExemplar {
    fn exemplar(&self, words: Words<'_>, anchor: Anchor) -> Exemplar {
        let call = self.call.as_ref();
        Exemplar {
            at: anchor.past(self.ago),
            label: self.label.as_ref().and_then(|label| label.label(words)),
            call: call.map(|(id, method, path)| Identity::new(id, method, path)),
        }
    }
}

impl SavedTransition {
    fn transition(&self, words: Words<'_>, anchor: Anchor) -> Transition {
        let (calls, failed, slow) = self.window;
        Transition {
            before: self.before,
            after: self.after,
            at: anchor.past(self.ago),
            cause: self.cause,
            evidence: Evidence {
                observed: self.observed.measure(),
                threshold: self.threshold.measure(),
                window: WindowCounts {
                    calls,
                    failed,
                    slow,
                },
                labels: self
                    .labels
                    .iter()
                    .map(|(label, count)| LabelCount {
                        label: label.as_ref().and_then(|label| label.label(words)),
                        count: *count,
                    })
                    .collect(),
                exemplars: self
                    .exemplars
                    .iter()
                    .map(|saved| Arc::new(saved.exemplar(words, anchor)))
                    .collect(),
            },
            author: self.author.as_ref().map(|author| Author {
                by: clip(&author.by, LONGEST_TEXT).into(),
                reason: author
                    .reason
                    .as_deref()
                    .map(|text| clip(text, LONGEST_TEXT).into()),
                until: None,
            }),
        }
    }
}
