//! What it proves about an upstream that a call got no answer in time.
//!
//! An upstream that had a call for as long as its route allows has failed. One that had it for less, because the call waited in
//! a queue of ours first or because its caller gave it less, may be healthy.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How much time an upstream must have had before its silence counts as its failure.
///
/// ```
/// use std::time::Duration;
/// use sidefuse::resilience::Chance;
///
/// let seconds = Duration::from_secs;
/// // Ten seconds are a fair time; our queue took eight.
/// let chance = Chance { fair: seconds(10), held: Duration::ZERO }.after(seconds(8));
/// assert!(!chance.was_given(seconds(7)));
/// assert!(chance.was_given(seconds(9)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chance {
    /// Time that is enough whatever else happened.
    pub fair: Duration,
    /// Time the call spent waiting in sidefuse: queues and back-offs. [`Duration::MAX`] if the caller's own deadline cuts the call.
    pub held: Duration,
}

impl Chance {
    /// Every attempt had its full time.
    pub const WHOLE: Self = Self {
        fair: Duration::ZERO,
        held: Duration::ZERO,
    };

    /// How long the upstream must have had the call for its silence to count as its failure: `fair`, or at least as long as the call
    /// waited in sidefuse, whichever is less.
    #[must_use]
    pub fn enough(self) -> Duration {
        self.fair.min(self.held)
    }

    /// The same after the call has waited that much longer in sidefuse.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self {
            held: self.held.saturating_add(wait),
            ..self
        }
    }

    /// Whether an upstream that had the call for that long had time enough.
    #[must_use]
    pub fn was_given(self, had: Duration) -> bool {
        had >= self.enough()
    }
}

/// Remembers that a call with less than its fair time was cut short. Until the upstream answers again, no other such call is sent.
///
/// Otherwise a full queue could hide an upstream that hangs for ever, because every call would be sent with too little time left to
/// prove anything; and before a healthy upstream such a queue could leave all callers without an answer. All threads share it.
#[derive(Debug, Default)]
pub struct Doubt(AtomicBool);

impl Doubt {
    /// Notes a call that was cut short.
    pub fn arises(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Notes an answer of the upstream.
    pub fn ends(&self) {
        // Written only then: it is read for every call, by all threads.
        if self.exists() {
            self.0.store(false, Ordering::Relaxed);
        }
    }

    /// Whether a call was cut short and no answer has come since.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn without_a_wait_every_silence_is_the_upstreams() {
        assert!(Chance::WHOLE.was_given(Duration::ZERO));
        let chance = Chance {
            fair: SECOND,
            held: Duration::ZERO,
        };
        assert!(chance.was_given(Duration::ZERO));
    }

    #[test]
    fn a_callers_deadline_is_judged_by_the_fair_time_alone() {
        let chance = Chance {
            fair: SECOND,
            held: Duration::MAX,
        };
        assert!(!chance.was_given(SECOND - Duration::from_nanos(1)));
        assert!(chance.was_given(SECOND));
        assert_eq!(chance.after(SECOND), chance);
    }

    proptest! {
        /// Of a limit of two fair times, whoever had the larger part is to blame.
        #[test]
        fn who_had_the_larger_part_of_the_time_is_to_blame(held in 0_u64..=2_000) {
            let held = Duration::from_millis(held);
            let had = 2 * SECOND - held;
            let chance = Chance { fair: SECOND, held: Duration::ZERO }.after(held);
            prop_assert_eq!(chance.was_given(had), had >= held);
        }
    }

    #[test]
    fn a_doubt_ends_with_an_answer() {
        let doubt = Doubt::default();
        assert!(!doubt.exists());
        doubt.arises();
        assert!(doubt.exists());
        doubt.ends();
        assert!(!doubt.exists());
    }
}
