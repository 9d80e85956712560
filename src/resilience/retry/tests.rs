use std::sync::Arc;
use std::thread;

use proptest::prelude::*;

use super::*;
use crate::time::now;

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn thrice() -> RetrySpec {
    RetrySpec {
        attempts: 3,
        ..RetrySpec::default()
    }
}

/// A GET that was answered 503 at its first attempt, with all its time left.
const FAILED: Facts = Facts {
    attempts: 1,
    ended: Label::Status(503),
    is_unsent: false,
    is_idempotent: true,
    is_whole: true,
    retry_after: None,
    left: secs(20),
};

fn judge(spec: &RetrySpec, facts: Facts) -> RetryVerdict {
    spec.judge(&facts, &RetryBudget::new(now()), now(), u64::MAX)
}

fn again(verdict: RetryVerdict) -> bool {
    matches!(verdict, RetryVerdict::Again { .. })
}

#[test]
fn without_a_policy_nothing_is_made_again() {
    let spec = RetrySpec::default();
    assert_eq!(judge(&spec, FAILED), RetryVerdict::Stop(Stop::Attempts));
}

#[test]
fn attempts_are_counted_with_the_first() {
    let verdicts = [1, 2, 3, 4].map(|attempts| judge(&thrice(), Facts { attempts, ..FAILED }));
    assert_eq!(verdicts.map(again), [true, true, false, false]);
    assert_eq!(verdicts[2], RetryVerdict::Stop(Stop::Attempts));
}

#[test]
fn only_what_the_policy_names_is_made_again() {
    let ended = |ended| again(judge(&thrice(), Facts { ended, ..FAILED }));
    for word in ["connect", "connect_timeout", "reset", "timeout"] {
        assert!(ended(Label::Named(word)), "{word}");
    }
    for word in ["dns", "tls", "protocol", "truncated", "circuit_open"] {
        assert!(!ended(Label::Named(word)), "{word}");
    }
    let statuses: Vec<u16> = (100..=999)
        .filter(|status| ended(Label::Status(*status)))
        .collect();
    assert_eq!(statuses, [502, 503, 504]);
}

#[test]
fn case_117_what_may_do_harm_twice_is_made_again_only_where_it_surely_does_none() {
    let posted = Facts {
        is_idempotent: false,
        ..FAILED
    };
    let mut spec = thrice();
    spec.on.statuses = [429, 503].into_iter().collect();
    assert_eq!(judge(&spec, posted), RetryVerdict::Stop(Stop::Unsafe));
    let unsent = Facts {
        ended: Label::Named("connect"),
        is_unsent: true,
        ..posted
    };
    assert!(again(judge(&spec, unsent)));
    let refused = Facts {
        ended: Label::Status(429),
        ..posted
    };
    assert!(again(judge(&spec, refused)));
    spec.non_idempotent = true;
    assert!(again(judge(&spec, posted)));
}

#[test]
fn case_120_a_body_that_is_not_whole_any_more_is_not_sent_again() {
    let facts = Facts {
        is_whole: false,
        ..FAILED
    };
    assert_eq!(judge(&thrice(), facts), RetryVerdict::Stop(Stop::Body));
}

#[test]
fn no_wait_outlasts_the_time_that_is_left() {
    let left = |left| judge(&thrice(), Facts { left, ..FAILED });
    assert_eq!(left(millis(50)), RetryVerdict::Stop(Stop::Time));
    assert!(again(left(millis(51))));
    assert_eq!(left(Duration::ZERO), RetryVerdict::Stop(Stop::Time));
}

#[test]
fn case_126_a_wish_of_the_upstream_is_waited_for_up_to_the_cap_and_never_shortened() {
    let after = |retry_after| {
        let facts = Facts {
            retry_after,
            ..FAILED
        };
        judge(&thrice(), facts)
    };
    let wait = |after| RetryVerdict::Again { after };
    assert_eq!(after(Some(secs(2))), wait(secs(2) + millis(50)));
    assert_eq!(after(Some(secs(10))), wait(secs(10)));
    assert_eq!(
        after(Some(secs(10) + millis(1))),
        RetryVerdict::Stop(Stop::Time)
    );
    assert_eq!(after(Some(Duration::MAX)), RetryVerdict::Stop(Stop::Time));
    let short = Facts {
        retry_after: Some(secs(2)),
        left: secs(2),
        ..FAILED
    };
    assert_eq!(judge(&thrice(), short), RetryVerdict::Stop(Stop::Time));
}

#[test]
fn the_budget_is_asked_last_so_that_only_retries_cost() {
    let begin = now();
    let budget = RetryBudget::new(begin);
    let not_listed = Facts {
        ended: Label::Status(404),
        ..FAILED
    };
    let too_late = Facts {
        left: Duration::ZERO,
        ..FAILED
    };
    for facts in [not_listed, too_late] {
        assert!(!again(thrice().judge(&facts, &budget, begin, 0)));
    }
    assert_eq!(budget.left(begin), 10);
    for _ in 0..10 {
        assert!(again(thrice().judge(&FAILED, &budget, begin, 0)));
    }
    let verdict = thrice().judge(&FAILED, &budget, begin, 0);
    assert_eq!(verdict, RetryVerdict::Stop(Stop::Budget));
}

#[test]
fn a_budget_is_a_fifth_of_the_calls_and_ten_a_second() {
    let begin = now();
    let budget = RetryBudget::new(begin);
    let drain = |at| (0..1_000).filter(|_| budget.withdraw(at)).count();
    assert_eq!(drain(begin), 10);
    (0..100).for_each(|_| budget.deposit());
    assert_eq!(drain(begin), 20);
    assert_eq!(drain(begin + millis(999)), 9);
    assert_eq!(drain(begin + millis(1_000)), 1, "the rest is not forgotten");
    assert_eq!(
        drain(begin + secs(3_600)),
        10,
        "quiet hours bring a second's worth and no more"
    );
    assert_eq!(drain(begin + secs(3_600)), 0);
    (0..100_000).for_each(|_| budget.deposit());
    assert_eq!(drain(begin + secs(3_600)), 100);
    assert_eq!(drain(begin), 0, "a clock that stands back is no time");
}

#[test]
fn case_122_a_budget_bounds_the_load_by_1_2_times_the_calls_and_the_floor() {
    let begin = now();
    let budget = RetryBudget::new(begin);
    // 1000 calls a second for ten seconds, each of which would like three more attempts.
    let mut retries = 0;
    for call in 0..10_000_u64 {
        budget.deposit();
        let at = begin + millis(call);
        retries += (0..3).filter(|_| budget.withdraw(at)).count();
    }
    assert!((2_000..=2_000 + 100 + 10).contains(&retries), "{retries}");
}

#[test]
fn a_budget_is_exact_over_threads() {
    let begin = now();
    let budget = Arc::new(RetryBudget::new(begin));
    (0..450).for_each(|_| budget.deposit());
    let takers: Vec<_> = (0..4)
        .map(|_| {
            let budget = Arc::clone(&budget);
            thread::spawn(move || (0..1_000).filter(|_| budget.withdraw(begin)).count())
        })
        .collect();
    let taken: usize = takers.into_iter().map(|taker| taker.join().unwrap()).sum();
    assert_eq!(taken, 100);
}

proptest! {
    #[test]
    fn case_124_a_wait_lies_between_nothing_and_its_doubling_limit(
        attempts in 1_u32..100, random: u64, base in 1_u64..100_000, max in 1_u64..1_000_000,
    ) {
        let backoff = Backoff { base: millis(base), max: millis(max) };
        let limit = u128::from(base) << (attempts - 1).min(31);
        let limit = limit.min(u128::from(max));
        prop_assert!(backoff.after(attempts, random).as_nanos() <= limit * 1_000_000);
        prop_assert_eq!(backoff.after(attempts, 0), Duration::ZERO);
        prop_assert_eq!(backoff.after(attempts, u64::MAX).as_nanos(), limit * 1_000_000);
    }

    #[test]
    fn a_set_has_what_was_put_into_it(statuses in proptest::collection::vec(0_u16..1_000, 0..20)) {
        let set: StatusSet = statuses.iter().copied().collect();
        for status in 0..1_000 {
            let is_in = statuses.contains(&status) && (400..=599).contains(&status);
            prop_assert_eq!(set.has(status), is_in);
        }
        prop_assert!(set.iter().all(|status| statuses.contains(&status)));
    }
}

#[test]
fn case_124_waits_are_spread_evenly() {
    let backoff = Backoff {
        base: millis(100),
        max: secs(1),
    };
    // Evenly spread numbers, as a good source brings them.
    let step = u64::MAX / 1_000;
    let waits: Vec<_> = (0..1_000).map(|n| backoff.after(1, n * step)).collect();
    for tenth in 0..10 {
        let range = millis(tenth * 10)..millis(tenth * 10 + 10);
        let count = waits.iter().filter(|wait| range.contains(*wait)).count();
        assert!((95..=105).contains(&count), "{tenth}: {count}");
    }
}
