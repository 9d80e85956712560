//! The lane of calls that go well: they are counted without the lock.
//!
//! A success of a closed breaker usually only needs to be counted. While that is so, one atomic word holds the generation and
//! the number of successes since the lock was last held; the next holder of the lock counts them first. So threads whose calls
//! go well do not wait for each other, and every result is the same as if each had taken the lock.
//!
//! The lane is shut while the lock is held, and stays shut when the next success might do more than count: reach the number of
//! calls from which a ratio is judged, end a bucket of the window, or belong to a state that does not admit every call.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::resilience::breaker::admission::{Admission, Role};
use crate::resilience::breaker::machine::Machine;
use crate::resilience::ratio::Ratio;
use crate::resilience::sync::point;

/// Successes that the machine has not counted yet.
pub(super) struct Lane {
    /// The origin of the times below.
    begin: Instant,
    /// Until when a success belongs to the newest bucket, in nanoseconds since `begin`.
    until: AtomicU64,
    /// The generation plus one in the upper half, 0 when the lane is shut; the successes in the lower half. With 32 bits, a
    /// permit would have to be in flight over four thousand million changes to be taken for one of another generation.
    word: AtomicU64,
}

/// The lower half of the word.
const COUNT: u64 = u32::MAX as u64;

impl Lane {
    /// A lane that is shut.
    pub(super) const fn new(begin: Instant) -> Self {
        Self {
            begin,
            until: AtomicU64::new(0),
            word: AtomicU64::new(0),
        }
    }

    /// Counts a success that was not slow, if nothing else has to be done.
    pub(super) fn takes(&self, admission: &Admission, now: Instant) -> bool {
        let tag = tag(admission.generation);
        if admission.role != Role::Call || tag == 0 || !self.is_before_end(now) {
            return false;
        }
        point();
        let mut word = self.word.load(Ordering::Acquire);
        while word & !COUNT == tag && word & COUNT < COUNT {
            point();
            // If the lane was shut and opened again since it was read, an equal tag still means the same generation.
            match self.word.compare_exchange_weak(
                word,
                word + 1,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return true,
                Err(other) => word = other,
            }
        }
        false
    }

    /// Shuts it, under the lock; returns how many successes it held.
    pub(super) fn shut(&self) -> u32 {
        (self.word.swap(0, Ordering::AcqRel) & COUNT) as u32
    }

    /// Opens it, under the lock, if successes of this machine only need to be counted.
    pub(super) fn open_for(&self, machine: &Machine) {
        if !machine.only_counts_successes() {
            return;
        }
        let until = machine.window.newest_ends();
        let nanos = until.map_or(u64::MAX, |until| self.nanos(until));
        self.until.store(nanos, Ordering::Relaxed);
        self.word.store(tag(machine.generation), Ordering::Release);
    }

    fn is_before_end(&self, now: Instant) -> bool {
        let until = self.until.load(Ordering::Relaxed);
        until == u64::MAX || self.nanos(now) < until
    }

    fn nanos(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.begin);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }
}

/// A generation in the upper half of a word.
const fn tag(generation: u64) -> u64 {
    (generation + 1) << 32
}

impl Machine {
    /// Whether successes of ordinary calls that are not slow only need to be counted, until the newest bucket of the window
    /// ends.
    fn only_counts_successes(&self) -> bool {
        let keys = self.spec.keys();
        let next = self.window.after_success();
        // From that many calls on, each success only lowers a share.
        let judged = u64::from(next.calls.max(keys.min_calls));
        let opens = |ratio: Option<Ratio>, part: u32| {
            ratio.is_some_and(|ratio| ratio.is_reached(u64::from(part), judged))
        };
        self.generation_of_all().is_some()
            && !opens(keys.failure_ratio, next.failed)
            && !opens(keys.slow_ratio, next.slow)
    }

    /// Counts successes of ordinary calls of the present generation that were not slow.
    pub(super) fn count_successes(&mut self, count: u32) {
        if count == 0 {
            return;
        }
        let statistics = &mut self.statistics;
        statistics.total_calls += u64::from(count);
        statistics.successes += u64::from(count);
        statistics.consecutive_successes = statistics.consecutive_successes.saturating_add(count);
        if statistics.consecutive_failures > 0 {
            statistics.consecutive_failures = 0;
            self.run = None;
        }
        self.window.push_successes(count);
    }
}
