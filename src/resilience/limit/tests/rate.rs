use std::time::{Duration, Instant};

use proptest::prelude::*;

use crate::resilience::key::Key;
use crate::resilience::limit::rate::MAX_KEYS;
use crate::resilience::limit::{RateLimit, RateSpec};

fn limit(per_second: f64, burst: u32) -> (RateLimit, Instant) {
    let spec = RateSpec::new(per_second, burst).unwrap();
    (RateLimit::new(spec), crate::time::now())
}

fn key(number: usize) -> Option<Key> {
    Some(Key::of(&number.to_be_bytes()))
}

#[test]
fn a_full_bucket_gives_its_burst_and_then_the_rate_to_the_nanosecond() {
    let (limit, begin) = limit(4.0, 3);
    for _ in 0..3 {
        assert_eq!(limit.admit(None, begin), Ok(()));
    }
    let at = begin + Duration::from_millis(250);
    assert_eq!(limit.admit(None, begin), Err(at));
    assert_eq!(limit.admit(None, at - Duration::from_nanos(1)), Err(at));
    assert_eq!(
        limit.admit(None, at),
        Ok(()),
        "who comes when he was told passes"
    );
    assert!(limit.admit(None, at).is_err());
}

#[test]
fn rates_below_one_and_with_decimals_are_rates_too() {
    let (slow, begin) = limit(0.5, 1);
    assert_eq!(slow.admit(None, begin), Ok(()));
    assert_eq!(slow.admit(None, begin), Err(begin + Duration::from_secs(2)));
    assert_eq!(
        RateSpec::new(3.0, 1).unwrap().interval(),
        Duration::from_nanos(333_333_334)
    );
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY, 0.000_9, 1_000_001.0] {
        assert_eq!(RateSpec::new(bad, 1), None, "{bad}");
    }
    assert_eq!(RateSpec::new(1.0, RateSpec::MOST_BURST + 1), None);
    assert!(RateSpec::new(RateSpec::LEAST, RateSpec::MOST_BURST).is_some());
}

#[test]
fn the_slowest_rate_with_the_largest_burst_overflows_nothing() {
    let (limit, begin) = limit(RateSpec::LEAST, RateSpec::MOST_BURST);
    assert!((0..10).all(|_| limit.admit(None, begin).is_ok()));
}

#[test]
fn each_key_has_a_bucket_of_its_own() {
    let (limit, begin) = limit(1.0, 1);
    assert!(limit.admit(key(1), begin).is_ok() && limit.admit(key(2), begin).is_ok());
    assert!(limit.admit(key(1), begin).is_err());
    assert_eq!(limit.keys(), 2);
}

#[test]
fn invented_keys_cost_bounded_memory_lock_nobody_out_and_free_nobody_who_is_far_over_his_rate() {
    let (limit, begin) = limit(0.01, 2);
    let greedy = key(usize::MAX);
    assert!((0..2).all(|_| limit.admit(greedy, begin).is_ok()));
    for number in 0..3 * MAX_KEYS {
        assert!(limit.admit(key(number), begin).is_ok(), "{number}");
        assert!(limit.keys() <= MAX_KEYS);
    }
    assert!(limit.admit(greedy, begin).is_err());
    assert!(limit.admit(None, begin).is_ok(), "the others' is theirs");
    let later = begin + Duration::from_secs(200);
    for number in 3 * MAX_KEYS..4 * MAX_KEYS {
        limit.admit(key(number), later).unwrap();
    }
    assert!(limit.admit(greedy, later).is_ok(), "it is full again");
}

#[test]
fn a_reload_keeps_what_was_taken() {
    let (limit, begin) = limit(1.0, 10);
    assert!((0..10).all(|_| limit.admit(None, begin).is_ok()));
    limit.respec(RateSpec::new(1.0, 2).unwrap());
    assert_eq!(
        limit.admit(None, begin),
        Err(begin + Duration::from_secs(1)),
        "not ten seconds"
    );
    limit.respec(RateSpec::new(10.0, 2).unwrap());
    assert!(limit.admit(None, begin).is_err());
    assert!(
        limit
            .admit(None, begin + Duration::from_millis(100))
            .is_ok()
    );
}

proptest! {
    /// In no interval does it admit more than its burst and what the rate gives in that time.
    #[test]
    fn it_never_admits_more_than_burst_and_rate_in_any_interval(
        per_second in prop_oneof![0.001_f64..10.0, 10.0..1_000_000.0],
        burst in 1_u32..20,
        gaps in proptest::collection::vec(prop_oneof![Just(0_u64), 0_u64..2_000_000_000], 1..200),
    ) {
        let (limit, mut now) = limit(per_second, burst);
        let mut admitted: Vec<Instant> = Vec::new();
        for gap in gaps {
            now += Duration::from_nanos(gap);
            match limit.admit(None, now) {
                Ok(()) => admitted.push(now),
                Err(at) => {
                    prop_assert!(at > now);
                    prop_assert_eq!(limit.admit(None, at - Duration::from_nanos(1)), Err(at), "exact");
                }
            }
        }
        for (from, begin) in admitted.iter().enumerate() {
            for (to, end) in admitted.iter().enumerate().skip(from) {
                let most = f64::from(burst) + per_second * (*end - *begin).as_secs_f64();
                // Floating point of this check alone.
                prop_assert!((to - from + 1) as f64 <= most * (1.0 + 1e-9) + 1e-6);
            }
        }
    }
}
