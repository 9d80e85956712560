//! What holds when many threads ask at once.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::*;

#[test]
fn rule_1_concurrent_failures_at_the_threshold_give_one_opening() {
    const CALLERS: usize = 64;
    let bed = Bed::new(BreakerKeys {
        failure_threshold: 10,
        ..usual()
    });
    let barrier = Barrier::new(CALLERS);
    std::thread::scope(|scope| {
        for _ in 0..CALLERS {
            let permit = bed.admit().unwrap();
            scope.spawn(|| {
                barrier.wait();
                permit.finish(TIMEOUT, bed.now);
            });
        }
    });
    assert_eq!(
        bed.moves(),
        [(State::Closed, State::Open, Cause::ConsecutiveFailures)]
    );
    assert_eq!(bed.view().statistics.failures, CALLERS as u64);
}

#[test]
fn case_128_of_a_thousand_callers_at_the_half_open_instant_exactly_the_probes_pass() {
    const CALLERS: usize = 1_000;
    let mut bed = Bed::open(BreakerKeys {
        half_open_max: 3,
        ..usual()
    });
    bed.wait(SECOND * 30);
    let (barrier, passed) = (Barrier::new(CALLERS), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..CALLERS {
            let caller = || {
                barrier.wait();
                if let Ok(permit) = bed.admit() {
                    passed.lock().unwrap().push(permit);
                }
            };
            std::thread::Builder::new()
                .stack_size(64 * 1024)
                .spawn_scoped(scope, caller)
                .unwrap();
        }
    });
    assert_eq!(passed.lock().unwrap().len(), 3);
    assert_eq!(
        (bed.view().statistics.rejected, bed.moves().len()),
        (997, 2)
    );
}

#[test]
fn transitions_are_told_once_and_in_order_to_an_observer_that_threads_share() {
    let bed = Bed::new(BreakerKeys {
        failure_threshold: 1,
        success_threshold: 1,
        reset_timeout: Duration::from_nanos(5),
        half_open_timeout: Duration::from_nanos(50),
        ..usual()
    });
    let clock = AtomicU64::new(0);
    let begin = bed.now;
    std::thread::scope(|scope| {
        for seed in 1..=8_u64 {
            let (breaker, clock) = (&bed.breaker, &clock);
            scope.spawn(move || {
                let mut dice = Dice(seed);
                for _ in 0..2_000 {
                    let now = begin + Duration::from_nanos(clock.fetch_add(1, Ordering::Relaxed));
                    let Ok(permit) = breaker.admit(now) else {
                        continue;
                    };
                    match dice.roll(0..3) {
                        0 => permit.finish(SUCCESS, now),
                        1 => permit.finish(TIMEOUT, now),
                        _ => drop(permit),
                    }
                }
            });
        }
    });
    let told = bed.told();
    assert!(told.len() > 100);
    for pair in told.windows(2) {
        assert_eq!(pair[0].after, pair[1].before);
        assert!(pair[0].at <= pair[1].at);
    }
    let view = bed.breaker.view(begin);
    assert_eq!(told.last().unwrap().after, view.standing);
    assert_eq!(Arc::strong_count(&bed.breaker), 1, "a permit leaked");
}

#[test]
fn an_observer_may_ask_the_breaker_itself() {
    let slot: Arc<Mutex<Option<Arc<Breaker>>>> = Arc::default();
    let seen = Arc::new(AtomicUsize::new(0));
    let (mirror, count) = (Arc::clone(&slot), Arc::clone(&seen));
    let now = crate::time::now();
    let observer: Observer = Box::new(move |transition| {
        let breaker = mirror.lock().unwrap().clone().unwrap();
        assert_eq!(breaker.in_force(transition.at).0, transition.to());
        count.fetch_add(1, Ordering::Relaxed);
    });
    let breaker = Breaker::new(
        spec(BreakerKeys {
            failure_threshold: 1,
            ..usual()
        }),
        0,
        now,
        observer,
    );
    *slot.lock().unwrap() = Some(Arc::clone(&breaker));
    breaker.admit(now).unwrap().finish(TIMEOUT, now);
    assert_eq!(seen.load(Ordering::Relaxed), 1);
    *slot.lock().unwrap() = None;
}
