//! What holds in whatever order threads take their steps: each claim is tried in some hundred orders.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::resilience::key::Key;
use crate::resilience::sync::interleaving::{explore, on_threads};

const ORDERS: usize = 300;

fn keyed(keys: BreakerKeys, max_keys: usize) -> Arc<Keyed> {
    Keyed::new(spec(keys), max_keys, 1, Arc::new(|_, _| {}))
}

#[test]
fn rule_1_in_any_order_the_failures_at_the_threshold_give_one_opening() {
    explore(ORDERS, || {
        let bed = Bed::new(BreakerKeys {
            failure_threshold: 2,
            ..usual()
        });
        let (breaker, now) = (Arc::clone(&bed.breaker), bed.now);
        on_threads(3, move |_| {
            if let Ok(permit) = breaker.admit(now) {
                permit.finish(TIMEOUT, now);
            }
        });
        assert_eq!(
            bed.moves(),
            [(State::Closed, State::Open, Cause::ConsecutiveFailures)]
        );
    });
}

#[test]
fn rule_2_in_any_order_exactly_the_probes_pass_at_the_half_open_instant() {
    explore(ORDERS, || {
        let mut bed = Bed::open(BreakerKeys {
            failure_threshold: 1,
            half_open_max: 2,
            ..usual()
        });
        bed.wait(SECOND * 30);
        let (breaker, now) = (Arc::clone(&bed.breaker), bed.now);
        let passed = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&passed);
        on_threads(4, move |_| {
            let admitted = breaker.admit(now).ok();
            kept.lock().unwrap().extend(admitted);
        });
        assert_eq!(passed.lock().unwrap().len(), 2);
    });
}

#[test]
fn rule_3_in_any_order_every_dropped_probe_of_route_and_key_returns_its_slot() {
    explore(ORDERS, || {
        let begin = crate::time::now();
        let keys = BreakerKeys {
            failure_threshold: 1,
            ..usual()
        };
        let own = Breaker::new(spec(keys), 1, begin, Box::new(|_| {}));
        let keyed = keyed(keys, 2);
        let key = Key::of(b"a");
        keyed
            .admit(&own, key, begin)
            .unwrap()
            .finish(TIMEOUT, begin);
        let now = begin + SECOND * 30;
        let out = Arc::new(AtomicUsize::new(0));
        let (route, children, count) = (Arc::clone(&own), Arc::clone(&keyed), Arc::clone(&out));
        on_threads(3, move |thread| {
            if let Ok(permit) = children.admit(&route, key, now) {
                assert_eq!(
                    count.fetch_add(1, Ordering::Relaxed),
                    0,
                    "one probe at a time"
                );
                shuttle::thread::yield_now();
                count.fetch_sub(1, Ordering::Relaxed);
                if thread == 0 {
                    permit.finish(Sample::new(Outcome::Ignored), now);
                }
            }
        });
        let child = keyed.get(key).unwrap();
        for breaker in [&own, &child] {
            assert_eq!(breaker.view(now).probes.unwrap().out, 0);
        }
        assert!(keyed.admit(&own, key, now).unwrap().is_probe());
    });
}

#[test]
fn in_any_order_who_only_asks_takes_nothing_of_route_and_key() {
    explore(ORDERS, || {
        let begin = crate::time::now();
        let keys = BreakerKeys {
            failure_threshold: 1,
            ..usual()
        };
        let own = Breaker::new(spec(keys), 1, begin, Box::new(|_| {}));
        let keyed = keyed(keys, 2);
        let key = Key::of(b"a");
        let opening = keyed.admit(&own, key, begin).unwrap();
        opening.finish(TIMEOUT, begin);
        let now = begin + SECOND * 30;
        let (route, children) = (Arc::clone(&own), Arc::clone(&keyed));
        on_threads(3, move |thread| {
            if thread > 0 {
                let _ = children.check(&route, key, now);
            } else if let Ok(permit) = children.admit(&route, key, now) {
                permit.finish(SUCCESS, now);
            }
        });
        let child = keyed.get(key).unwrap();
        for breaker in [&own, &child] {
            let statistics = breaker.view(now).statistics;
            assert_eq!((statistics.successes, statistics.ignored), (1, 0));
            let judged = statistics.total_calls - statistics.rejected;
            assert_eq!(judged, 2, "the failure that opened it, and the probe");
        }
    });
}

#[test]
fn rule_4_in_any_order_a_late_result_moves_nothing() {
    explore(ORDERS, || {
        let bed = Bed::new(BreakerKeys {
            failure_threshold: 1,
            ..usual()
        });
        let (breaker, now) = (Arc::clone(&bed.breaker), bed.now);
        let late = Mutex::new(Some(breaker.admit(now).unwrap()));
        on_threads(3, move |thread| match thread {
            0 => {
                let permit = late.lock().unwrap().take();
                permit.unwrap().finish(TIMEOUT, now);
            }
            1 => {
                let request = ForceRequest {
                    order: Order::Close,
                    by: "ana".to_owned(),
                    reason: None,
                };
                breaker.force(request, now);
            }
            _ => drop(breaker.admit(now)),
        });
        // Either the failure came first and was forgiven, or it came late and moved nothing.
        assert_eq!(bed.state(), State::Closed);
        assert_eq!(bed.view().statistics.failures, 1);
    });
}

#[test]
fn in_any_order_no_breaker_of_a_key_is_forgotten_while_its_call_is_out() {
    explore(ORDERS, || {
        let now = crate::time::now();
        let keys = BreakerKeys {
            failure_threshold: 1,
            ..usual()
        };
        let own = BreakerKeys {
            failure_threshold: 100,
            ..usual()
        };
        let own = Breaker::new(spec(own), 1, now, Box::new(|_| {}));
        let keyed = keyed(keys, 1);
        let (route, children) = (Arc::clone(&own), Arc::clone(&keyed));
        on_threads(3, move |thread| {
            let key = Key::of(&[thread as u8]);
            let permit = children.admit(&route, key, now).unwrap();
            let has_breaker = permit.key().is_some();
            permit.finish(TIMEOUT, now);
            if has_breaker {
                let child = children.get(key).unwrap();
                assert_eq!(child.in_force(now).0, State::Open);
            }
        });
        let counts = keyed.counts(now);
        assert_eq!((counts.total, counts.open, counts.untracked), (1, 1, 2));
        assert_eq!(own.view(now).statistics.failures, 3);
    });
}
