//! How much a route's retries may add to its upstream's load.
//!
//! Without it an upstream that begins to fail gets its load times the number of attempts at the worst moment: a retry storm keeps down
//! what it was to bridge. (Finagle's and linkerd's retry budgets.)

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::resilience::sync::lock;

/// What one retry costs.
const RETRY: u64 = 1_000;
/// What each call brings: a fifth of a retry.
const CALL: u64 = RETRY / 5;
/// What each second brings: ten retries, so that a route with few calls has some too.
const SECOND: u64 = 10 * RETRY;
/// What calls bring at the most; time brings one second's worth. Quiet hours must not pay for a storm.
const MOST: u64 = 10 * SECOND;

/// A bucket of retries: a fifth of the calls, and ten a second. All workers of a route share it.
#[derive(Debug)]
pub struct RetryBudget(Mutex<Bucket>);

#[derive(Debug)]
struct Bucket {
    /// In thousandths of a retry.
    held: u64,
    /// When time was last paid for.
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

    /// A call reached the upstream.
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
    /// Whole milliseconds only; the rest of one is paid next time.
    fn pay(&mut self, now: Instant) {
        let millis = now.saturating_duration_since(self.paid).as_millis();
        let millis = u64::try_from(millis).unwrap_or(u64::MAX).min(MOST);
        let paid = self.held + millis * (SECOND / 1_000);
        self.held = paid.min(SECOND.max(self.held));
        self.paid += Duration::from_millis(millis);
        if paid >= SECOND {
            // Beyond that nothing is owed for the time before.
            self.paid = self.paid.max(now);
        }
    }
}
