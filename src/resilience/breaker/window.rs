//! The window of the ratio rules: exact counts, not averages, so that a burst of failures has its full weight.

use std::time::{Duration, Instant};

use crate::resilience::breaker::labels::{LabelId, Tally};
use crate::resilience::breaker::spec::WindowSpec;

/// Ten buckets: the window forgets in steps of a tenth of its length.
const BUCKETS: usize = 10;

/// One call as a window keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// Its failure; `None` if it did not fail.
    pub(super) failed: Option<LabelId>,
    pub(super) slow: bool,
}

/// How many calls of the window there are, failed, and were slow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WindowCounts {
    /// Calls that reached the upstream.
    pub calls: u32,
    /// Those that failed.
    pub failed: u32,
    /// Those that were slow, failed or not.
    pub slow: u32,
}

/// The calls of the last span of time, or a number of last calls.
#[derive(Clone, Debug)]
pub(super) enum Window {
    Time(Box<TimeWindow>),
    Calls(Box<CallRing>),
}

#[derive(Clone, Debug)]
pub(super) struct TimeWindow {
    width: Duration,
    /// When the newest bucket ends; from then on it is one of the past.
    newest_ends: Instant,
    newest: usize,
    /// None before the first call: most breakers of a large configuration, and most keys of one, never see any.
    buckets: Option<Box<[Bucket; BUCKETS]>>,
    /// The sum of all buckets.
    sum: Bucket,
}

#[derive(Clone, Debug, Default)]
struct Bucket {
    counts: WindowCounts,
    /// The labels of its failures, if there are any: most buckets have none.
    labels: Option<Box<Tally>>,
}

/// One byte per call: failed, slow, and the number of the label in the lower four bits.
#[derive(Clone, Debug)]
pub(super) struct CallRing {
    size: usize,
    /// Grows to `size`, then is overwritten from the oldest on.
    slots: Vec<u8>,
    oldest: usize,
    sum: Bucket,
}

const FAILED: u8 = 0x80;
const SLOW: u8 = 0x40;

// === impl Window ===

impl Window {
    /// An empty window that begins at `now`.
    pub(super) fn new(spec: WindowSpec, now: Instant) -> Self {
        match spec {
            WindowSpec::Time(time) => Self::Time(Box::new(TimeWindow::new(time, now))),
            WindowSpec::Calls(calls) => Self::Calls(Box::new(CallRing::new(calls))),
        }
    }

    /// Counts a call and says what the window holds with it.
    pub(super) fn push(&mut self, call: Call, now: Instant) -> WindowCounts {
        match self {
            Self::Time(window) => {
                window.roll(now);
                window.newest_bucket().add(call);
                window.sum.add(call);
                window.sum.counts
            }
            Self::Calls(ring) => {
                ring.push(call);
                ring.sum.counts
            }
        }
    }

    /// Counts calls that neither failed nor were slow, in the newest bucket.
    pub(super) fn push_successes(&mut self, count: u32) {
        match self {
            Self::Time(window) => {
                window.newest_bucket().counts.calls += count;
                window.sum.counts.calls += count;
            }
            Self::Calls(ring) => {
                // Beyond its size, each call pushes out another.
                let most = u32::try_from(ring.size).unwrap_or(u32::MAX);
                for _ in 0..count.min(most) {
                    ring.push(Call {
                        failed: None,
                        slow: false,
                    });
                }
            }
        }
    }

    /// What it holds after one more success at the latest instant asked for; of a ring, failures may be fewer then.
    pub(super) fn after_success(&self) -> WindowCounts {
        let (counts, has_room) = match self {
            Self::Time(window) => (window.sum.counts, true),
            Self::Calls(ring) => (ring.sum.counts, ring.slots.len() < ring.size),
        };
        WindowCounts {
            calls: counts.calls.saturating_add(u32::from(has_room)),
            ..counts
        }
    }

    /// When the newest bucket ends, if it does.
    pub(super) fn newest_ends(&self) -> Option<Instant> {
        match self {
            Self::Time(window) => Some(window.newest_ends),
            Self::Calls(_) => None,
        }
    }

    /// What it holds at `now`. An instant before the last one asked for is taken as that.
    pub(super) fn counts(&mut self, now: Instant) -> WindowCounts {
        self.sum(now).counts
    }

    /// The labels of the failures it holds at `now`.
    pub(super) fn labels(&mut self, now: Instant) -> Tally {
        self.sum(now).labels.as_deref().copied().unwrap_or_default()
    }

    fn sum(&mut self, now: Instant) -> &Bucket {
        match self {
            Self::Time(window) => {
                window.roll(now);
                &window.sum
            }
            Self::Calls(ring) => &ring.sum,
        }
    }
}

impl TimeWindow {
    fn new(time: Duration, now: Instant) -> Self {
        let width = time / BUCKETS as u32;
        Self {
            width,
            newest_ends: now + width,
            newest: 0,
            buckets: None,
            sum: Bucket::default(),
        }
    }

    fn newest_bucket(&mut self) -> &mut Bucket {
        &mut self.buckets.get_or_insert_default()[self.newest]
    }

    /// The only place where its time moves.
    fn roll(&mut self, now: Instant) {
        if now < self.newest_ends {
            return;
        }
        let ended = (now - self.newest_ends).as_nanos() / self.width.as_nanos();
        // Ended buckets are at most as many as nanoseconds since the start, and a u32 of them is decades even at the shortest width.
        let steps = u32::try_from(ended + 1).unwrap_or(u32::MAX);
        for _ in 0..(steps as usize).min(BUCKETS) {
            self.newest = (self.newest + 1) % BUCKETS;
            if let Some(buckets) = &mut self.buckets {
                let expired = std::mem::take(&mut buckets[self.newest]);
                self.sum.remove_all(&expired);
            }
        }
        self.newest_ends += self.width * steps;
    }
}

impl CallRing {
    fn new(calls: u32) -> Self {
        Self {
            size: calls as usize,
            slots: Vec::new(),
            oldest: 0,
            sum: Bucket::default(),
        }
    }

    fn push(&mut self, call: Call) {
        self.sum.add(call);
        if self.slots.len() < self.size {
            if self.slots.len() == self.slots.capacity() {
                // Doubling alone could end above one byte per slot.
                let room = self.slots.len().max(64).min(self.size - self.slots.len());
                self.slots.reserve_exact(room);
            }
            self.slots.push(call.to_byte());
        } else {
            let forgotten = std::mem::replace(&mut self.slots[self.oldest], call.to_byte());
            self.sum.remove(Call::from_byte(forgotten));
            self.oldest = (self.oldest + 1) % self.size;
        }
    }
}

impl Call {
    fn to_byte(self) -> u8 {
        self.failed.map_or(0, |id| FAILED | id.bits()) | if self.slow { SLOW } else { 0 }
    }

    fn from_byte(byte: u8) -> Self {
        Self {
            failed: (byte & FAILED != 0).then(|| LabelId::from_bits(byte)),
            slow: byte & SLOW != 0,
        }
    }
}

impl Bucket {
    fn add(&mut self, call: Call) {
        self.counts.calls += 1;
        self.counts.slow += u32::from(call.slow);
        if let Some(id) = call.failed {
            self.counts.failed += 1;
            self.labels.get_or_insert_default().add(id);
        }
    }

    fn remove(&mut self, call: Call) {
        self.counts.calls -= 1;
        self.counts.slow -= u32::from(call.slow);
        if let Some(id) = call.failed {
            self.counts.failed -= 1;
            if let Some(labels) = &mut self.labels {
                labels.remove(id);
            }
        }
    }

    fn remove_all(&mut self, other: &Self) {
        self.counts.calls -= other.counts.calls;
        self.counts.failed -= other.counts.failed;
        self.counts.slow -= other.counts.slow;
        if let (Some(labels), Some(gone)) = (&mut self.labels, &other.labels) {
            labels.remove_all(gone);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;
    use crate::resilience::breaker::labels::LabelTable;
    use crate::resilience::outcome::Label;

    /// The window said again as simply as can be: every call with its time, counted anew each time.
    struct Naive {
        spec: WindowSpec,
        begin: Instant,
        calls: VecDeque<(Instant, Option<u16>, bool)>,
    }

    impl Naive {
        fn held(&self, now: Instant) -> Vec<(Option<u16>, bool)> {
            let held = self.calls.iter().filter(|(at, ..)| match self.spec {
                WindowSpec::Time(time) => {
                    let bucket = |at: Instant| (at - self.begin).as_nanos() * 10 / time.as_nanos();
                    bucket(*at) + 10 > bucket(now)
                }
                WindowSpec::Calls(_) => true,
            });
            let skip = match self.spec {
                WindowSpec::Time(_) => 0,
                WindowSpec::Calls(calls) => self.calls.len().saturating_sub(calls as usize),
            };
            held.skip(skip)
                .map(|(_, failed, slow)| (*failed, *slow))
                .collect()
        }
    }

    fn specs() -> impl Strategy<Value = WindowSpec> {
        prop_oneof![
            (100..5_000_u64).prop_map(|tens| WindowSpec::Time(Duration::from_millis(tens * 10))),
            (1..300_u32).prop_map(WindowSpec::Calls),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 96, ..ProptestConfig::default() })]

        #[test]
        fn a_window_equals_a_naive_deque(
            spec in specs(),
            steps in proptest::collection::vec((0..1_500_u64, proptest::option::of(500..520_u16), any::<bool>()), 1..600),
            pause in (0..600_usize, 0..100_000_u64),
        ) {
            let begin = crate::time::now();
            let (mut window, mut table) = (Window::new(spec, begin), LabelTable::default());
            let mut naive = Naive { spec, begin, calls: VecDeque::new() };
            let mut now = begin;
            for (step, (wait, failed, slow)) in steps.into_iter().enumerate() {
                now += Duration::from_millis(if step == pause.0 { pause.1 } else { wait / 10 });
                let id = failed.map(|status| table.id(Some(Label::Status(status))));
                naive.calls.push_back((now, failed, slow));
                let counts = window.push(Call { failed: id, slow }, now);
                let held = naive.held(now);
                prop_assert_eq!(counts.calls as usize, held.len());
                prop_assert_eq!(counts.failed as usize, held.iter().filter(|call| call.0.is_some()).count());
                prop_assert_eq!(counts.slow as usize, held.iter().filter(|call| call.1).count());
                let labels = table.counts(&window.labels(now));
                for count in labels.iter().filter(|count| count.label.is_some()) {
                    let told = held.iter().filter(|call| call.0.map(Label::Status) == count.label).count();
                    prop_assert_eq!(count.count as usize, told);
                }
                prop_assert_eq!(labels.iter().map(|count| count.count).sum::<u32>(), counts.failed);
            }
        }
    }

    const GOOD: Call = Call {
        failed: None,
        slow: false,
    };

    #[test]
    fn a_time_window_expires_by_itself() {
        let begin = crate::time::now();
        let mut window = Window::new(WindowSpec::Time(Duration::from_secs(10)), begin);
        window.push(GOOD, begin);
        assert_eq!(window.counts(begin + Duration::from_millis(9_999)).calls, 1);
        assert_eq!(window.counts(begin + Duration::from_secs(10)).calls, 0);
    }

    #[test]
    fn an_hour_without_calls_leaves_a_usable_window() {
        let begin = crate::time::now();
        let mut window = Window::new(WindowSpec::Time(Duration::from_secs(1)), begin);
        window.push(GOOD, begin);
        let later = begin + Duration::from_secs(3600 * 24 * 365);
        assert_eq!(window.push(GOOD, later).calls, 1);
        assert_eq!(window.counts(later + Duration::from_millis(999)).calls, 1);
    }

    #[test]
    fn an_older_instant_does_not_turn_time_back() {
        let begin = crate::time::now();
        let mut window = Window::new(WindowSpec::Time(Duration::from_secs(1)), begin);
        window.push(GOOD, begin + Duration::from_secs(5));
        assert_eq!(window.push(GOOD, begin).calls, 2);
    }

    #[test]
    fn a_ring_costs_a_byte_per_slot_and_only_once_used() {
        let begin = crate::time::now();
        let Window::Calls(mut ring) = Window::new(WindowSpec::Calls(1_000), begin) else {
            panic!("a ring was asked for")
        };
        assert_eq!(ring.slots.capacity(), 0);
        for _ in 0..5_000 {
            ring.push(GOOD);
        }
        assert_eq!((ring.slots.len(), ring.slots.capacity()), (1_000, 1_000));
    }
}
