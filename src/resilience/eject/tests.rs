use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn begin() -> Instant {
    crate::time::now()
}

/// So many calls in a row end like this; the last change.
fn after(
    ejector: &mut Ejector,
    outcome: Outcome,
    calls: u32,
    now: Instant,
) -> Option<EjectorChange> {
    let mut change = None;
    for _ in 0..calls {
        let visit = ejector.visit(now).unwrap_or(Visit::Ordinary);
        change = ejector.record(visit, outcome, now, || Room::Left);
    }
    change
}

fn ejected_until(ejector: &Ejector) -> Instant {
    match ejector.ejection() {
        Ejection::Ejected { until } => until,
        Ejection::Available => panic!("it is available"),
    }
}

#[test]
fn five_failures_in_a_row_eject_for_ten_seconds_and_a_success_begins_the_count_anew() {
    let (mut ejector, now) = (Ejector::default(), begin());
    assert_eq!(after(&mut ejector, Outcome::Failure, 4, now), None);
    after(&mut ejector, Outcome::Success, 1, now);
    assert_eq!(after(&mut ejector, Outcome::Failure, 4, now), None);
    for says_nothing in [Outcome::Alive, Outcome::Throttled, Outcome::Ignored] {
        after(&mut ejector, says_nothing, 3, now);
        assert_eq!(ejector.consecutive_failures(), 4, "{says_nothing:?}");
    }
    assert_eq!(
        after(&mut ejector, Outcome::Failure, 1, now),
        Some(EjectorChange::Ejected {
            length: BASE,
            failures: 5
        })
    );
    assert_eq!(ejected_until(&ejector), now + SECOND * 10);
}

#[test]
fn each_failed_trial_doubles_the_ejection_up_to_five_minutes() {
    let (mut ejector, mut now) = (Ejector::default(), begin());
    after(&mut ejector, Outcome::Failure, 5, now);
    let mut lengths = Vec::new();
    for _ in 0..7 {
        let until = ejected_until(&ejector);
        assert_eq!(ejector.visit(until - Duration::from_nanos(1)), None);
        lengths.push((until - now).as_secs());
        now = until;
        after(&mut ejector, Outcome::Failure, 1, now);
    }
    assert_eq!(lengths, [10, 20, 40, 80, 160, 300, 300]);
}

#[test]
fn the_doubling_is_forgotten_only_after_it_stayed_as_long_as_it_was_ejected() {
    for (stays, next) in [(9, 20), (10, 10)] {
        let (mut ejector, now) = (Ejector::default(), begin());
        after(&mut ejector, Outcome::Failure, 5, now);
        let back = now + SECOND * 10;
        assert_eq!(
            after(&mut ejector, Outcome::Success, 1, back),
            Some(EjectorChange::Returned { after: BASE })
        );
        let again = back + SECOND * stays;
        after(&mut ejector, Outcome::Failure, 5, again);
        assert_eq!(ejected_until(&ejector), again + SECOND * next, "{stays}");
    }
}

#[test]
fn a_trial_that_says_nothing_or_is_dropped_lets_the_next_call_be_the_trial() {
    let (mut ejector, now) = (Ejector::default(), begin());
    after(&mut ejector, Outcome::Failure, 5, now);
    let due = now + BASE;
    let first = ejector.visit(due).unwrap();
    assert_eq!(ejector.visit(due), None, "one at a time");
    ejector.record(first, Outcome::Throttled, due, || Room::Left);
    let second = ejector.visit(due).unwrap();
    ejector.release(second, due);
    let third = ejector.visit(due).unwrap();
    assert!(
        ejector
            .record(third, Outcome::Alive, due, || Room::Left)
            .is_some(),
        "an upstream that answers is there"
    );
}

#[test]
fn late_results_of_calls_from_before_the_ejection_move_nothing() {
    let (mut ejector, now) = (Ejector::default(), begin());
    after(&mut ejector, Outcome::Failure, 5, now);
    for outcome in [Outcome::Success, Outcome::Failure] {
        let before = ejector.clone();
        assert_eq!(
            ejector.record(Visit::Ordinary, outcome, now, || Room::Left),
            None
        );
        assert_eq!(ejector, before);
    }
    let old = ejector.visit(now + BASE).unwrap();
    ejector.pardon(now + BASE);
    after(&mut ejector, Outcome::Failure, 5, now + BASE);
    let before = ejector.clone();
    ejector.record(old, Outcome::Success, now + BASE, || Room::Left);
    assert_eq!(ejector, before, "the trial of another ejection");
}

#[test]
fn without_room_it_stays_and_goes_as_soon_as_there_is_room() {
    let (mut ejector, now) = (Ejector::default(), begin());
    for _ in 0..20 {
        ejector.record(Visit::Ordinary, Outcome::Failure, now, || Room::None);
        assert_eq!(ejector.ejection(), Ejection::Available);
    }
    assert_eq!(
        ejector.record(Visit::Ordinary, Outcome::Failure, now, || Room::Left),
        Some(EjectorChange::Ejected {
            length: BASE,
            failures: 21
        })
    );
}

/// The same rules, told as a list of what happened.
#[derive(Default)]
struct Naive {
    run: u32,
    out: Option<(u64, u64)>,
    /// When it came back, and after how long.
    back: Option<(u64, u64)>,
    trial: bool,
}

impl Naive {
    fn may_call(&self, now: u64) -> bool {
        self.out
            .is_none_or(|(until, _)| now >= until && !self.trial)
    }

    fn ends(&mut self, outcome: Outcome, now: u64) {
        let good = matches!(outcome, Outcome::Success | Outcome::Alive);
        if let Some((_, length)) = self.out {
            self.trial = false;
            if good {
                self.out = None;
                self.back = Some((now, length));
                self.run = 0;
            } else if outcome == Outcome::Failure {
                let length = (length * 2).min(300);
                self.out = Some((now + length, length));
            }
            return;
        }
        match outcome {
            Outcome::Success => self.run = 0,
            Outcome::Failure => self.run += 1,
            Outcome::Alive | Outcome::Throttled | Outcome::Ignored => {}
        }
        if outcome == Outcome::Failure && self.run >= 5 {
            let length = match self.back {
                Some((at, after)) if now - at < after => (after * 2).min(300),
                _ => 10,
            };
            self.out = Some((now + length, length));
        }
    }
}

proptest! {
    #[test]
    fn the_ejector_equals_a_naive_one(steps: Vec<(u8, u8)>) {
        let (mut ejector, mut naive, begin) = (Ejector::default(), Naive::default(), begin());
        let mut second = 0_u64;
        for (outcome, wait) in steps {
            // Mostly failures, so that ejections happen; now and then a long wait.
            let outcome = match outcome % 12 {
                0 => Outcome::Success,
                1 => Outcome::Alive,
                2 => Outcome::Throttled,
                3 => Outcome::Ignored,
                _ => Outcome::Failure,
            };
            second += u64::from(wait % 8);
            if wait > 200 {
                second += 150;
            }
            let now = begin + SECOND * second as u32;
            let visit = ejector.visit(now);
            prop_assert_eq!(visit.is_some(), naive.may_call(second));
            if let Some(visit) = visit {
                ejector.record(visit, outcome, now, || Room::Left);
                naive.ends(outcome, second);
            }
            let until = naive.out.map(|(until, _)| begin + SECOND * until as u32);
            prop_assert_eq!(ejector.ejection(), until.map_or(Ejection::Available, |until| Ejection::Ejected { until }));
        }
    }
}
