//! Whose time it was: what it proves that a call got no answer in time.
//!
//! An upstream that had a call for as long as its route allows has failed. One that had it for less, because the call waited in a
//! queue of ours first or because its caller gave it less, may be in the best of health.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The upstream's chance to answer one call, as far as others took of it.
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
    /// So long is a fair one in any case.
    pub fair: Duration,
    /// So much of it queues and back-offs of ours took. [`Duration::MAX`] where the caller's own deadline decides.
    pub held: Duration,
}

impl Chance {
    /// One of which nobody took anything: whatever the upstream has had was all there is.
    pub const WHOLE: Self = Self {
        fair: Duration::ZERO,
        held: Duration::ZERO,
    };

    /// How long the upstream must have had the call for its silence to be its own doing: for a fair time, or for longer than the call
    /// waited with us.
    #[must_use]
    pub fn enough(self) -> Duration {
        self.fair.min(self.held)
    }

    /// The same after another wait with us.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self {
            held: self.held.saturating_add(wait),
            ..self
        }
    }

    /// Whether an upstream that had the call for so long has had its chance.
    #[must_use]
    pub fn was_given(self, had: Duration) -> bool {
        had >= self.enough()
    }
}

/// Whether a call with less than a fair chance is worth sending: not after one such was cut short, until the upstream has answered
/// again.
///
/// Without that, a full queue before an upstream that hangs could hide it for ever, every call being sent with a moment left; and one
/// before a healthy upstream could end with nobody getting an answer. Threads share it.
#[derive(Debug, Default)]
pub struct Doubt(AtomicBool);

impl Doubt {
    /// A call was cut short.
    pub fn arises(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// The upstream has answered.
    pub fn ends(&self) {
        // Written only then: it is read for every call, by all threads.
        if self.exists() {
            self.0.store(false, Ordering::Relaxed);
        }
    }

    /// Whether there is one.
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
