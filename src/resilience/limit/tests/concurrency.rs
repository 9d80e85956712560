use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use proptest::prelude::*;

use crate::resilience::limit::{Bulkhead, BulkheadSpec, Full, QueuePlace, Ticket};
use crate::resilience::line::Wake;

fn spec(max: usize, queue: usize) -> BulkheadSpec {
    BulkheadSpec {
        max,
        queue,
        queue_timeout: Duration::from_secs(1),
    }
}

/// A place, and how often it was woken.
fn join(bulkhead: &Arc<Bulkhead>) -> Option<(QueuePlace, Arc<AtomicUsize>)> {
    let count = Arc::new(AtomicUsize::new(0));
    let woken = Arc::clone(&count);
    let wake: Wake = Arc::new(move || {
        woken.fetch_add(1, Ordering::Relaxed);
    });
    bulkhead.join(wake).map(|place| (place, count))
}

#[test]
fn no_more_calls_are_out_than_allowed_and_a_dropped_ticket_makes_room_case_164() {
    let bulkhead = Bulkhead::new(spec(2, 0));
    let tickets = [bulkhead.enter().unwrap(), bulkhead.enter().unwrap()];
    assert_eq!(bulkhead.enter().unwrap_err(), Full);
    assert!(join(&bulkhead).is_none(), "no queue");
    drop(tickets);
    assert!(bulkhead.enter().is_ok());
    assert_eq!(bulkhead.view().in_use, 0);
}

#[test]
fn the_queue_is_bounded_first_come_first_served_and_nobody_overtakes() {
    let bulkhead = Bulkhead::new(spec(1, 2));
    let ticket = bulkhead.enter().unwrap();
    let (first, first_woken) = join(&bulkhead).unwrap();
    let (second, second_woken) = join(&bulkhead).unwrap();
    assert!(join(&bulkhead).is_none());
    assert!(first.ask().is_err());
    drop(ticket);
    assert_eq!(
        (
            first_woken.load(Ordering::Relaxed),
            second_woken.load(Ordering::Relaxed)
        ),
        (1, 0)
    );
    assert!(
        bulkhead.enter().is_err(),
        "it is the turn of one that waits"
    );
    assert!(second.ask().is_err());
    let ticket = first.ask().unwrap();
    drop(ticket);
    assert_eq!(second_woken.load(Ordering::Relaxed), 1);
    assert!(second.ask().is_ok());
}

#[test]
fn one_that_leaves_the_queue_just_as_its_turn_comes_passes_the_turn_on() {
    let bulkhead = Bulkhead::new(spec(1, 3));
    let ticket = bulkhead.enter().unwrap();
    let [(a, _), (b, b_woken), (_c, c_woken)] = [(); 3].map(|()| join(&bulkhead).unwrap());
    drop(ticket);
    drop(a);
    assert_eq!(
        (
            b_woken.load(Ordering::Relaxed),
            c_woken.load(Ordering::Relaxed)
        ),
        (1, 0)
    );
    drop(b);
    assert_eq!(c_woken.load(Ordering::Relaxed), 1);
}

#[test]
fn a_reload_keeps_those_out_and_wakes_those_for_whom_there_is_room() {
    let bulkhead = Bulkhead::new(spec(2, 9));
    let out = [bulkhead.enter().unwrap(), bulkhead.enter().unwrap()];
    let waiting: Vec<_> = (0..3).filter_map(|_| join(&bulkhead)).collect();
    let woken = || -> Vec<usize> {
        let counts = waiting
            .iter()
            .map(|(_, woken)| woken.load(Ordering::Relaxed));
        counts.collect()
    };
    bulkhead.respec(spec(1, 0));
    let view = bulkhead.view();
    assert_eq!((view.max, view.in_use, view.waiting), (1, 2, 3));
    bulkhead.respec(spec(4, 0));
    assert_eq!(woken(), [1, 1, 0]);
    bulkhead.respec(spec(1, 0));
    let [one, other] = out;
    drop(one);
    assert_eq!(woken(), [1, 1, 0], "still full");
    assert!(waiting[0].0.ask().is_err());
    drop(other);
    assert_eq!(woken(), [2, 1, 0]);
    assert!(waiting[0].0.ask().is_ok());
}

proptest! {
    /// Against a naive model, over any mix of arrivals, ends, departures and reloads.
    #[test]
    fn the_count_is_exact_and_the_order_kept(
        steps in proptest::collection::vec((0_u8..6, 0_usize..100), 1..300)
    ) {
        let bulkhead = Bulkhead::new(spec(2, 3));
        let (mut max, mut queue) = (2, 3);
        let mut out: Vec<Ticket> = Vec::new();
        let mut waiting: VecDeque<(QueuePlace, Arc<AtomicUsize>)> = VecDeque::new();
        for (step, number) in steps {
            let free = max - out.len().min(max);
            match step {
                0 | 1 => match bulkhead.enter() {
                    Ok(ticket) => {
                        prop_assert!(waiting.len() < free);
                        out.push(ticket);
                    }
                    Err(Full) => {
                        prop_assert!(waiting.len() >= free);
                        let place = join(&bulkhead);
                        prop_assert_eq!(place.is_some(), waiting.len() < queue);
                        waiting.extend(place);
                    }
                },
                2 => if !out.is_empty() { drop(out.swap_remove(number % out.len())); },
                3 => if !waiting.is_empty() { waiting.remove(number % waiting.len()); },
                4 => if !waiting.is_empty() {
                    let at = number % waiting.len();
                    match waiting[at].0.ask() {
                        Ok(ticket) => {
                            prop_assert!(at < free);
                            out.push(ticket);
                            waiting.remove(at);
                        }
                        Err(Full) => prop_assert!(at >= free),
                    }
                },
                _ => {
                    (max, queue) = (1 + number % 4, number % 5);
                    bulkhead.respec(spec(max, queue));
                }
            }
            let view = bulkhead.view();
            prop_assert_eq!((view.in_use, view.waiting), (out.len(), waiting.len()));
            // Whoever may go knows it.
            let free = max - out.len().min(max);
            for (_, woken) in waiting.iter().take(free) {
                prop_assert!(woken.load(Ordering::Relaxed) > 0);
            }
        }
        drop((out, waiting));
        prop_assert_eq!((bulkhead.view().in_use, bulkhead.view().waiting), (0, 0));
    }
}
