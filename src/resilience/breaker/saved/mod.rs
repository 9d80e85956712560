//! The state of a breaker that outlives the process: plain data from one machine into a new one.
//!
//! Saved are the automatic state, the hold, the openings in a row (for the back-off), the ramp, and the evidence for these.
//! Counters, windows and the probes of a half-open breaker begin anew: what was counted before a restart says little about what
//! comes after it.
//!
//! No clock is kept. Every time is a distance to the moment of saving in whole milliseconds; the caller of `resume` says how long ago that
//! was.

mod resume;

use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::resilience::anchor::Millis;
use crate::resilience::breaker::exemplar::{Exemplar, Identity};
use crate::resilience::breaker::machine::Machine;
use crate::resilience::breaker::state::{Mode, Phase, Standing, State};
use crate::resilience::breaker::transition::{Cause, Evidence, Measure, Transition};
use crate::resilience::outcome::Label;
use crate::resilience::ratio::Ratio;

/// How many of the latest transitions are saved.
const TRANSITIONS: usize = 8;

/// Maps a saved label to the program's own static string; `None` if unknown.
pub type Words<'a> = &'a dyn Fn(&str) -> Option<&'static str>;

/// What is saved of a breaker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Saved {
    state: State,
    /// How long it has been in this state.
    since: Millis,
    /// What is left of the reset time of an open breaker.
    left: Option<Millis>,
    openings: u32,
    /// The share of a closed breaker on its ramp, in hundredths of a percent.
    ramp: Option<u16>,
    hold: Option<SavedHold>,
    last_failure: Option<SavedExemplar>,
    /// The transition to the automatic state, if it is not among the latest.
    because: Option<Box<SavedTransition>>,
    /// The latest, oldest first.
    transitions: Vec<SavedTransition>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SavedHold {
    mode: Mode,
    since: Millis,
    left: Option<Millis>,
    by: Box<str>,
    reason: Option<Box<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SavedExemplar {
    ago: Millis,
    label: Option<SavedLabel>,
    /// Correlation id, method, path.
    call: Option<(Box<str>, Box<str>, Box<str>)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum SavedLabel {
    Status(u16),
    Named(Box<str>),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SavedTransition {
    ago: Millis,
    before: Standing,
    after: Standing,
    cause: Cause,
    observed: SavedMeasure,
    threshold: SavedMeasure,
    /// Calls, failed, slow.
    window: (u32, u32, u32),
    labels: Vec<(Option<SavedLabel>, u32)>,
    exemplars: Vec<SavedExemplar>,
    author: Option<SavedAuthor>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum SavedMeasure {
    Nothing,
    Count(u32),
    Share(u16),
    Time(Millis),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SavedAuthor {
    by: Box<str>,
    reason: Option<Box<str>>,
}

// === impl Saved ===

impl Saved {
    /// The same without exemplars and with only the transition to the present state: there may be thousands of keys.
    pub(super) fn brief(self) -> Self {
        let led = |told: &SavedTransition| told.before.automatic != told.after.automatic;
        let latest = self.transitions.into_iter().rev().find(led);
        let because = latest.map(Box::new).or(self.because);
        Self {
            last_failure: None,
            because: because.map(|because| {
                Box::new(SavedTransition {
                    exemplars: Vec::new(),
                    ..*because
                })
            }),
            transitions: Vec::new(),
            ..self
        }
    }
}

// === saving ===

impl Machine {
    /// The state to save at `now`; `None` for a breaker that is as good as new.
    pub fn save(&mut self, now: Instant) -> Option<Saved> {
        self.roll(now);
        let closed_for = self.latest.saturating_duration_since(self.phase_since);
        let openings = match self.phase {
            // From then on an opening counts as the first again.
            Phase::Closed if closed_for >= self.spec.keys().reset_timeout => 0,
            Phase::Closed | Phase::Open { .. } | Phase::HalfOpen { .. } => self.openings,
        };
        let is_new = self.phase == Phase::Closed
            && self.hold.is_none()
            && self.ramp.is_none()
            && openings == 0;
        if is_new {
            return None;
        }
        let ramp = self.ramp();
        let ramp = ramp.map(|(ramp, spec)| ramp.share(spec, self.latest).hundredths());
        Some(Saved {
            state: self.phase.state(),
            since: Millis::of(closed_for),
            left: match self.phase {
                Phase::Open { until } => Some(self.left(until)),
                Phase::Closed | Phase::HalfOpen { .. } => None,
            },
            openings,
            ramp,
            hold: self.hold.as_deref().map(|hold| SavedHold {
                mode: hold.mode,
                since: self.ago(hold.since),
                left: hold.until.map(|until| self.left(until)),
                by: hold.by.clone(),
                reason: hold.reason.clone(),
            }),
            last_failure: self
                .last_failure
                .as_deref()
                .map(|last| self.save_exemplar(last)),
            because: self
                .because
                .as_ref()
                .filter(|because| !self.latest_told().any(|told| Arc::ptr_eq(told, because)))
                .map(|because| Box::new(self.save_transition(because))),
            transitions: self
                .latest_told()
                .map(|told| self.save_transition(told))
                .collect(),
        })
    }

    fn ago(&self, at: Instant) -> Millis {
        Millis::of(self.latest.saturating_duration_since(at))
    }

    fn left(&self, until: Instant) -> Millis {
        Millis::of(until.saturating_duration_since(self.latest))
    }

    fn latest_told(&self) -> impl Iterator<Item = &Arc<Transition>> {
        let older = self.history.len().saturating_sub(TRANSITIONS);
        self.history.iter().skip(older)
    }

    fn save_transition(&self, transition: &Transition) -> SavedTransition {
        let Evidence {
            observed,
            threshold,
            window,
            labels,
            exemplars,
        } = &transition.evidence;
        SavedTransition {
            ago: self.ago(transition.at),
            before: transition.before,
            after: transition.after,
            cause: transition.cause,
            observed: SavedMeasure::of(*observed),
            threshold: SavedMeasure::of(*threshold),
            window: (window.calls, window.failed, window.slow),
            labels: labels
                .iter()
                .map(|counted| (counted.label.map(SavedLabel::of), counted.count))
                .collect(),
            exemplars: exemplars
                .iter()
                .map(|exemplar| self.save_exemplar(exemplar))
                .collect(),
            author: transition.author.as_ref().map(|author| SavedAuthor {
                by: author.by.clone(),
                reason: author.reason.clone(),
            }),
        }
    }

    fn save_exemplar(&self, exemplar: &Exemplar) -> SavedExemplar {
        let Exemplar { at, label, call } = exemplar;
        SavedExemplar {
            ago: self.ago(*at),
            label: label.map(SavedLabel::of),
            call: call
                .clone()
                .map(|Identity { id, method, path }| (id, method, path)),
        }
    }
}

impl SavedLabel {
    fn of(label: Label) -> Self {
        match label {
            Label::Status(status) => Self::Status(status),
            Label::Named(name) => Self::Named(name.into()),
        }
    }

    fn label(&self, words: Words<'_>) -> Option<Label> {
        match self {
            Self::Status(status) => Some(Label::Status(*status)),
            Self::Named(name) => words(name).map(Label::Named),
        }
    }
}

impl SavedMeasure {
    fn of(measure: Measure) -> Self {
        match measure {
            Measure::Nothing => Self::Nothing,
            Measure::Count(count) => Self::Count(count),
            Measure::Share(ratio) => Self::Share(ratio.hundredths()),
            Measure::Time(time) => Self::Time(Millis::of(time)),
        }
    }

    fn measure(self) -> Measure {
        match self {
            Self::Nothing => Measure::Nothing,
            Self::Count(count) => Measure::Count(count),
            Self::Share(share) => {
                Ratio::from_hundredths(share).map_or(Measure::Nothing, Measure::Share)
            }
            Self::Time(time) => Measure::Time(time.time()),
        }
    }
}
