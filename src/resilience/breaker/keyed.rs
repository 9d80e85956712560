//! A breaker for each key below a route's own, so that one tenant's failures do not affect the others.
//!
//! Both must let a call pass, and both get its result. The route's breaker sees the calls of all keys, so it opens for failures
//! that affect all of them; a key's breaker sees its own calls only.
//!
//! A key gets its breaker with its first call. There are at most `max_keys` of them; then a new key replaces the least recently
//! used one that has nothing to remember: none of its calls is in flight, it is not held and not ramping, and it is closed or
//! has waited for a probe for [`WAITED`] reset timeouts. Dropping such an open breaker loses a probe that no call has come for;
//! without that, keys that fail once and never come back would fill the table for good. To keep the cost of a call constant
//! only [`LOOKED_AT`] breakers are examined, and those that must stay go to the end of the queue, so the next new key examines
//! others. A key without room is watched by the route's breaker alone, and counted.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lru::LruCache;

use crate::resilience::breaker::Breaker;
use crate::resilience::breaker::admission::Refusal;
use crate::resilience::breaker::force::{ForceRequest, Order};
use crate::resilience::breaker::key_counts::KeyCounts;
use crate::resilience::breaker::machine::Machine;
use crate::resilience::breaker::permit::Permit;
use crate::resilience::breaker::saved::{Saved, Words};
use crate::resilience::breaker::spec::{BreakerSpec, Enforcement};
use crate::resilience::breaker::state::{Mode, Phase, State};
use crate::resilience::breaker::transition::Transition;
use crate::resilience::breaker::view::View;
use crate::resilience::key::Key;
use crate::resilience::sync::{lock, point};

/// After this many reset timeouts without a call to probe, a breaker may be dropped.
pub(super) const WAITED: u32 = 3;

/// How many of the least recently used breakers are examined when there is no room.
pub(super) const LOOKED_AT: usize = 8;

/// Is called with each transition of a key's breaker.
pub type KeyObserver = Arc<dyn Fn(Key, &Transition) + Send + Sync>;

/// The breakers of a route's keys.
pub struct Keyed {
    table: Mutex<Table>,
    untracked: AtomicU64,
    observer: KeyObserver,
}

struct Table {
    spec: BreakerSpec,
    max_keys: usize,
    /// Decides the jitter of the next one's reset timeouts.
    seed: u64,
    /// In the order of use, the least recently used first.
    children: LruCache<Key, Arc<Breaker>>,
}

/// A call was rejected by the route's breaker or by its key's.
#[derive(Clone, Debug)]
pub struct Rejection {
    /// Why.
    pub refusal: Refusal,
    /// The breaker of the key, if it was that one.
    pub by_key: Option<Arc<Breaker>>,
}

// === impl Rejection ===

impl From<Refusal> for Rejection {
    /// A rejection by the route's own breaker.
    fn from(refusal: Refusal) -> Self {
        Self {
            refusal,
            by_key: None,
        }
    }
}

// === impl Keyed ===

impl Keyed {
    /// A table without breakers yet, for at most `max_keys`. The seed decides the jitter of their reset timeouts.
    #[must_use]
    pub fn new(spec: BreakerSpec, max_keys: usize, seed: u64, observer: KeyObserver) -> Arc<Self> {
        let table = Table {
            spec,
            max_keys,
            seed,
            children: LruCache::unbounded(),
        };
        Arc::new(Self {
            table: Mutex::new(table),
            untracked: AtomicU64::new(0),
            observer,
        })
    }

    /// Goes on with the counts of `before`, whose place it takes on the same route.
    pub fn follow(&self, before: &Self) {
        let untracked = before.untracked.load(Ordering::Relaxed);
        self.untracked.store(untracked, Ordering::Relaxed);
    }

    /// Asks the breaker of the key and that of the route for the right to make one call.
    ///
    /// # Errors
    /// The rejection. If both reject it, that of the route's breaker.
    pub fn admit(&self, own: &Arc<Breaker>, key: Key, now: Instant) -> Result<Permit, Rejection> {
        let Some(child) = self.child(key, now) else {
            return Ok(own.admit(now)?);
        };
        let below = match child.admit(now) {
            Ok(below) => below,
            Err(refusal) => {
                own.check(now)?;
                return Err(Rejection {
                    refusal,
                    by_key: Some(child),
                });
            }
        };
        match own.admit(now) {
            Ok(permit) => Ok(permit.with_key(below)),
            Err(refusal) => {
                below.withdraw();
                Err(refusal.into())
            }
        }
    }

    /// Asks whether both would admit a call of the key, without taking a permit.
    ///
    /// # Errors
    /// The rejection, as by [`Keyed::admit`]; it is counted.
    pub fn check(&self, own: &Breaker, key: Key, now: Instant) -> Result<(), Rejection> {
        let child = self.get(key);
        let by_key = child.and_then(|child| Some((child.check(now).err()?, child)));
        own.check(now)?;
        by_key.map_or(Ok(()), |(refusal, child)| {
            Err(Rejection {
                refusal,
                by_key: Some(child),
            })
        })
    }

    /// The breaker of this key, if it has one.
    #[must_use]
    pub fn get(&self, key: Key) -> Option<Arc<Breaker>> {
        lock(&self.table).children.peek(&key).cloned()
    }

    /// The breaker of this key, made when it has none; `None` when there is no room for it.
    pub fn get_or_make(&self, key: Key, now: Instant) -> Option<Arc<Breaker>> {
        lock(&self.table).child(key, &self.observer, now)
    }

    /// Gives all of them new settings. Their states stay; beyond the new `max_keys`, breakers with nothing to remember are
    /// dropped.
    pub fn respec(&self, spec: &BreakerSpec, max_keys: usize, now: Instant) {
        let children: Vec<Arc<Breaker>> = {
            let mut table = lock(&self.table);
            if table.spec == *spec && table.max_keys == max_keys {
                return;
            }
            table.spec = spec.clone();
            table.max_keys = max_keys;
            let all = table.children.len();
            table.make_room(max_keys, all, now);
            table
                .children
                .iter()
                .map(|(_, child)| Arc::clone(child))
                .collect()
        };
        for child in children {
            child.respec(spec.clone(), now);
        }
    }

    /// The most breakers it keeps.
    pub fn max_keys(&self) -> usize {
        lock(&self.table).max_keys
    }

    /// Counts them by their states at `now`.
    pub fn counts(&self, now: Instant) -> KeyCounts {
        let mut counts = KeyCounts {
            untracked: self.untracked.load(Ordering::Relaxed),
            ..KeyCounts::default()
        };
        for (_, child) in self.all() {
            let (state, mode) = child.in_force(now);
            counts.total += 1;
            match state {
                State::Closed => counts.closed += 1,
                State::Open => counts.open += 1,
                State::HalfOpen => counts.half_open += 1,
            }
            counts.forced += usize::from(mode != Mode::Auto);
        }
        counts
    }

    /// The breakers that need attention at `now`, at most `most`: those that are not closed first, then those that failed most
    /// often.
    pub fn worst(&self, most: usize, now: Instant) -> Vec<(Key, View)> {
        let mut all: Vec<_> = self
            .all()
            .into_iter()
            .map(|(key, child)| (child.with(|machine| machine.trouble(now)), key, child))
            .collect();
        all.sort_by(|(a, a_key, _), (b, b_key, _)| b.cmp(a).then(a_key.cmp(b_key)));
        all.truncate(most);
        all.into_iter()
            .map(|(_, key, child)| (key, child.view(now)))
            .collect()
    }

    /// What is to be saved at `now` of those that have something to remember, in short; at most so many, the worst first.
    pub fn save(&self, most: usize, now: Instant) -> Vec<(Key, Saved)> {
        let saved = |(key, child): (Key, Arc<Breaker>)| {
            child.with(|machine| {
                let trouble = machine.trouble(now);
                let saved = (!machine.is_forgettable(now)).then(|| machine.save(now));
                Some((trouble, key, saved??.brief()))
            })
        };
        let mut all: Vec<_> = self.all().into_iter().filter_map(saved).collect();
        all.sort_by(|(a, a_key, _), (b, b_key, _)| b.cmp(a).then(a_key.cmp(b_key)));
        all.truncate(most);
        all.into_iter()
            .map(|(_, key, saved)| (key, saved))
            .collect()
    }

    /// A key's breaker, which has done nothing yet, takes up what was saved so long before `now`; says whether there was room for it.
    pub fn resume(
        &self,
        key: Key,
        (saved, elapsed): (&Saved, Duration),
        words: Words<'_>,
        now: Instant,
    ) -> bool {
        let child = self.get_or_make(key, now);
        child.is_some_and(|child| {
            child.resume(saved, elapsed, words, now);
            true
        })
    }

    /// All of them begin anew, but for those that are held; says whether that changed anything.
    pub fn clear(&self, by: &str, now: Instant) -> bool {
        let mut changed = false;
        for (_, child) in self.all() {
            if child.in_force(now).1 == Mode::Auto {
                let request = ForceRequest {
                    order: Order::Clear,
                    by: by.to_owned(),
                    reason: None,
                };
                changed |= child.force(request, now);
            }
        }
        changed
    }

    /// Ends the holds whose time has come by `now`.
    pub fn end_holds(&self, now: Instant) {
        let perhaps_held: Vec<Arc<Breaker>> = lock(&self.table)
            .children
            .iter()
            .filter(|(_, child)| child.teller.all_pass().is_none())
            .map(|(_, child)| Arc::clone(child))
            .collect();
        for child in perhaps_held {
            child.end_hold(now);
        }
    }

    fn all(&self) -> Vec<(Key, Arc<Breaker>)> {
        lock(&self.table)
            .children
            .iter()
            .map(|(key, child)| (*key, Arc::clone(child)))
            .collect()
    }

    /// The breaker for a call of this key; `None` if enforcement is off, or if there is no room.
    fn child(&self, key: Key, now: Instant) -> Option<Arc<Breaker>> {
        let mut table = lock(&self.table);
        if table.spec.keys().enforcement == Enforcement::Off {
            return None;
        }
        let child = table.child(key, &self.observer, now);
        drop(table);
        if child.is_none() {
            point();
            self.untracked.fetch_add(1, Ordering::Relaxed);
        }
        child
    }
}

impl fmt::Debug for Keyed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = lock(&self.table);
        f.debug_struct("Keyed")
            .field("keys", &table.children.len())
            .field("max_keys", &table.max_keys)
            .finish_non_exhaustive()
    }
}

// === impl Table ===

impl Table {
    fn child(&mut self, key: Key, observer: &KeyObserver, now: Instant) -> Option<Arc<Breaker>> {
        if let Some(child) = self.children.get(&key) {
            return Some(Arc::clone(child));
        }
        let room = self.max_keys.saturating_sub(1);
        if !self.make_room(room, LOOKED_AT, now) {
            return None;
        }
        self.seed = self.seed.wrapping_add(1);
        let observer = Arc::clone(observer);
        let tell = Box::new(move |transition: &Transition| observer(key, transition));
        let child = Breaker::of_many(self.spec.clone(), self.seed, now, tell);
        self.children.push(key, Arc::clone(&child));
        Some(child)
    }

    /// Drops breakers with nothing to remember until at most `most` are left; says whether it succeeded.
    fn make_room(&mut self, most: usize, mut looks: usize, now: Instant) -> bool {
        while self.children.len() > most {
            if looks == 0 {
                return false;
            }
            looks -= 1;
            let Some((key, child)) = self.children.pop_lru() else {
                return true;
            };
            // The count cannot rise meanwhile: handles are given out under this lock only.
            let is_used = Arc::strong_count(&child) > 1;
            if is_used || !child.is_forgettable(now) {
                self.children.push(key, child);
            }
        }
        true
    }
}

// === impl Machine ===

impl Machine {
    /// Whether the breaker can be dropped and lose no more than counts: it is not held, and it lets all calls pass or has
    /// waited for a probe in vain. Such a breaker never rejects the next call.
    pub(super) fn is_forgettable(&self, now: Instant) -> bool {
        if self.hold.is_some() {
            return false;
        }
        // The phase is that of the last call, so time may have passed since.
        let probed_since = match self.phase {
            Phase::Closed => {
                let ramp = self.ramp();
                return ramp.is_none_or(|(ramp, spec)| ramp.full_at(spec) <= now);
            }
            Phase::Open { until } => until,
            Phase::HalfOpen {
                out: 0,
                succeeded: 0,
                ..
            } => self.phase_since,
            Phase::HalfOpen { .. } => return false,
        };
        let wait = self.spec.keys().reset_timeout.saturating_mul(WAITED);
        now.saturating_duration_since(probed_since) >= wait
    }

    /// How much it needs attention at `now`; more is worse.
    fn trouble(&mut self, now: Instant) -> (u8, u64) {
        self.roll(now);
        let standing = self.present();
        let rank = match (standing.state(), standing.mode) {
            (State::Open, _) => 3,
            (State::HalfOpen, _) => 2,
            (State::Closed, Mode::Auto) => 0,
            (State::Closed, Mode::ForcedOpen | Mode::ForcedClosed) => 1,
        };
        (rank, self.statistics.failures)
    }
}
