//! Token buckets by the generic cell rate algorithm (ITU-T I.371): one instant says how full a bucket is.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::resilience::key::Key;
use crate::resilience::sync::lock;

/// The most keys with a bucket of their own.
pub(super) const MAX_KEYS: usize = 10_000;
/// So many are kept at the most when all of those are taken: room is made seldom, since that looks at each.
const KEPT: usize = MAX_KEYS / 10 * 9;

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
/// There are [10 000](MAX_KEYS) buckets at the most. A bucket that is full again is as good as none and makes room, and then the tenth that
/// is nearest to that: its keys begin with a full one when they come again. So memory stays bounded, a caller who invents keys locks nobody
/// out, and who is far over the rate is remembered longest; but the rate of all keys together has no bound.
pub struct RateLimit(Mutex<Buckets>);

struct Buckets {
    spec: RateSpec,
    one: Bucket,
    keys: HashMap<Key, Bucket>,
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
            self.make_room(now);
        }
        self.keys.entry(key).or_default()
    }

    /// Drops full buckets, and as many of those that will be full first as leaves no more than [`KEPT`].
    fn make_room(&mut self, now: Instant) {
        self.keys.retain(|_, bucket| !bucket.is_full(now));
        let mut surplus = self.keys.len().saturating_sub(KEPT);
        let Some(last) = surplus.checked_sub(1) else {
            return;
        };
        let mut ends: Vec<Option<Instant>> = self.keys.values().map(|bucket| bucket.0).collect();
        let (_, last, _) = ends.select_nth_unstable(last);
        self.keys.retain(|_, bucket| {
            let goes = surplus > 0 && bucket.0 <= *last;
            surplus -= usize::from(goes);
            !goes
        });
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
