//! Token buckets by the generic cell rate algorithm (ITU-T I.371): one instant says how full a bucket is.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::resilience::key::Key;
use crate::resilience::sync::lock;

/// The most keys with a bucket of their own.
pub(super) const MAX_KEYS: usize = 10_000;
/// How often full buckets are looked for when all of those are taken.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// A rate and how far calls may run ahead of it.
///
/// ```
/// use std::time::Duration;
/// use sidefuse::resilience::RateSpec;
///
/// let spec = RateSpec::new(4.0, 8).unwrap();
/// assert_eq!(spec.interval(), Duration::from_millis(250));
/// assert!(RateSpec::new(0.0, 8).is_none() && RateSpec::new(4.0, 0).is_none());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateSpec {
    interval: Duration,
    burst: u32,
}

impl RateSpec {
    /// The least calls per second: one in a thousand seconds.
    pub const LEAST: f64 = 0.001;
    /// The most calls per second.
    pub const MOST: f64 = 1_000_000.0;
    /// The largest burst.
    pub const MOST_BURST: u32 = 1_000_000;

    /// `per_second` calls per second, and up to `burst` at once after a rest; `None` if one is out of its range.
    #[must_use]
    pub fn new(per_second: f64, burst: u32) -> Option<Self> {
        let is_good = (Self::LEAST..=Self::MOST).contains(&per_second)
            && (1..=Self::MOST_BURST).contains(&burst);
        // Rounded up to a whole nanosecond: never more calls than configured.
        let nanos = (1e9 / per_second).ceil();
        is_good.then_some(Self {
            interval: Duration::from_nanos(nanos as u64),
            burst,
        })
    }

    /// The time that one call takes out of the bucket.
    #[must_use]
    pub const fn interval(&self) -> Duration {
        self.interval
    }

    /// The calls of a full bucket.
    #[must_use]
    pub const fn burst(&self) -> u32 {
        self.burst
    }

    /// How far a bucket may be ahead of the clock.
    fn tolerance(&self) -> Duration {
        self.interval * (self.burst - 1)
    }
}

/// Bounds how many calls start per second: of all, or of each key. Threads share it.
///
/// There are [10 000](MAX_KEYS) buckets at the most. A bucket that is full again is as good as none and makes room. If none is
/// full, further keys share one more bucket: memory stays bounded and so does the rate, even if callers invent keys.
pub struct RateLimit(Mutex<Buckets>);

struct Buckets {
    spec: RateSpec,
    one: Bucket,
    keys: HashMap<Key, Bucket>,
    sweep_at: Option<Instant>,
}

/// The instant at which it is full again; `None` if it always was.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket(Option<Instant>);

impl Bucket {
    /// Takes one token, or says when there is one.
    fn take(&mut self, spec: &RateSpec, now: Instant) -> Result<(), Instant> {
        // A reload may have lowered the burst: what is too far ahead comes down to an empty bucket.
        let full_at = self.0.map_or(now, |at| {
            at.max(now).min(now + spec.tolerance() + spec.interval)
        });
        let free_at = full_at.checked_sub(spec.tolerance());
        match free_at {
            Some(free_at) if free_at > now => {
                self.0 = Some(full_at);
                Err(free_at)
            }
            // An instant before the clock's beginning is never after `now`.
            Some(_) | None => {
                self.0 = Some(full_at + spec.interval);
                Ok(())
            }
        }
    }

    fn is_full(&self, now: Instant) -> bool {
        self.0.is_none_or(|at| at <= now)
    }
}

impl RateLimit {
    /// Full buckets.
    #[must_use]
    pub fn new(spec: RateSpec) -> Self {
        Self(Mutex::new(Buckets {
            spec,
            one: Bucket::default(),
            keys: HashMap::new(),
            sweep_at: None,
        }))
    }

    /// Asks for the right to one call, of all (`None`) or of one key.
    ///
    /// # Errors
    /// The instant at which the call may start.
    pub fn admit(&self, key: Option<Key>, now: Instant) -> Result<(), Instant> {
        let mut buckets = self.lock();
        let spec = buckets.spec;
        match key {
            None => buckets.one.take(&spec, now),
            Some(key) => buckets.of(key, now).take(&spec, now),
        }
    }

    /// Gives it new settings; the buckets keep what was taken out of them.
    pub fn respec(&self, spec: RateSpec) {
        self.lock().spec = spec;
    }

    /// The settings in force.
    pub fn spec(&self) -> RateSpec {
        self.lock().spec
    }

    /// Keys with a bucket of their own.
    pub fn keys(&self) -> usize {
        self.lock().keys.len()
    }

    fn lock(&self) -> MutexGuard<'_, Buckets> {
        lock(&self.0)
    }
}

impl Buckets {
    fn of(&mut self, key: Key, now: Instant) -> &mut Bucket {
        if self.keys.len() >= MAX_KEYS && !self.keys.contains_key(&key) {
            self.sweep(now);
            if self.keys.len() >= MAX_KEYS {
                return &mut self.one;
            }
        }
        self.keys.entry(key).or_default()
    }

    /// Drops full buckets, but not at every call, since there may be none.
    fn sweep(&mut self, now: Instant) {
        if self.sweep_at.is_some_and(|at| now < at) {
            return;
        }
        self.sweep_at = Some(now + SWEEP_EVERY);
        self.keys.retain(|_, bucket| !bucket.is_full(now));
    }
}

impl fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let buckets = self.lock();
        f.debug_struct("RateLimit")
            .field("spec", &buckets.spec)
            .field("keys", &buckets.keys.len())
            .finish_non_exhaustive()
    }
}
