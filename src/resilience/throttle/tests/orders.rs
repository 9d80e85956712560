//! What holds in whatever order threads take their steps.

use super::*;
use crate::resilience::sync::interleaving::{explore, on_threads};

const ORDERS: usize = 300;

/// A throttle whose pause has just ended.
fn releasing() -> Bench {
    let mut bench = Bench::standard();
    bench.signal(bench.admit().unwrap(), Some(SECOND));
    bench.pass(SECOND);
    bench
}

#[test]
fn in_any_order_one_call_tries_after_a_pause_and_one_given_up_gives_its_turn_back() {
    explore(ORDERS, || {
        let bench = releasing();
        let (throttle, now) = (Arc::clone(&bench.throttle), bench.now);
        let out = Arc::new(AtomicUsize::new(0));
        on_threads(3, move |_| {
            if let Ok(pass) = throttle.admit(None, now) {
                assert!(pass.decides());
                assert_eq!(out.fetch_add(1, Ordering::Relaxed), 0, "one at a time");
                shuttle::thread::yield_now();
                out.fetch_sub(1, Ordering::Relaxed);
                drop(pass);
            }
        });
        assert!(bench.admit().is_ok_and(|pass| pass.decides()));
    });
}

#[test]
fn in_any_order_a_turn_finds_the_next_that_waits() {
    explore(ORDERS, || {
        let bench = releasing();
        let tries = Mutex::new(Some(bench.admit().unwrap()));
        let (first, _) = bench.join(None);
        let (second, woken) = bench.join(None);
        let first = Mutex::new(Some(first));
        let (throttle, now) = (Arc::clone(&bench.throttle), bench.now);
        on_threads(2, move |thread| match thread {
            0 => {
                let pass = tries.lock().unwrap().take().unwrap();
                throttle.settle(pass, Outcome::Failure, None, now);
            }
            _ => drop(first.lock().unwrap().take()),
        });
        assert!(woken.load(Ordering::Relaxed) >= 1, "nobody was lost");
        assert!(second.ask(bench.now).is_ok_and(|pass| pass.decides()));
    });
}

#[test]
fn in_any_order_one_pause_begins_and_it_is_told_before_its_end() {
    explore(ORDERS, || {
        let bench = Bench::standard();
        let passes: Vec<_> = (0..3).map(|_| bench.admit().unwrap()).collect();
        let passes = Mutex::new(passes);
        let (throttle, now) = (Arc::clone(&bench.throttle), bench.now);
        on_threads(3, move |thread| {
            let pass = passes.lock().unwrap().pop().unwrap();
            if thread == 2 {
                drop(pass);
                throttle.release(now);
            } else {
                let signal = Some(Signal::default());
                throttle.settle(pass, Outcome::Throttled, signal, now);
            }
        });
        // A release between the two wishes lets the second begin another pause.
        let told = bench.told.lock().unwrap().clone();
        for (place, change) in told.iter().enumerate() {
            let begins = matches!(change, Change::Throttled { .. });
            assert_eq!(begins, place % 2 == 0, "{told:?}");
        }
        assert_eq!(bench.view().is_throttled(), told.len() % 2 == 1);
    });
}
