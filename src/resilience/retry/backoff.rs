//! How long to wait before another attempt.

use std::time::Duration;

/// Exponential back-off with full jitter: the n-th wait is drawn evenly from zero up to `base`·2ⁿ⁻¹, or `max`.
///
/// Full jitter, because callers that failed together would come back together after any wait that they share ("Exponential Backoff And
/// Jitter", AWS Architecture Blog, 2015).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first wait at the most.
    pub base: Duration,
    /// Every wait at the most.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            base: Duration::from_millis(50),
            max: Duration::from_secs(1),
        }
    }
}

impl Backoff {
    /// The wait after `attempts` attempts; `random` may be any number, evenly spread.
    ///
    /// ```
    /// use std::time::Duration;
    /// use sidefuse::resilience::Backoff;
    ///
    /// let backoff = Backoff { base: Duration::from_millis(50), max: Duration::from_secs(1) };
    /// assert_eq!(backoff.after(1, 0), Duration::ZERO);
    /// assert_eq!(backoff.after(1, u64::MAX), Duration::from_millis(50));
    /// assert_eq!(backoff.after(3, u64::MAX), Duration::from_millis(200));
    /// assert_eq!(backoff.after(9, u64::MAX), Duration::from_secs(1));
    /// ```
    #[must_use]
    pub fn after(self, attempts: u32, random: u64) -> Duration {
        let doublings = attempts.saturating_sub(1).min(31);
        let most = self.base.saturating_mul(1 << doublings).min(self.max);
        let nanos = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
        // The high half of the product is even over 0..=nanos, without the bias of a remainder.
        let drawn = (u128::from(random) * (u128::from(nanos) + 1)) >> 64;
        Duration::from_nanos(u64::try_from(drawn).unwrap_or(nanos))
    }
}
