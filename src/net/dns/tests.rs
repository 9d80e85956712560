//! What is known of a name, as time passes.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::entry::{Addresses, Advice, Entry, News};
use super::error::NameError;
use crate::time::now;

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn at(last: u8) -> Addresses {
    [IpAddr::from([10, 0, 0, last])].into()
}

fn usable(last: u8, is_stale: bool, ask: bool) -> Advice {
    Advice::Use {
        addresses: at(last),
        is_stale,
        ask,
    }
}

/// A name with an answer from `start`.
fn known(ttl: Duration) -> (Entry, Instant) {
    let start = now();
    let mut entry = Entry::new(start);
    let first = Advice::Wait {
        last_good: None,
        ask: true,
    };
    assert_eq!(entry.want(start), first);
    assert_eq!(entry.answered(Ok((at(1), ttl)), start), News::None);
    (entry, start)
}

#[test]
fn an_answer_is_used_for_its_ttl_which_is_from_5_s_to_5_min_case_110() {
    for (ttl, used) in [(0, 5), (5, 5), (60, 60), (86_400, 300)] {
        let (mut entry, start) = known(secs(ttl));
        let almost = start + secs(used) - Duration::from_millis(1);
        assert_eq!(entry.want(almost), usable(1, false, true), "{ttl}");
        let (mut entry, start) = known(secs(ttl));
        let expired = Advice::Wait {
            last_good: Some(at(1)),
            ask: true,
        };
        assert_eq!(entry.want(start + secs(used)), expired, "{ttl}");
    }
}

#[test]
fn an_answer_that_is_used_is_renewed_ahead_of_its_end_and_one_that_is_not_costs_no_question() {
    let (mut entry, start) = known(secs(100));
    assert_eq!(entry.want(start + secs(79)), usable(1, false, false));
    assert_eq!(entry.want(start + secs(80)), usable(1, false, true));
    assert_eq!(
        entry.want(start + secs(81)),
        usable(1, false, false),
        "one question at a time"
    );
    entry.answered(Ok((at(2), secs(100))), start + secs(82));
    assert_eq!(entry.want(start + secs(120)), usable(2, false, false));
}

#[test]
fn while_asking_fails_the_last_good_answer_is_used_at_once() {
    let (mut entry, start) = known(secs(10));
    entry.want(start + secs(10));
    let lost = News::Lost {
        has_last_good: true,
    };
    assert_eq!(
        entry.answered(Err(NameError::Timeout), start + secs(12)),
        lost
    );
    assert_eq!(entry.want(start + secs(12)), usable(1, true, false));
    assert_eq!(
        entry.want(start + secs(13)),
        usable(1, true, true),
        "asked again after 1 s"
    );
    assert_eq!(
        entry.answered(Err(NameError::ServerFailure), start + secs(13)),
        News::None,
        "which is no news"
    );
    assert_eq!(entry.want(start + secs(14)), usable(1, true, false));
    assert_eq!(
        entry.want(start + secs(15)),
        usable(1, true, true),
        "then after 2 s"
    );
    let found = entry.answered(Ok((at(2), secs(10))), start + secs(15));
    assert_eq!(found, News::Found);
    assert_eq!(entry.want(start + secs(16)), usable(2, false, false));
}

#[test]
fn a_name_denied_for_5_min_is_gone_but_silence_never_takes_an_address() {
    let (mut entry, start) = known(secs(10));
    for second in (10..310).step_by(10) {
        entry.answered(Err(NameError::NotFound), start + secs(second));
        assert!(entry.known(start).is_ok(), "{second}");
    }
    let gone = News::Lost {
        has_last_good: false,
    };
    assert_eq!(
        entry.answered(Err(NameError::NotFound), start + secs(310)),
        gone
    );
    assert_eq!(entry.known(start), Err(NameError::NotFound));

    let (mut entry, start) = known(secs(10));
    for second in (10..100_000).step_by(10) {
        let why = if second % 100 == 0 {
            NameError::Timeout
        } else {
            NameError::NotFound
        };
        entry.answered(Err(why), start + secs(second));
    }
    assert!(
        entry.known(start).is_ok(),
        "a denial that does not last is none"
    );
}

#[test]
fn a_missing_name_is_asked_for_again_after_1_2_4_and_then_every_5_s() {
    let start = now();
    let mut entry = Entry::new(start);
    let mut asked = Vec::new();
    for second in 0..30 {
        match entry.want(start + secs(second)) {
            Advice::Wait {
                last_good: None,
                ask: true,
            } => {
                asked.push(second);
                entry.answered(Err(NameError::NotFound), start + secs(second));
            }
            Advice::Fail(NameError::NotFound) => {}
            other @ (Advice::Use { .. } | Advice::Wait { .. } | Advice::Fail(_)) => {
                panic!("{other:?}")
            }
        }
    }
    assert_eq!(asked, [0, 1, 3, 7, 12, 17, 22, 27]);
}

#[test]
fn other_name_servers_are_asked_at_the_next_use() {
    let (mut entry, start) = known(secs(300));
    entry.doubt(start + secs(1));
    let again = Advice::Wait {
        last_good: Some(at(1)),
        ask: true,
    };
    assert_eq!(entry.want(start + secs(1)), again);
    entry.answered(Err(NameError::Timeout), start + secs(2));
    entry.doubt(start + secs(2));
    assert_eq!(entry.want(start + secs(2)), usable(1, true, true));
}

proptest! {
    /// Whatever comes: one question at a time, and what was good once is never answered with an error while servers are silent.
    #[test]
    fn one_question_at_a_time_and_no_error_after_a_good_answer(steps in prop::collection::vec((0..4_u8, 0..400_u64), 1..200)) {
        let mut now = now();
        let mut entry = Entry::new(now);
        let (mut is_asking, mut was_good) = (false, false);
        for (step, pass) in steps {
            now += secs(pass);
            match step {
                0 if is_asking => {
                    entry.answered(Ok((at(1), secs(pass))), now);
                    (is_asking, was_good) = (false, true);
                }
                1 if is_asking => {
                    entry.answered(Err(NameError::Timeout), now);
                    is_asking = false;
                }
                2 => entry.doubt(now),
                _ => {
                    let (ask, is_error) = match entry.want(now) {
                        Advice::Use { ask, .. } => (ask, false),
                        Advice::Wait { ask, last_good } => (ask, was_good && last_good.is_none()),
                        Advice::Fail(_) => (false, was_good),
                    };
                    prop_assert!(!(ask && is_asking));
                    prop_assert!(!is_error);
                    is_asking |= ask;
                }
            }
        }
    }
}
