//! A histogram that cannot grow: fixed buckets of atomics, allocated with the first observation. Its memory does not depend on
//! scrapes, and a histogram that is never used takes none.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper edges in nanoseconds, inclusive and ascending.
pub type Edges = &'static [u64];

const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;

/// For whole exchanges: 1 ms to 60 s; every preset's timeout is an edge, so "how many timed out" needs no interpolation.
pub const DURATION_EDGES: Edges = &[
    MILLISECOND,
    2_500 * MICROSECOND,
    5 * MILLISECOND,
    10 * MILLISECOND,
    25 * MILLISECOND,
    50 * MILLISECOND,
    100 * MILLISECOND,
    250 * MILLISECOND,
    500 * MILLISECOND,
    SECOND,
    2_500 * MILLISECOND,
    5 * SECOND,
    10 * SECOND,
    15 * SECOND,
    20 * SECOND,
    30 * SECOND,
    60 * SECOND,
];

/// For our own share of an exchange: 10 µs to 10 ms.
pub const OVERHEAD_EDGES: Edges = &[
    10 * MICROSECOND,
    25 * MICROSECOND,
    50 * MICROSECOND,
    100 * MICROSECOND,
    250 * MICROSECOND,
    500 * MICROSECOND,
    MILLISECOND,
    2_500 * MICROSECOND,
    5 * MILLISECOND,
    10 * MILLISECOND,
];

/// Counts durations in fixed buckets. Recording is two relaxed additions.
#[derive(Debug)]
pub struct FixedHistogram {
    edges: Edges,
    /// One per edge and one for everything above the last; none before the first observation.
    buckets: OnceLock<Box<[AtomicU64]>>,
    sum_nanos: AtomicU64,
}

/// What a [`FixedHistogram`] held at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Each edge with the observations up to it: cumulative, hence never falling.
    pub cumulative: Vec<(u64, u64)>,
    /// All observations.
    pub count: u64,
    /// Their sum in nanoseconds.
    pub sum_nanos: u64,
}

impl FixedHistogram {
    /// An empty one.
    #[must_use]
    pub fn new(edges: Edges) -> Self {
        debug_assert!(edges.is_sorted());
        Self {
            edges,
            buckets: OnceLock::new(),
            sum_nanos: AtomicU64::new(0),
        }
    }

    /// Counts one observation. One longer than 584 years is counted as that.
    pub fn observe(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let place = self.edges.partition_point(|edge| *edge < nanos);
        let zeros = || (0..=self.edges.len()).map(|_| AtomicU64::new(0)).collect();
        if let Some(bucket) = self.buckets.get_or_init(zeros).get(place) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.sum_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Reads it. The count is the sum of the buckets, so the two agree however many threads record meanwhile.
    #[must_use]
    pub fn read(&self) -> Reading {
        let buckets = self.buckets.get();
        let held = |place: usize| {
            let bucket = buckets.and_then(|buckets| buckets.get(place));
            bucket.map_or(0, |bucket| bucket.load(Ordering::Relaxed))
        };
        let mut count = 0;
        let mut cumulative = Vec::with_capacity(self.edges.len());
        for (place, edge) in self.edges.iter().enumerate() {
            count += held(place);
            cumulative.push((*edge, count));
        }
        count += held(self.edges.len());
        Reading {
            cumulative,
            count,
            sum_nanos: self.sum_nanos.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_belongs_to_its_own_bucket() {
        let histogram = FixedHistogram::new(&[10, 20]);
        for nanos in [0, 10, 11, 20, 21] {
            histogram.observe(Duration::from_nanos(nanos));
        }
        let reading = histogram.read();
        assert_eq!(reading.cumulative, [(10, 2), (20, 4)]);
        assert_eq!((reading.count, reading.sum_nanos), (5, 62));
    }

    #[test]
    fn every_presets_timeout_is_an_edge() {
        for seconds in [5, 10, 15, 20] {
            assert!(DURATION_EDGES.contains(&(seconds * SECOND)), "{seconds} s");
        }
        assert!(DURATION_EDGES.is_sorted() && OVERHEAD_EDGES.is_sorted());
    }
}
