//! Which of several endpoints gets the next call: *power of two choices* over calls in flight × latency.
//!
//! Of two endpoints drawn at random the one with the smaller load is asked (Mitzenmacher 2001): nearly as even as asking the least
//! loaded of all, without the herd that runs to it. The load is a *peak EWMA* (Finagle's `PeakEwma`, also linkerd's): the mean time to
//! response headers in which old calls count less and less, times the calls in flight and the one to come. A latency above the mean
//! replaces it at once, one below moves it gently, so a slowing endpoint is noticed with its first slow answer. Without calls the mean
//! fades, so that an endpoint that was slow once is tried again.
//!
//! Everything that decides is pure: random numbers, time and loads are arguments.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The most endpoints of one upstream: a set of them is the bits of one word.
pub const MOST_ENDPOINTS: usize = 64;

/// After this long a call counts a third as much (1/e), as in Finagle and linkerd.
const FADING: Duration = Duration::from_secs(10);

/// What an endpoint has to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Calls in flight at the endpoint, and those on their way to it.
    pub in_flight: usize,
    /// Its mean latency in microseconds, if any call has been answered.
    pub latency: Option<f32>,
}

impl Load {
    /// The load of an endpoint that has had no call.
    pub const UNKNOWN: Self = Self {
        in_flight: 0,
        latency: None,
    };

    /// Whether this endpoint has less to do than that one. An endpoint that has not answered yet counts as being as fast as the
    /// other, so only the calls in flight decide: a new endpoint gets its share at once, and no flood before its first answer.
    #[must_use]
    pub fn is_below(self, other: Self) -> bool {
        match (self.latency, other.latency) {
            (Some(latency), Some(others)) => latency * self.calls() < others * other.calls(),
            (None, _) | (_, None) => self.in_flight < other.in_flight,
        }
    }

    /// The calls in flight and the one to come.
    fn calls(self) -> f32 {
        (self.in_flight + 1) as f32
    }
}

/// Picks one of the endpoints whose bits are set in `fit`, by two draws from `random`; `None` when no bit is set.
#[must_use]
pub fn pick(fit: u64, random: u64, load: impl Fn(usize) -> Load) -> Option<usize> {
    let count = fit.count_ones();
    if count < 2 {
        return (count == 1).then(|| fit.trailing_zeros() as usize);
    }
    let first = draw((random >> 32) as u32, count);
    let second = draw(random as u32, count - 1);
    let second = second + u32::from(second >= first);
    let (first, second) = (place_of(fit, first), place_of(fit, second));
    Some(if load(second).is_below(load(first)) {
        second
    } else {
        first
    })
}

/// A number below `count`, each as likely (Lemire's multiplication; the bias is 2⁻²⁶ for 64, which does not matter).
fn draw(random: u32, count: u32) -> u32 {
    ((u64::from(random) * u64::from(count)) >> 32) as u32
}

/// Where the `nth` set bit is.
fn place_of(mut bits: u64, nth: u32) -> usize {
    if bits & bits.wrapping_add(1) == 0 {
        // The set bits are the lowest ones: the usual case.
        return nth as usize;
    }
    for _ in 0..nth {
        bits &= bits - 1;
    }
    bits.trailing_zeros() as usize
}

/// The mean latency of an endpoint, shared by all workers: one word, so that it needs no lock.
///
/// The upper half is the mean in microseconds (`f32`), the lower half when it was last moved, in ticks of 100 µs since the birth of the
/// endpoint. The ticks wrap after five days; a mean that nobody has moved for 2.5 to 5 days counts as if it were moved just now.
#[derive(Debug)]
pub struct Latency {
    birth: Instant,
    word: AtomicU64,
}

impl Latency {
    /// The latency of an endpoint that has not answered yet.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            birth: now,
            word: AtomicU64::new(0),
        }
    }

    /// Records a call that was answered after `took`.
    pub fn observe(&self, took: Duration, now: Instant) {
        let tick = self.tick(now);
        // The order of two observations does not matter.
        let _ = self
            .word
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
                let took = micros(took);
                let Some((mean, at)) = unpacked(word) else {
                    return Some(packed(took, tick));
                };
                let age = age(tick, at);
                let weight = faded(age);
                let mean = if took <= mean {
                    mean * weight + took * (1.0 - weight)
                } else {
                    took
                };
                Some(packed(mean, at.wrapping_add(age)))
            });
    }

    /// Records a call that failed after `took`. Failing fast is not being fast: this only ever makes the endpoint look slower.
    pub fn observe_failure(&self, took: Duration, now: Instant) {
        if self.faded(now).is_some_and(|mean| micros(took) > mean) {
            self.observe(took, now);
        }
    }

    /// The mean in microseconds as it counts now.
    #[must_use]
    pub fn faded(&self, now: Instant) -> Option<f32> {
        let (mean, at) = unpacked(self.word.load(Ordering::Relaxed))?;
        Some(mean * faded(age(self.tick(now), at)))
    }

    /// The mean as it was when it was last moved.
    #[must_use]
    pub fn last(&self) -> Option<Duration> {
        let (mean, _) = unpacked(self.word.load(Ordering::Relaxed))?;
        Some(Duration::from_secs_f32(mean / 1e6))
    }

    /// The ticks since birth, cut to 32 bits: only differences of them are used.
    fn tick(&self, now: Instant) -> u32 {
        (now.saturating_duration_since(self.birth).as_micros() / 100) as u32
    }
}

/// At least a nanosecond, so that a mean is never the word 0.
fn micros(took: Duration) -> f32 {
    (took.as_secs_f32() * 1e6).max(0.001)
}

/// How many ticks after `at` it is. None where another thread has observed in the meantime: its clock reading is later than ours.
fn age(tick: u32, at: u32) -> u32 {
    tick.wrapping_sub(at).cast_signed().max(0).cast_unsigned()
}

fn faded(ticks: u32) -> f32 {
    (-(ticks as f32) / (FADING.as_micros() / 100) as f32).exp()
}

fn packed(mean: f32, tick: u32) -> u64 {
    u64::from(mean.to_bits()) << 32 | u64::from(tick)
}

fn unpacked(word: u64) -> Option<(f32, u32)> {
    (word != 0).then(|| (f32::from_bits((word >> 32) as u32), word as u32))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    fn last_millis(latency: &Latency) -> u64 {
        (latency.last().unwrap().as_secs_f64() * 1e3).round() as u64
    }

    proptest! {
        #[test]
        fn whoever_is_picked_is_fit_and_the_heaviest_of_several_never_is(fit: u64, random: u64, weights in proptest::collection::vec(1_u16..1_000, 64)) {
            let load = |at: usize| Load { in_flight: at % 3, latency: Some(f32::from(weights[at]) + at as f32 / 100.0) };
            let picked = pick(fit, random, load);
            prop_assert_eq!(picked.is_some(), fit != 0);
            if let Some(picked) = picked {
                prop_assert!(fit >> picked & 1 == 1);
                let others = (0..64).filter(|at| fit >> at & 1 == 1 && *at != picked);
                let mut lighter_or_not = others.map(|at| load(at).is_below(load(picked)));
                prop_assert!(fit.count_ones() == 1 || lighter_or_not.any(|is_below| !is_below), "{picked} is the heaviest");
            }
        }

        #[test]
        fn the_nth_set_bit_is_found(bits in 1_u64.., nth: u32) {
            let places: Vec<usize> = (0..64).filter(|at| bits >> at & 1 == 1).collect();
            let nth = nth % bits.count_ones();
            prop_assert_eq!(place_of(bits, nth), places[nth as usize]);
        }

        #[test]
        fn a_mean_lies_between_what_was_observed_whatever_the_pauses(calls in proptest::collection::vec((1_u64..10_000, 0_u64..100_000), 1..50)) {
            let birth = crate::time::now();
            let (latency, mut now) = (Latency::new(birth), birth);
            let mut bounds = (u64::MAX, 0);
            for (took, pause) in calls {
                now += MILLI * pause as u32;
                latency.observe(MILLI * took as u32, now);
                bounds = (bounds.0.min(took), bounds.1.max(took));
                let mean = latency.last().unwrap().as_secs_f64() * 1e3;
                prop_assert!(mean >= bounds.0 as f64 * 0.999 && mean <= bounds.1 as f64 * 1.001, "{mean} {bounds:?}");
            }
        }
    }

    #[test]
    fn equal_endpoints_get_equal_shares() {
        for (fit, count) in [(0b111_u64, 3), (u64::MAX, 64), (0b1010_0110, 4)] {
            let mut shares = [0_u32; 64];
            let rounds = 1_000 * count;
            let mut random = fastrand::Rng::with_seed(7);
            for _ in 0..rounds {
                shares[pick(fit, random.u64(..), |_| Load::UNKNOWN).unwrap()] += 1;
            }
            for (at, share) in shares.iter().enumerate() {
                if fit >> at & 1 == 1 {
                    assert!((800..1_200).contains(share), "{fit:b} {at} {share}");
                } else {
                    assert_eq!(*share, 0);
                }
            }
        }
    }

    #[test]
    fn a_slow_endpoint_gets_fewer_calls_in_proportion_and_never_none() {
        // Calls come every millisecond; one endpoint takes 50 of them, the others 10.
        let took = [50_u32, 10, 10];
        let begin = crate::time::now();
        let latencies: Vec<Latency> = took.iter().map(|_| Latency::new(begin)).collect();
        let mut ends: Vec<Vec<u32>> = vec![Vec::new(); 3];
        let (mut shares, mut random) = ([0_u32; 3], fastrand::Rng::with_seed(7));
        for millisecond in 0..20_000_u32 {
            let now = begin + MILLI * millisecond;
            for (at, ends) in ends.iter_mut().enumerate() {
                let before = ends.len();
                ends.retain(|end| *end > millisecond);
                for _ in ends.len()..before {
                    latencies[at].observe(MILLI * took[at], now);
                }
            }
            let load = |at: usize| Load {
                in_flight: ends[at].len(),
                latency: latencies[at].faded(now),
            };
            let picked = pick(0b111, random.u64(..), load).unwrap();
            ends[picked].push(millisecond + took[picked]);
            shares[picked] += 1;
        }
        assert!(shares[0] * 5 < shares[1] && shares[0] > 200, "{shares:?}");
        assert!(shares[1].abs_diff(shares[2]) < 1_500, "{shares:?}");
    }

    #[test]
    fn a_new_endpoint_is_asked_at_once_and_not_flooded_before_its_first_answer() {
        let fast = |in_flight| Load {
            in_flight,
            latency: Some(1.0),
        };
        let new = |in_flight| Load {
            in_flight,
            latency: None,
        };
        assert!(new(0).is_below(fast(1)));
        assert!(!new(1).is_below(fast(1)) && fast(1).is_below(new(2)));
    }

    #[test]
    fn a_peak_counts_at_once_and_fades() {
        let begin = crate::time::now();
        let latency = Latency::new(begin);
        assert_eq!(latency.faded(begin), None);
        latency.observe(MILLI * 10, begin);
        latency.observe(MILLI * 500, begin);
        assert_eq!(last_millis(&latency), 500);
        let later = begin + FADING;
        let faded = latency.faded(later).unwrap() / 500_000.0;
        assert!((faded - (-1.0_f32).exp()).abs() < 1e-3, "{faded}");
        latency.observe(MILLI * 10, later);
        let mean = latency.last().unwrap();
        assert!(mean > MILLI * 185 && mean < MILLI * 195, "{mean:?}");
    }

    #[test]
    fn an_observation_from_just_ahead_has_not_faded() {
        let begin = crate::time::now();
        let latency = Latency::new(begin);
        let ahead = begin + MILLI;
        latency.observe(MILLI * 500, ahead);
        assert_eq!(latency.faded(begin), Some(500_000.0));
        latency.observe(MILLI, begin);
        assert_eq!(last_millis(&latency), 500);
        assert_eq!(latency.faded(ahead), Some(500_000.0));
    }

    #[test]
    fn who_fails_fast_does_not_look_fast() {
        let begin = crate::time::now();
        let latency = Latency::new(begin);
        latency.observe_failure(MILLI, begin);
        assert_eq!(latency.last(), None);
        latency.observe(MILLI * 10, begin);
        latency.observe_failure(MILLI, begin);
        assert_eq!(last_millis(&latency), 10);
        latency.observe_failure(MILLI * 900, begin);
        assert_eq!(last_millis(&latency), 900);
    }
}
