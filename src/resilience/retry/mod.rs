//! Whether a call that failed is made again, and when.
//!
//! | file | what it holds |
//! |---|---|
//! | `spec` | the [`RetrySpec`]: how often, on what, how long to wait |
//! | `backoff` | the [`Backoff`]: exponential, with full jitter |
//! | `budget` | the [`RetryBudget`]: no storm of retries, however many calls fail |
//!
//! The decision here knows nothing of HTTP: whether a call may be carried out twice, and whether it is still complete, are
//! given as facts.

mod backoff;
mod budget;
mod spec;

use std::time::{Duration, Instant};

use crate::resilience::Label;

pub use backoff::Backoff;
pub use budget::RetryBudget;
pub use spec::{RetryOn, RetrySpec, StatusSet};

/// Refused before anything was done about it, whatever the method: "too many requests".
const TOO_MANY_REQUESTS: u16 = 429;

/// What is known of an attempt that did not go well.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// Attempts made so far, at least 1.
    pub attempts: u32,
    /// How the last one ended: a status, or the label of why there is none.
    pub ended: Label,
    /// The upstream cannot have seen it.
    pub is_unsent: bool,
    /// It may be carried out twice: by its method, or because it carries an idempotency key.
    pub is_idempotent: bool,
    /// It can still be sent from its first byte to its last.
    pub is_whole: bool,
    /// How long the upstream wishes to be left alone, if it said so.
    pub retry_after: Option<Duration>,
    /// How much of the call's time is left.
    pub left: Duration,
}

/// Whether a call is made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryVerdict {
    /// Yes.
    Again {
        /// After this long.
        after: Duration,
    },
    /// No: the caller gets the last result.
    Stop(Stop),
}

/// Why a call is not made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stop {
    /// The policy does not name this ending.
    NotListed,
    /// The upstream may have carried it out, and twice could do harm.
    Unsafe,
    /// All attempts that the policy allows are made.
    Attempts,
    /// Its body was too long to be kept.
    Body,
    /// The wait would outlast the call's time, or the upstream asked for a longer one than the policy allows.
    Time,
    /// Too many calls are being retried already.
    Budget,
}

impl RetrySpec {
    /// Decides whether a call is made again. If so, one retry is taken out of `budget`; `random` decides the jitter.
    ///
    /// ```
    /// use std::time::Duration;
    /// use sidefuse::resilience::{Facts, Label, RetryBudget, RetrySpec, Stop, RetryVerdict};
    ///
    /// let now = std::time::Instant::now();
    /// let (spec, budget) = (RetrySpec { attempts: 3, ..RetrySpec::default() }, RetryBudget::new(now));
    /// let reset = Facts {
    ///     attempts: 1,
    ///     ended: Label::Named("reset"),
    ///     is_unsent: false,
    ///     is_idempotent: true,
    ///     is_whole: true,
    ///     retry_after: None,
    ///     left: Duration::from_secs(10),
    /// };
    /// assert!(matches!(spec.judge(&reset, &budget, now, 0), RetryVerdict::Again { .. }));
    /// let posted = Facts { is_idempotent: false, ..reset };
    /// assert_eq!(spec.judge(&posted, &budget, now, 0), RetryVerdict::Stop(Stop::Unsafe));
    /// ```
    #[must_use]
    pub fn judge(
        &self,
        facts: &Facts,
        budget: &RetryBudget,
        now: Instant,
        random: u64,
    ) -> RetryVerdict {
        let is_safe = facts.is_idempotent
            || self.non_idempotent
            || facts.is_unsent
            || facts.ended == Label::Status(TOO_MANY_REQUESTS);
        if !self.on.names(facts.ended) {
            return RetryVerdict::Stop(Stop::NotListed);
        }
        if !is_safe {
            return RetryVerdict::Stop(Stop::Unsafe);
        }
        if facts.attempts >= self.attempts {
            return RetryVerdict::Stop(Stop::Attempts);
        }
        if !facts.is_whole {
            return RetryVerdict::Stop(Stop::Body);
        }
        let Some(after) = self.wait(facts, random).filter(|wait| *wait < facts.left) else {
            return RetryVerdict::Stop(Stop::Time);
        };
        if budget.withdraw(now) {
            RetryVerdict::Again { after }
        } else {
            RetryVerdict::Stop(Stop::Budget)
        }
    }

    /// How long to wait: never less than the upstream asked for, and never more than the policy allows. The jitter on top of an
    /// upstream's wish keeps callers that got the same wish from coming back together.
    fn wait(&self, facts: &Facts, random: u64) -> Option<Duration> {
        let wait = self.backoff.after(facts.attempts, random);
        match facts.retry_after {
            None => Some(wait),
            Some(wish) if wish > self.max_retry_after => None,
            Some(wish) => Some(wish.saturating_add(wait).min(self.max_retry_after)),
        }
    }
}

#[cfg(test)]
mod tests;
