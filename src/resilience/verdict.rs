//! The full verdict on an answer; its [`Outcome`] is the summary.

use std::time::Duration;

use super::{Label, Outcome, Sample, Signal};

/// What an attempt proved, and what else follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What it proved.
    pub outcome: Outcome,
    /// What a failure was; `None` for other outcomes.
    pub label: Option<Label>,
    /// The wish for a pause; there is one exactly when the outcome is throttled.
    pub signal: Option<Signal>,
    /// The upstream works, and something on our side has to be fixed: a token, an account, a limit.
    pub config_error: bool,
}

impl Verdict {
    /// The default rule for an answer whose body ended well.
    #[must_use]
    pub fn of_status(status: u16, has_retry_after: bool) -> Self {
        let outcome = Outcome::of_status(status, has_retry_after);
        Self::plain(outcome, Label::Status(status))
    }

    /// The default rule for an attempt that failed without an answer, by the upstream's doing.
    #[must_use]
    pub const fn of_error(label: &'static str) -> Self {
        Self::failure(Label::Named(label))
    }

    /// An outcome; `label` is what it was if it is a failure, and the route pauses if it is a throttle.
    #[must_use]
    pub fn plain(outcome: Outcome, label: Label) -> Self {
        Self {
            outcome,
            label: (outcome == Outcome::Failure).then_some(label),
            signal: (outcome == Outcome::Throttled).then(Signal::default),
            config_error: false,
        }
    }

    /// A failure and what it was.
    #[must_use]
    pub const fn failure(label: Label) -> Self {
        Self {
            outcome: Outcome::Failure,
            label: Some(label),
            signal: None,
            config_error: false,
        }
    }

    /// The sample for a breaker.
    #[must_use]
    pub const fn sample(self, latency: Option<Duration>) -> Sample {
        Sample {
            outcome: self.outcome,
            latency,
            label: self.label,
        }
    }
}
