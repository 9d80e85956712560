//! How much a route's retries may add to its upstream's load.
//!
//! Without it, an upstream that begins to fail gets its load times the number of attempts at the worst moment: a retry storm,
//! which keeps it down. (After Finagle's and linkerd's retry budgets.)

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::resilience::sync::lock;

/// What one retry costs.
const RETRY: u64 = 1_000;
/// What each call brings: a fifth of a retry.
const CALL: u64 = RETRY / 5;
/// What each second brings: ten retries, so that a route with few calls has some too.
const SECOND: u64 = 10 * RETRY;
/// The most that calls can add; time adds at most one second's worth. Quiet hours must not allow a storm.
const MOST: u64 = 10 * SECOND;

/// A bucket of retries: a fifth of the calls, and ten a second. All workers of a route share it.
///
/// ```
/// use std::time::Instant;
/// use sidefuse::resilience::RetryBudget;
///
/// let now = Instant::now();
/// let budget = RetryBudget::new(now);
/// assert_eq!((0..99).filter(|_| budget.withdraw(now)).count(), 10);
/// for _call in 0..5 {
///     budget.deposit();
/// }
/// assert_eq!(budget.left(now), 1);
/// ```
#[derive(Debug)]
pub struct RetryBudget(Mutex<Bucket>);

#[derive(Debug)]
struct Bucket {
    /// In thousandths of a retry.
    held: u64,
    /// Until when the time is accounted for.
    paid: Instant,
}

impl RetryBudget {
    /// A budget that holds one second's worth.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self(Mutex::new(Bucket {
            held: SECOND,
            paid: now,
        }))
    }

    /// Adds the share of one call that reached the upstream.
    pub fn deposit(&self) {
        let mut bucket = lock(&self.0);
        bucket.held = (bucket.held + CALL).min(MOST);
    }

    /// Takes a retry out; false when there is none.
    #[must_use]
    pub fn withdraw(&self, now: Instant) -> bool {
        let mut bucket = lock(&self.0);
        bucket.pay(now);
        match bucket.held.checked_sub(RETRY) {
            Some(rest) => {
                bucket.held = rest;
                true
            }
            None => false,
        }
    }

    /// How many retries could be made at `now`.
    #[must_use]
    pub fn left(&self, now: Instant) -> u64 {
        let mut bucket = lock(&self.0);
        bucket.pay(now);
        bucket.held / RETRY
    }
}

impl Bucket {
    /// Adds what is due for the time, in whole milliseconds; the remainder counts next time.
    fn pay(&mut self, now: Instant) {
        let millis = now.saturating_duration_since(self.paid).as_millis();
        let millis = u64::try_from(millis).unwrap_or(u64::MAX).min(MOST);
        let paid = self.held + millis * (SECOND / 1_000);
        self.held = paid.min(SECOND.max(self.held));
        self.paid += Duration::from_millis(millis);
        if paid >= SECOND {
            // Beyond that, earlier time adds nothing.
            self.paid = self.paid.max(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::time::now;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Call,
        Retry,
        /// So many milliseconds pass.
        Pass(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => Just(Step::Call),
            4 => Just(Step::Retry),
            1 => (0..3_000_u64).prop_map(Step::Pass),
        ];
        prop::collection::vec(step, 0..400)
    }

    proptest! {
        /// In any stretch of time, wherever it begins: a fifth of its calls, ten for each of its seconds, and what was in the bank, which
        /// is never more than 100.
        #[test]
        fn retries_never_exceed_a_fifth_of_the_calls_ten_a_second_and_the_bank(
            steps in steps(),
            from in 0..400_usize,
        ) {
            let begin = now();
            let budget = RetryBudget::new(begin);
            let mut at = begin;
            let (mut since, mut calls, mut retries) = (begin, 0_u64, 0_u64);
            let mut bank = 10;
            for (place, step) in steps.into_iter().enumerate() {
                if place == from {
                    (since, calls, retries) = (at, 0, 0);
                    bank = budget.left(at) + 1;
                    prop_assert!(bank <= 101);
                }
                match step {
                    Step::Call => {
                        budget.deposit();
                        calls += 1;
                    }
                    Step::Retry => retries += u64::from(budget.withdraw(at)),
                    Step::Pass(millis) => at += Duration::from_millis(millis),
                }
                let millis = u64::try_from((at - since).as_millis()).unwrap();
                let most = RETRY * bank + CALL * calls + SECOND / 1_000 * millis;
                prop_assert!(RETRY * retries <= most, "{retries} of {calls} in {millis} ms");
            }
        }

        /// Nobody who keeps to a fifth of the calls is ever refused.
        #[test]
        fn a_fifth_of_the_calls_may_always_be_retried(pauses in prop::collection::vec(0..50_u64, 1..200)) {
            let mut at = now();
            let budget = RetryBudget::new(at);
            for pause in pauses {
                (0..5).for_each(|_| budget.deposit());
                at += Duration::from_millis(pause);
                prop_assert!(budget.withdraw(at));
            }
        }
    }
}
