//! What one call proved about the upstream.

use std::fmt;
use std::time::Duration;

/// What an attempt proved about the upstream. Only the upstream's own doing may move a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The call went well.
    Success,
    /// The upstream failed: could not be reached, broke off, was too late, or said so.
    Failure,
    /// The upstream works, the call was wrong. Not a failure, and no reason to forget the failures before it.
    Alive,
    /// The upstream asked for a pause. Not a failure, and no proof of health either.
    Throttled,
    /// Says nothing about the upstream: the caller went away, or we ended the call for a reason of our own.
    Ignored,
}

impl Outcome {
    /// All of them, in the order of declaration.
    pub const ALL: [Self; 5] = [
        Self::Success,
        Self::Failure,
        Self::Alive,
        Self::Throttled,
        Self::Ignored,
    ];

    /// The default rule for an answer whose body ended well.
    ///
    /// ```
    /// use sidefuse::resilience::Outcome;
    ///
    /// assert_eq!(Outcome::of_status(200, false), Outcome::Success);
    /// assert_eq!(Outcome::of_status(404, false), Outcome::Alive);
    /// assert_eq!(Outcome::of_status(503, false), Outcome::Failure);
    /// assert_eq!(Outcome::of_status(503, true), Outcome::Throttled);
    /// ```
    #[must_use]
    pub const fn of_status(status: u16, has_retry_after: bool) -> Self {
        match status {
            429 => Self::Throttled,
            503 if has_retry_after => Self::Throttled,
            400..=499 | 501 | 505 => Self::Alive,
            500.. => Self::Failure,
            0..=399 => Self::Success,
        }
    }

    /// The word for it in logs, metrics and JSON.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Alive => "alive",
            Self::Throttled => "throttled",
            Self::Ignored => "ignored",
        }
    }
}

/// What a failure was: a word of ours or a status number, never text of the upstream's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Label {
    /// The upstream answered with this status.
    Status(u16),
    /// There was no answer for this reason ("timeout", "connect", …).
    Named(&'static str),
}

impl Label {
    /// Whether the call failed because time ran out ("timeout", "connect_timeout", "grpc_deadline_exceeded").
    #[must_use]
    pub fn is_timeout(self) -> bool {
        match self {
            Self::Status(_) => false,
            Self::Named(name) => matches!(
                name,
                "timeout" | "connect_timeout" | "grpc_deadline_exceeded"
            ),
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "status {status}"),
            Self::Named(name) => f.write_str(name),
        }
    }
}

/// The result of one call, as a breaker wants to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// What it proved.
    pub outcome: Outcome,
    /// Time to the response headers; for a call that got none, how long it waited. `None` is never slow.
    pub latency: Option<Duration>,
    /// What a failure was; without meaning for other outcomes.
    pub label: Option<Label>,
}

impl Sample {
    /// A sample that knows its outcome only.
    #[must_use]
    pub const fn new(outcome: Outcome) -> Self {
        Self {
            outcome,
            latency: None,
            label: None,
        }
    }

    /// A failure and what it was.
    #[must_use]
    pub const fn failure(label: Label) -> Self {
        Self {
            outcome: Outcome::Failure,
            latency: None,
            label: Some(label),
        }
    }

    /// The same sample with its latency.
    #[must_use]
    pub const fn after(self, latency: Duration) -> Self {
        Self {
            latency: Some(latency),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_the_outcome_of_the_table() {
        for status in 0..=999_u16 {
            for has_retry_after in [false, true] {
                let expected = match (status, has_retry_after) {
                    (429, _) | (503, true) => Outcome::Throttled,
                    (501 | 505, _) => Outcome::Alive,
                    (status, _) if status >= 500 => Outcome::Failure,
                    (status, _) if status >= 400 => Outcome::Alive,
                    _ => Outcome::Success,
                };
                assert_eq!(
                    Outcome::of_status(status, has_retry_after),
                    expected,
                    "{status} {has_retry_after}"
                );
            }
        }
    }

    #[test]
    fn only_those_that_ran_out_of_time_are_timeouts() {
        let labels = [
            Label::Named("timeout"),
            Label::Named("connect_timeout"),
            Label::Named("grpc_deadline_exceeded"),
            Label::Named("reset"),
            Label::Status(504),
        ];
        assert_eq!(
            labels.map(Label::is_timeout),
            [true, true, true, false, false]
        );
    }

    #[test]
    fn labels_read_as_in_a_sentence() {
        assert_eq!(Label::Status(503).to_string(), "status 503");
        assert_eq!(Label::Named("timeout").to_string(), "timeout");
    }
}
