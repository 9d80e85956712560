//! Every order in which threads can take, give back and give up (loom): permits of a breaker under tickets of a bulkhead.

use std::sync::Arc as Shared;
use std::sync::atomic::{AtomicUsize as Count, Ordering};

use loom::sync::{Arc, Mutex};
use loom::thread;

use crate::resilience::limit::BulkheadSpec;
use crate::resilience::limit::concurrency::Machine as Bulkhead;
use crate::resilience::{BreakerKeys, BreakerSpec, Label, Machine as Breaker, Outcome, Sample};

/// At most two switches that no lock asked for: enough for every known defect of this kind, and done in a second.
fn model(check: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(check);
}

fn bulkhead(max: usize, queue: usize) -> Arc<Mutex<Bulkhead>> {
    Arc::new(Mutex::new(Bulkhead::new(BulkheadSpec {
        max,
        queue,
        queue_timeout: std::time::Duration::from_secs(1),
    })))
}

#[test]
fn a_turn_is_never_lost_between_one_that_ends_and_one_that_leaves() {
    model(|| {
        let bulkhead = bulkhead(1, 2);
        bulkhead.lock().unwrap().ask(None).unwrap();
        let woken = Shared::new(Count::new(0));
        let places: Vec<u64> = (0..2)
            .map(|_| {
                let woken = Shared::clone(&woken);
                let wake: crate::resilience::Wake = Shared::new(move || {
                    woken.fetch_add(1, Ordering::Relaxed);
                });
                bulkhead.lock().unwrap().join(wake).unwrap()
            })
            .collect();
        let ends = {
            let bulkhead = Arc::clone(&bulkhead);
            thread::spawn(move || {
                let next = bulkhead.lock().unwrap().release();
                next.into_iter().for_each(|wake| wake());
            })
        };
        let leaves = {
            let (bulkhead, place) = (Arc::clone(&bulkhead), places[0]);
            thread::spawn(move || {
                let next = bulkhead.lock().unwrap().leave(place);
                next.into_iter().for_each(|wake| wake());
            })
        };
        ends.join().unwrap();
        leaves.join().unwrap();
        let mut bulkhead = bulkhead.lock().unwrap();
        assert!(woken.load(Ordering::Relaxed) >= 1, "the second was woken");
        assert!(bulkhead.ask(Some(places[1])).is_ok());
        assert_eq!((bulkhead.view().in_use, bulkhead.view().waiting), (1, 0));
    });
}

#[test]
fn tickets_and_probes_are_exact_in_every_order() {
    model(|| {
        let now = crate::time::now();
        let keys = BreakerKeys {
            failure_threshold: 1,
            ..BreakerKeys::default()
        };
        let mut breaker = Breaker::new(BreakerSpec::try_new(keys).unwrap(), 0, now);
        let first = breaker.admit(now).unwrap();
        breaker.record(first, Sample::failure(Label::Named("timeout")), now);
        // Half-open: one probe may be out.
        let now = now + keys.reset_timeout;
        let breaker = Arc::new(Mutex::new(breaker));
        let bulkhead = bulkhead(1, 0);
        let call = |succeeds: bool| {
            let (breaker, bulkhead) = (Arc::clone(&breaker), Arc::clone(&bulkhead));
            move || {
                if bulkhead.lock().unwrap().ask(None).is_err() {
                    return;
                }
                let permit = breaker.lock().unwrap().admit(now);
                // One call out at a time, so its probe's slot is free.
                let permit = permit.expect("the slot of the call before was given back");
                if succeeds {
                    let sample = Sample::new(Outcome::Success);
                    breaker.lock().unwrap().record(permit, sample, now);
                } else {
                    breaker.lock().unwrap().release(permit);
                }
                assert!(bulkhead.lock().unwrap().release().is_none());
            }
        };
        let running = [thread::spawn(call(true)), thread::spawn(call(false))];
        call(true)();
        running
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        assert_eq!(bulkhead.lock().unwrap().view().in_use, 0);
        let probes = breaker.lock().unwrap().view(now).probes;
        assert!(probes.is_none_or(|probes| probes.out == 0));
    });
}
