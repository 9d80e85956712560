//! Successes that are counted without the lock are counted as if with it.

use super::*;
use crate::resilience::sync::interleaving::{explore, on_threads};

/// A breaker with its lane beside a machine, which has none; both see the same calls.
struct Twins {
    bed: Bed,
    machine: Machine,
    out: Vec<(Permit, Admission)>,
}

impl Twins {
    fn step(&mut self, dice: &mut Dice) {
        let now = self.bed.now;
        match dice.roll(0..100) {
            0..45 if self.out.len() < 12 => {
                let (permit, admission) = (self.bed.admit(), self.machine.admit(now));
                match (permit, admission) {
                    (Ok(permit), Ok(admission)) => self.out.push((permit, admission)),
                    (Err(one), Err(other)) => assert_eq!(one, other),
                    (one, other) => panic!("{one:?} and {other:?}"),
                }
            }
            0..96 if !self.out.is_empty() => {
                let place = dice.roll(0..self.out.len() as u64) as usize;
                let (permit, admission) = self.out.swap_remove(place);
                let sample = if dice.chance(80) {
                    SUCCESS
                } else {
                    super::walk::random_sample(dice)
                };
                permit.finish(sample, now);
                self.machine.record(admission, sample, now);
            }
            96 => {
                let keys = super::walk::random_keys(dice);
                self.bed.breaker.respec(spec(keys), now);
                self.machine.respec(spec(keys), now);
            }
            97 => {
                let order = dice.pick(&[Order::Close, Order::Clear]);
                let request = ForceRequest {
                    order,
                    by: "ana".to_owned(),
                    reason: None,
                };
                self.bed.breaker.force(request.clone(), now);
                self.machine.force(request, now);
            }
            _ => self.bed.wait(Duration::from_millis(dice.roll(0..900))),
        }
    }

    fn compare(&mut self) {
        let (one, other) = (self.bed.view(), self.machine.view(self.bed.now));
        assert_eq!(one.statistics, other.statistics);
        assert_eq!(one.window, other.window);
        assert_eq!(one.standing, other.standing);
        assert_eq!(one.run_labels, other.run_labels);
        let told: Vec<_> = std::iter::from_fn(|| self.machine.next_transition())
            .map(|told| (*told).clone())
            .collect();
        assert_eq!(std::mem::take(&mut *self.bed.told.lock().unwrap()), told);
    }
}

/// Walks one seed; says how many successes it found in the lane.
fn walk(seed: u64) -> u64 {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let keys = super::walk::random_keys(&mut dice);
    let bed = Bed::new(keys);
    let machine = Machine::new(spec(keys), 1, bed.now);
    let out = Vec::new();
    let mut twins = Twins { bed, machine, out };
    let mut taken = 0;
    for _ in 0..400 {
        twins.step(&mut dice);
        // Now and then only, so that the lane holds some.
        if dice.chance(10) {
            let teller = &twins.bed.breaker.teller;
            let known = teller.look(|machine| machine.statistics.successes);
            taken += twins.machine.statistics.successes - known;
            twins.compare();
        }
    }
    twins.compare();
    taken
}

#[test]
fn a_breaker_with_a_lane_is_at_every_look_what_a_machine_without_one_is() {
    let mut taken = 0;
    for seed in 0..300 {
        match std::panic::catch_unwind(|| walk(seed)) {
            Ok(more) => taken += more,
            Err(panic) => {
                eprintln!("seed {seed} is red");
                std::panic::resume_unwind(panic);
            }
        }
    }
    assert!(taken > 1_000, "the lane was hardly used: {taken}");
}

#[test]
fn a_success_that_completes_the_calls_of_a_ratio_opens_it_at_once() {
    let bed = Bed::new(BreakerKeys {
        failure_threshold: 0,
        failure_ratio: Some(percent(50)),
        min_calls: 4,
        ..usual()
    });
    bed.calls(2, TIMEOUT);
    bed.call(SUCCESS);
    assert!(bed.told().is_empty());
    bed.call(SUCCESS);
    let told = bed.told();
    assert_eq!((told.len(), told[0].cause), (1, Cause::FailureRatio));
    assert_eq!(told[0].evidence.window.calls, 4);
}

#[test]
fn a_success_of_the_next_bucket_is_none_of_this_one() {
    let mut bed = Bed::new(BreakerKeys {
        window: WindowSpec::Time(SECOND * 10),
        ..usual()
    });
    for _ in 0..15 {
        bed.call(SUCCESS);
        bed.wait(SECOND);
    }
    assert_eq!(bed.view().window.calls, 9, "the last ten seconds");
}

#[test]
fn in_any_order_no_success_is_lost_and_none_is_counted_in_a_later_state() {
    explore(500, || {
        let bed = Bed::new(BreakerKeys {
            failure_threshold: 1,
            ..usual()
        });
        let (breaker, now) = (Arc::clone(&bed.breaker), bed.now);
        let permits: Vec<_> = (0..4).map(|_| bed.admit().unwrap()).collect();
        let permits = Mutex::new(permits);
        on_threads(4, move |thread| {
            let permit = permits.lock().unwrap().pop().unwrap();
            match thread {
                0 => {
                    permit.finish(TIMEOUT, now);
                    // Half-open: successes of before must not close it.
                    breaker.in_force(now + SECOND * 30);
                }
                1 => drop(permit),
                _ => permit.finish(SUCCESS, now),
            }
        });
        let view = bed.breaker.view(bed.now + SECOND * 30);
        let told = view.statistics;
        assert_eq!((told.successes, told.failures, told.ignored), (2, 1, 1));
        assert_eq!(view.state(), State::HalfOpen);
        assert_eq!(view.probes.unwrap().succeeded.reached, 0);
    });
}

#[test]
fn in_any_order_a_success_before_a_failure_ends_the_run() {
    explore(500, || {
        let bed = Bed::new(BreakerKeys {
            failure_threshold: 2,
            ..usual()
        });
        bed.call(TIMEOUT);
        let (breaker, now) = (Arc::clone(&bed.breaker), bed.now);
        on_threads(2, move |thread| {
            if thread == 0 {
                breaker.admit(now).unwrap().finish(SUCCESS, now);
                breaker.admit(now).unwrap().finish(TIMEOUT, now);
            } else {
                breaker.admit(now).unwrap().finish(SUCCESS, now);
            }
        });
        assert_eq!(bed.state(), State::Closed);
    });
}
