//! After closing, calls come back by and by.

use super::*;

/// From 10 % in 30 s.
fn ramped() -> BreakerKeys {
    BreakerKeys {
        ramp: Some(RampSpec {
            from: percent(10),
            over: SECOND * 30,
        }),
        ..usual()
    }
}

/// One that its probes have just closed.
fn closed_again(keys: BreakerKeys) -> Bed {
    let bed = Bed::half_open(keys);
    bed.calls(2, SUCCESS);
    assert_eq!(bed.state(), State::Closed);
    bed
}

/// How many of so many calls at this instant pass; each of them ends as `sample` says.
fn passed(bed: &Bed, calls: u32, sample: Sample) -> usize {
    let permits: Vec<_> = (0..calls).filter_map(|_| bed.admit().ok()).collect();
    let passed = permits.len();
    permits
        .into_iter()
        .for_each(|permit| permit.finish(sample, bed.now));
    passed
}

#[test]
fn after_closing_a_growing_share_of_the_calls_passes_until_all_do() {
    let mut bed = closed_again(ramped());
    assert_eq!(passed(&bed, 100, SUCCESS), 10);
    bed.wait(SECOND * 10);
    assert_eq!(passed(&bed, 100, SUCCESS), 40);
    bed.wait(SECOND * 19);
    assert_eq!(passed(&bed, 100, SUCCESS), 97);
    bed.wait(SECOND);
    assert_eq!(passed(&bed, 100, SUCCESS), 100);
    assert_eq!(bed.view().ramp, None);
}

#[test]
fn where_all_ask_first_the_same_share_passes() {
    let bed = closed_again(ramped());
    let asked = |_: &u32| bed.breaker.check(bed.now).is_ok();
    let passed = (0..100).filter(asked).filter(|_| bed.admit().is_ok());
    assert_eq!(passed.count(), 10);
}

#[test]
fn the_calls_in_between_are_told_that_it_ramps_and_when_all_will_pass() {
    let bed = closed_again(ramped());
    let full_at = bed.now + SECOND * 30;
    assert_eq!(bed.view().rejects, None);
    bed.call(SUCCESS);
    let refusal = bed.admit().unwrap_err();
    assert_eq!(
        (refusal.kind, refusal.state, refusal.retry_at),
        (RefusalKind::Ramping, State::Closed, Some(full_at))
    );
    let view = bed.view();
    let ramp = view.ramp.unwrap();
    assert_eq!((ramp.share, ramp.full_at), (percent(10), full_at));
    assert_eq!(view.rejects, Some(RefusalKind::Ramping));
    assert_eq!(view.rejected_since, 1);
}

#[test]
fn a_failure_halves_the_present_share_which_grows_on_from_there() {
    let mut bed = closed_again(ramped());
    bed.wait(SECOND * 10);
    bed.call(TIMEOUT);
    assert_eq!(bed.view().ramp.unwrap().share, percent(20));
    bed.wait(SECOND * 10);
    assert_eq!(bed.view().ramp.unwrap().share, percent(50));
    bed.wait(SECOND * 17);
    assert_eq!(passed(&bed, 50, SUCCESS), 50);
}

#[test]
fn failures_in_a_row_open_it_on_the_ramp_too_and_the_next_ramp_begins_at_the_bottom() {
    let mut bed = closed_again(ramped());
    bed.wait(SECOND * 29);
    assert_eq!(passed(&bed, 5, TIMEOUT), 5);
    assert_eq!((bed.state(), bed.view().ramp), (State::Open, None));
    bed.wait(SECOND * 30);
    bed.calls(2, SUCCESS);
    assert_eq!(bed.view().ramp.unwrap().share, percent(10));
}

#[test]
fn an_operator_who_closes_it_lets_all_calls_pass() {
    for order in [Order::Close, Order::Clear] {
        let bed = Bed::open(ramped());
        assert!(bed.force(order));
        assert_eq!(passed(&bed, 100, SUCCESS), 100);
        let bed = closed_again(ramped());
        assert!(bed.force(order), "it ends a ramp that has begun");
        assert_eq!(passed(&bed, 100, SUCCESS), 100);
    }
    let bed = closed_again(ramped());
    bed.force(Order::HoldClosed { until: None });
    assert_eq!(passed(&bed, 100, SUCCESS), 100);
    bed.force(Order::Auto);
    assert_eq!(passed(&bed, 100, SUCCESS), 10);
}

#[test]
fn while_it_ramps_no_call_passes_without_being_counted_and_afterwards_all_do_again() {
    let mut bed = closed_again(ramped());
    assert_eq!(bed.breaker.teller.all_pass(), None);
    bed.wait(SECOND * 30);
    bed.call(SUCCESS);
    assert!(bed.breaker.teller.all_pass().is_some());
}

#[test]
fn in_shadow_everything_passes_and_what_the_ramp_would_reject_moves_nothing() {
    let keys = BreakerKeys {
        enforcement: Enforcement::Shadow,
        ..ramped()
    };
    let bed = closed_again(keys);
    assert_eq!(passed(&bed, 100, SUCCESS), 100);
    let view = bed.view();
    assert_eq!(view.statistics.would_reject, 90);
    assert_eq!(view.window.calls, 10);
}

#[test]
fn rule_8_a_reload_while_ramping_goes_on_from_the_present_share() {
    let mut bed = closed_again(ramped());
    bed.wait(SECOND * 10);
    let faster = BreakerKeys {
        ramp: Some(RampSpec {
            from: percent(50),
            over: SECOND * 10,
        }),
        ..ramped()
    };
    bed.breaker.respec(spec(faster), bed.now);
    assert_eq!(bed.view().ramp.unwrap().share, percent(40));
    bed.wait(SECOND * 2);
    assert_eq!(bed.view().ramp.unwrap().share, percent(50));
    bed.breaker.respec(spec(usual()), bed.now);
    assert_eq!(passed(&bed, 100, SUCCESS), 100);
    bed.breaker.respec(spec(ramped()), bed.now);
    assert_eq!(
        passed(&bed, 100, SUCCESS),
        100,
        "no ramp begins in the middle"
    );
}

#[test]
fn the_sentence_says_the_share_and_until_when() {
    let mut bed = closed_again(ramped());
    bed.wait(SECOND * 3);
    assert_eq!(passed(&bed, 100, SUCCESS), 19);
    assert_eq!(
        explain(&bed.view(), |_| String::new()),
        "closed; ramping up: 19% of calls pass, all of them in 27 s; 81 calls rejected; 0 of 5 consecutive failures"
    );
}
