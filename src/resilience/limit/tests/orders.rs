//! A call under all that bounds it, in whatever order threads take their steps: a ticket, a pass and a permit, each given back once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::resilience::sync::interleaving::{explore, on_threads};
use crate::resilience::{
    Breaker, BreakerKeys, BreakerSpec, Bulkhead, BulkheadSpec, Label, Outcome, Sample, Signal,
    State, Throttle, ThrottleSpec,
};

const ORDERS: usize = 300;

fn breaker(failure_threshold: u32, now: Instant) -> Arc<Breaker> {
    let keys = BreakerKeys {
        failure_threshold,
        ..BreakerKeys::default()
    };
    let spec = BreakerSpec::try_new(keys).unwrap();
    Breaker::new(spec, 0, now, Box::new(|_| {}))
}

fn bulkhead(max: usize) -> Arc<Bulkhead> {
    Bulkhead::new(BulkheadSpec {
        max,
        queue: 3,
        queue_timeout: Duration::from_secs(1),
    })
}

#[test]
fn in_any_order_all_that_a_call_holds_comes_back_and_the_counts_are_exact() {
    explore(ORDERS, || {
        let now = crate::time::now();
        let (breaker, bulkhead) = (breaker(100, now), bulkhead(2));
        let spec = Some(ThrottleSpec::default());
        let throttle = Throttle::new(spec, 0, now, Box::new(|_| {}));
        let (refused, out) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let world = (
            Arc::clone(&breaker),
            Arc::clone(&bulkhead),
            Arc::clone(&throttle),
        );
        let count = Arc::clone(&refused);
        on_threads(3, move |thread| {
            let (breaker, bulkhead, throttle) = &world;
            let Ok(ticket) = bulkhead.enter() else {
                count.fetch_add(1, Ordering::Relaxed);
                return;
            };
            assert!(out.fetch_add(1, Ordering::Relaxed) < 2, "two at a time");
            match throttle.admit(None, now) {
                Err(_) => {
                    count.fetch_add(1, Ordering::Relaxed);
                }
                Ok(pass) => {
                    let permit = breaker.admit(now).unwrap();
                    let (outcome, signal) = match thread {
                        0 => (Outcome::Success, None),
                        1 => (Outcome::Throttled, Some(Signal::default())),
                        _ => (Outcome::Failure, None),
                    };
                    throttle.settle(pass, outcome, signal, now);
                    permit.finish(Sample::new(outcome), now);
                }
            }
            out.fetch_sub(1, Ordering::Relaxed);
            drop(ticket);
        });
        assert_eq!(bulkhead.view().in_use, 0);
        let statistics = breaker.view(now).statistics;
        let made = 3 - refused.load(Ordering::Relaxed) as u64;
        assert_eq!(statistics.total_calls, made);
        assert_eq!(
            statistics.successes + statistics.failures + statistics.throttled,
            made
        );
        assert_eq!(throttle.view(now).is_throttled(), statistics.throttled > 0);
    });
}

#[test]
fn in_any_order_who_waits_for_a_ticket_gets_one_and_a_probe_lost_with_its_caller_is_free_again() {
    explore(ORDERS, || {
        let begin = crate::time::now();
        let (breaker, bulkhead) = (breaker(1, begin), bulkhead(1));
        let first = breaker.admit(begin).unwrap();
        first.finish(Sample::failure(Label::Named("timeout")), begin);
        let now = begin + BreakerKeys::default().reset_timeout;
        let ticket = std::sync::Mutex::new(bulkhead.enter().ok());
        let woken = Arc::new(AtomicUsize::new(0));
        let join = || {
            let count = Arc::clone(&woken);
            let wake = Arc::new(move || {
                count.fetch_add(1, Ordering::Relaxed);
            });
            bulkhead.join(wake).unwrap()
        };
        let (gone, next) = (std::sync::Mutex::new(Some(join())), join());
        let shared = Arc::clone(&breaker);
        on_threads(3, move |thread| match thread {
            0 => drop(ticket.lock().unwrap().take()),
            1 => drop(gone.lock().unwrap().take()),
            _ => drop(shared.admit(now).unwrap()),
        });
        assert!(woken.load(Ordering::Relaxed) >= 1);
        assert!(next.ask().is_ok());
        assert_eq!(breaker.in_force(now).0, State::HalfOpen);
        assert!(breaker.admit(now).is_ok_and(|permit| permit.is_probe()));
    });
}
