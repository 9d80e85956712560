//! The settings of a retry policy.

use std::time::Duration;

use super::backoff::Backoff;
use crate::resilience::Label;

/// A retry policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetrySpec {
    /// Attempts in all, the first included; 1 means no retry.
    pub attempts: u32,
    /// The endings after which another attempt is made.
    pub on: RetryOn,
    /// How long to wait.
    pub backoff: Backoff,
    /// The longest wish of an upstream (`Retry-After`) that is waited for.
    pub max_retry_after: Duration,
    /// Whether calls that might do harm twice are made again, too.
    pub non_idempotent: bool,
}

/// Endings after which another attempt may help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryOn {
    /// Labels of failures without an answer.
    pub words: Vec<&'static str>,
    /// Statuses of answers.
    pub statuses: StatusSet,
}

/// A set of statuses from 400 to 599; others are no failure and never retried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatusSet {
    /// A bit for each of 400 to 499.
    client: u128,
    /// A bit for each of 500 to 599.
    server: u128,
}

impl Default for RetrySpec {
    /// As with `attempts: 1`: no retry.
    fn default() -> Self {
        Self {
            attempts: 1,
            on: RetryOn::default(),
            backoff: Backoff::default(),
            max_retry_after: Duration::from_secs(10),
            non_idempotent: false,
        }
    }
}

impl RetryOn {
    /// All labels, in the order in which they can occur in an attempt.
    pub const WORDS: [&'static str; 7] = [
        "dns",
        "connect",
        "connect_timeout",
        "tls",
        "reset",
        "protocol",
        "timeout",
    ];

    /// Whether an attempt that ended so is among them.
    #[must_use]
    pub fn names(&self, ended: Label) -> bool {
        match ended {
            Label::Status(status) => self.statuses.has(status),
            Label::Named(word) => self.words.contains(&word),
        }
    }
}

impl Default for RetryOn {
    fn default() -> Self {
        Self {
            words: vec!["connect", "connect_timeout", "reset", "timeout"],
            statuses: [502, 503, 504].into_iter().collect(),
        }
    }
}

impl StatusSet {
    /// Whether a status is in it.
    #[must_use]
    pub const fn has(self, status: u16) -> bool {
        match status {
            400..=499 => self.client >> (status - 400) & 1 == 1,
            500..=599 => self.server >> (status - 500) & 1 == 1,
            _ => false,
        }
    }

    /// Those in it, from small to large.
    pub fn iter(self) -> impl Iterator<Item = u16> {
        (400..=599).filter(move |status| self.has(*status))
    }
}

impl FromIterator<u16> for StatusSet {
    /// What is not from 400 to 599 is left out.
    fn from_iter<I: IntoIterator<Item = u16>>(statuses: I) -> Self {
        let mut set = Self::default();
        for status in statuses {
            match status {
                400..=499 => set.client |= 1 << (status - 400),
                500..=599 => set.server |= 1 << (status - 500),
                _ => {}
            }
        }
        set
    }
}
